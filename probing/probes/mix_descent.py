"""Mixes with their classifiers, taken downhill side by side, each in coordinates of its own.

For given layer weights the loss is the linear probe's: convex, and a pass reads vectors of one layer's size. So a start
first gets the classifier that is best for its mix, in the principal directions of that mix; from there weights and
classifier move together, in the same directions, until the mix has gone far from them. In the directions of another mix
the loss is far from round, and takes three to seven times as many steps: worth it where sentences are few, and steps
cost less than directions. Most layers end without weight. They are left out of the passes as soon as the loss
falls with them, and come back where it would fall with more of them: so are minima told from points that are none.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from probing.probes.logistic_problem import LogisticProblem
from probing.probes.mix_problem import MixProblem
from probing.probes.solver import Solution, minimise
from probing.probes.stack_blocks import SUMMED_ROWS

_WOKEN = 0.02
"""Weight that a layer with none, or hardly any, gets where that would lower the loss: the gradient by the root of 0 is
0, and nothing would move it."""
_SMALL = 0.001
"""Weights below it are taken for 0 where the loss falls with them; the layer is then left out of every pass."""
_FAR, NEAR = 3.0, 1.2
"""Steps of the roots of layer weights where the solver would move a weight of the classifier by 1: of a guess, and of a
fit that goes on. Measured: near a minimum the larger ones take twice as many steps."""
_ROUGHLY = 0.03
"""Tolerance that the classifier of a guess is fitted to: it will have to follow its mix a long way."""
_MOST_STEPS, _FIRST_STEPS = 200, 8
"""Of that, most steps in directions of its own mix, and in those of the even one."""
_MEMORY, _FEW = 30, 3
"""Steps that the solver learns curvature from, of so many fits at most: up to half of the steps fewer than with ten."""
_MOVED = 0.4
"""Difference of layer weights, added up, from which on a mix gets coordinates of its own anew."""
_MADE_BYTES = 2**30
"""Memory for mixes that are made at the same time: each is there twice, and some of its rows once more."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Frames:
    """Coordinates of fits: the principal directions of a mix each, and its curvature along them."""

    mixes: Float[Tensor, "fits layers"]
    """Whose directions they are."""
    eigenvalues: Float[Tensor, "fits hidden"]
    bases: Float[Tensor, "fits hidden hidden"]

    def pick(self, rows: Sequence[int] | Tensor) -> "Frames":
        """Some of them."""
        return Frames(self.mixes[rows], self.eigenvalues[rows], self.bases[rows])


@dataclass(frozen=True)
class Fits:
    """Mixes, each with a classifier on what it makes: of several strengths, or several of one."""

    numbers: Int[Tensor, " fits"]
    """Of their strengths."""
    mixes: Float[Tensor, "fits layers"]
    weights: Float[Tensor, "fits classes hidden"]
    """On the standardised mix."""
    intercepts: Float[Tensor, "fits classes"]
    losses: Float[Tensor, " fits"]
    slopes: Float[Tensor, " fits"]
    """The largest component of the gradient, as a share of what it was at the even guess; infinity before a descent."""
    frames: Frames
    """In which they go downhill."""
    n_iterations: int = 0
    """Steps that have led here, of those that took most."""

    def __len__(self) -> int:
        return len(self.numbers)

    def pick(self, rows: Sequence[int] | Bool[Tensor, " fits"]) -> "Fits":
        """Some of them."""
        rows = rows if isinstance(rows, Tensor) else list(rows)
        return Fits(
            self.numbers[rows], self.mixes[rows], self.weights[rows], self.intercepts[rows], self.losses[rows],
            self.slopes[rows], self.frames.pick(rows), self.n_iterations,
        )  # fmt: skip

    def repeat(self, numbers: Int[Tensor, " problems"]) -> "Fits":
        """The same one fit as a start of several problems."""

        def expand(part: Tensor) -> Tensor:
            return part.expand(len(numbers), *part.shape[1:])

        frame = self.frames
        frames = Frames(expand(frame.mixes), expand(frame.eigenvalues), expand(frame.bases))
        return Fits(
            numbers, expand(self.mixes), expand(self.weights), expand(self.intercepts), expand(self.losses),
            expand(self.slopes), frames,
        )  # fmt: skip

    def move(self, number: int) -> "Fits":
        """The same, as starts at another strength."""
        numbers, slopes = torch.full_like(self.numbers, number), torch.full_like(self.slopes, torch.inf)
        return replace(self, numbers=numbers, slopes=slopes)


def join_fits(parts: Sequence[Fits]) -> Fits:
    """All fits of some parts, one after the other."""

    def join(name: str) -> Tensor:
        return torch.cat([getattr(part, name) for part in parts])

    frames = [part.frames for part in parts]
    joined = (torch.cat([getattr(frame, name) for frame in frames]) for name in ("mixes", "eigenvalues", "bases"))
    return Fits(
        join("numbers"), join("mixes"), join("weights"), join("intercepts"), join("losses"), join("slopes"),
        Frames(*joined), max(part.n_iterations for part in parts),
    )  # fmt: skip


def guess_evenly(problem: MixProblem, number: int, mixes: Float[Tensor, "fits layers"]) -> Fits:
    """Mixes to start from, with classifiers that know nothing yet."""
    like = problem.mean
    mixes = mixes.to(like)
    weights = like.new_zeros(len(mixes), problem.n_classes, like.shape[1])
    numbers = torch.full((len(mixes),), number, device=like.device)
    unknown = like.new_full((len(mixes),), torch.inf)
    even = torch.full_like(mixes, 1 / problem.n_layers)
    frames = Frames(even, problem.eigenvalues.expand(len(mixes), -1), problem.basis.expand(len(mixes), -1, -1))
    return Fits(numbers, mixes, weights, weights[..., 0].clone(), unknown, unknown, frames)


def leave_guesses(problem: MixProblem, guesses: Fits, tolerance: float, max_iterations: int) -> Fits:
    """Fits that guesses lead to, all in the directions of the even mix: classifiers alone first, then weights too.

    Takes more steps than directions of their own, and nothing to make these: for few sentences, where steps cost less.
    """
    problem.loss.prepare(tolerance)
    coordinates = Coordinates(problem, guesses)
    points, reference = coordinates.pack(_FAR), problem.steepness[guesses.numbers]
    first = minimise(
        coordinates.fix_mixes, points, tolerance=_ROUGHLY, max_iterations=_FIRST_STEPS, reference=reference
    )
    ends = minimise(coordinates, first.points, tolerance=tolerance, max_iterations=max_iterations, reference=reference)
    return coordinates.unpack(ends, first.n_iterations)


def go_downhill(problem: MixProblem, starts: Fits, tolerances: Float[Tensor, " fits"], max_iterations: int) -> Fits:
    """Follow fits downhill, side by side, until their slopes are within their tolerances."""
    guessed = not bool(starts.losses.isfinite().all())
    starts = replace(starts, mixes=_wake(problem, starts))
    starts = _renew(problem, starts, torch.full_like(tolerances, _ROUGHLY) if guessed else tolerances)
    problem.loss.prepare(float(tolerances.min()))
    coordinates = Coordinates(problem, starts)
    # A start that is near its minimum has small slopes already: measured by them, it would be taken further than
    # others.
    ends = minimise(
        coordinates, coordinates.pack(_FAR if guessed else NEAR), tolerance=1.0, max_iterations=max_iterations,
        reference=tolerances * problem.steepness[starts.numbers],
        # Layer weights and classifier hang together, in directions that no frame holds: a long memory learns them.
        memory=_MEMORY if len(starts) <= _FEW else 10,
    )  # fmt: skip
    return coordinates.unpack(ends)


def _renew(problem: MixProblem, starts: Fits, tolerances: Float[Tensor, " fits"]) -> Fits:
    """The fits; those whose mix has gone far from its frame get one of their own, and a classifier fitted anew."""
    far = (starts.mixes - starts.frames.mixes).abs().sum(dim=1) > _MOVED
    # A classifier that knows nothing is fitted in any case.
    far |= ~starts.losses.isfinite()
    if not bool(far.any()):
        return starts
    renewed = iter(fit_classifiers(problem, starts.pick(far), tolerances[far]))
    return join_fits([next(renewed) if moved else starts.pick([row]) for row, moved in enumerate(far.tolist())])


def fit_classifiers(problem: MixProblem, starts: Fits, tolerances: Float[Tensor, " fits"]) -> list[Fits]:
    """For each mix, by itself, the classifier that is best for it, every sentence counted once, and its own frame."""

    def fit(start: tuple[Fits, float]) -> Fits:
        fits, tolerance = start
        convex = fix_mix(problem, fits.mixes[0], problem.strengths[fits.numbers].tolist())
        solution = convex.solve(tolerance, _MOST_STEPS, begin=(fits.weights[None], fits.intercepts[None]))
        weights, intercepts = convex.unpack(solution)
        frames = Frames(fits.mixes, convex.eigenvalues, convex.basis)
        return replace(fits, weights=weights[0], intercepts=intercepts[0], frames=frames)

    return map_mixes(problem, fit, [(starts.pick([row]), float(tolerances[row])) for row in range(len(starts))])


class Coordinates:
    """The loss of some fits, each in its frame.

    Args:
        problem: of all strengths.
        starts: where they begin.
    """

    def __init__(self, problem: MixProblem, starts: Fits):
        self.problem, self.starts, self.frames = problem, starts, starts.frames
        strengths = problem.strengths[starts.numbers].unsqueeze(1)
        self.roots = (self.frames.eigenvalues / problem.n_classes + strengths).rsqrt()

    def pack(self, rate: float) -> Float[Tensor, "fits parameters"]:
        """The points to begin at, the solver's steps of layer weights being so large."""
        points = self.problem.start(self.starts.mixes, rate)
        into_slopes, into_intercepts, _ = self.problem.split(points)
        into_slopes.copy_(self.starts.weights @ self.frames.bases / self.roots.unsqueeze(1))
        into_intercepts.copy_(self.starts.intercepts / self.problem.n_classes**0.5)
        return points

    def unpack(self, ends: Solution, before: int = 0) -> Fits:
        """The fits that the solver has come to, after some steps before."""
        fits, numbers = self.problem.unpack(ends.points, self.roots, self.frames.bases), self.starts.numbers
        slopes = ends.gradient_norms / self.problem.steepness[numbers]
        steps = self.starts.n_iterations + before + ends.n_iterations
        return Fits(numbers, *fits, ends.losses, slopes, self.frames, steps)

    def __call__(
        self, points: Float[Tensor, "active parameters"], rows: Int[Tensor, " active"]
    ) -> tuple[Float[Tensor, " active"], Float[Tensor, "active parameters"]]:
        """Loss and gradient of some of the fits."""
        bases = self.frames.bases
        # Guesses share the directions of the even mix, and copies of them would cost as much as their products.
        own = bases[0] if bases.stride(0) == 0 else bases[rows]
        return self.problem.evaluate(points, self.starts.numbers[rows], self.roots[rows], own)

    def fix_mixes(
        self, points: Float[Tensor, "active parameters"], rows: Int[Tensor, " active"]
    ) -> tuple[Float[Tensor, " active"], Float[Tensor, "active parameters"]]:
        """The same for mixes that stand still."""
        losses, gradients = self(points, rows)
        self.problem.split(gradients)[2].zero_()
        return losses, gradients


def _wake(problem: MixProblem, starts: Fits) -> Float[Tensor, "fits layers"]:
    """Layer weights to go on with: hardly any becomes 0 where the loss falls with it, and begins anew elsewhere."""
    # Of a guess, whose classifier knows nothing, slopes tell nothing.
    if not bool(starts.losses.isfinite().all()):
        return starts.mixes
    grows = problem.pull(starts.numbers, starts.mixes, starts.weights, starts.intercepts) < 0
    mixes = torch.where(starts.mixes < _SMALL, torch.where(grows, _WOKEN, 0.0), starts.mixes)
    return mixes / mixes.sum(dim=1, keepdim=True)


def find_waking(problem: MixProblem, fits: Fits, tolerances: Float[Tensor, " fits"]) -> Bool[Tensor, " fits"]:
    """True for fits that are no minimum yet: a layer that has hardly any weight, or none, would lower the loss."""
    slopes = problem.pull(fits.numbers, fits.mixes, fits.weights, fits.intercepts)
    # By the root of the share that it would get: d s / d c = 2 c / |c|^2.
    by_roots = 2 * NEAR * _WOKEN**0.5 * slopes
    return ((fits.mixes < _SMALL) & (by_roots < -(tolerances * problem.steepness[fits.numbers]).unsqueeze(1))).any(
        dim=1
    )


def fix_mix(problem: MixProblem, mix: Float[Tensor, " layers"], strengths: Sequence[float]) -> LogisticProblem:
    """The loss by the classifier alone: convex, on vectors of one layer's size."""
    _, deviation = problem.moments(mix.unsqueeze(0))
    mixed = problem.vectors.mix(mix, SUMMED_ROWS).div_(deviation)
    return LogisticProblem(mixed.unsqueeze(0), problem.labels, strengths, prepared=True)


def map_mixes(problem: MixProblem, work: Callable[..., Result], mixes: Sequence) -> list[Result]:
    """Do some work with each mix, on as many threads as there is room for."""
    _, n, hidden = problem.vectors.shape
    room = max(1, _MADE_BYTES // (3 * n * hidden * problem.mean.element_size()))
    workers = 1 if problem.mean.device.type != "cpu" else min(problem.threads, room, len(mixes))
    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return list(pool.map(work, mixes))
