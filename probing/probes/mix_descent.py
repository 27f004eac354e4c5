"""Mixes with their classifiers, taken downhill side by side, each in coordinates of its own.

For given layer weights the loss is the linear probe's: convex, and a pass reads vectors of one layer's size. So a start
first gets the classifier that is best for its mix, in the principal directions of that mix; from there weights and
classifier move together, in the same directions. In the directions of another mix the loss is far from round, and takes
three to seven times as many steps. Most layers end without weight. They are left out of the passes as soon as the loss
falls with them, and come back where it would fall with more of them: so are minima told from points that are none.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from probing.probes.linear import LogisticProblem
from probing.probes.mix_problem import MixProblem
from probing.probes.solver import minimise
from probing.probes.stack_blocks import SUMMED_ROWS

_WOKEN = 0.02
"""Weight that a layer with none, or hardly any, gets where that would lower the loss: the gradient by the root of 0 is
0, and nothing would move it."""
_SMALL = 0.001
"""Weights below it are taken for 0 where the loss falls with them; the layer is then left out of every pass."""
_FAR, _NEAR = 3.0, 1.2
"""Steps of the roots of layer weights where the solver would move a weight of the classifier by 1: of a guess, and of a
fit that goes on. Measured: near a minimum the larger ones take twice as many steps."""
_ROUGHLY = 0.03
"""Tolerance that the classifier of a guess is fitted to: it will have to follow its mix a long way."""
_MOST_STEPS = 200
"""Of that."""
_MADE_BYTES = 2**30
"""Memory for mixes that are made at the same time: each is there twice, and some of its rows once more."""

Result = TypeVar("Result")


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
    n_iterations: int = 0
    """Steps that have led here, of those that took most."""

    def __len__(self) -> int:
        return len(self.numbers)

    def pick(self, rows: Sequence[int] | Bool[Tensor, " fits"]) -> "Fits":
        """Some of them."""
        rows = rows if isinstance(rows, Tensor) else list(rows)
        return Fits(
            self.numbers[rows], self.mixes[rows], self.weights[rows], self.intercepts[rows], self.losses[rows],
            self.slopes[rows], self.n_iterations,
        )  # fmt: skip

    def move(self, number: int) -> "Fits":
        """The same, as starts at another strength."""
        numbers, slopes = torch.full_like(self.numbers, number), torch.full_like(self.slopes, torch.inf)
        return replace(self, numbers=numbers, slopes=slopes)


def join_fits(parts: Sequence[Fits]) -> Fits:
    """All fits of some parts, one after the other."""

    def join(name: str) -> Tensor:
        return torch.cat([getattr(part, name) for part in parts])

    return Fits(
        join("numbers"), join("mixes"), join("weights"), join("intercepts"), join("losses"), join("slopes"),
        max(part.n_iterations for part in parts),
    )  # fmt: skip


def guess_evenly(problem: MixProblem, number: int, mixes: Float[Tensor, "fits layers"]) -> Fits:
    """Mixes to start from, with classifiers that know nothing yet."""
    like = problem.mean
    mixes = mixes.to(like)
    weights = like.new_zeros(len(mixes), problem.n_classes, like.shape[1])
    numbers = torch.full((len(mixes),), number, device=like.device)
    unknown = like.new_full((len(mixes),), torch.inf)
    return Fits(numbers, mixes, weights, weights[..., 0].clone(), unknown, unknown)


def go_downhill(problem: MixProblem, starts: Fits, tolerances: Float[Tensor, " fits"], max_iterations: int) -> Fits:
    """Follow fits downhill, side by side, until their slopes are within their tolerances."""
    guessed = not bool(starts.losses.isfinite().all())
    own = OwnCoordinates(problem, starts, torch.full_like(tolerances, _ROUGHLY) if guessed else tolerances)
    points = own.pack(_FAR if guessed else _NEAR)
    problem.loss.prepare(float(tolerances.min()))
    # A start that is near its minimum has small slopes already: measured by them, it would be taken further than
    # others.
    steepness = problem.steepness[starts.numbers]
    ends = minimise(own, points, tolerance=1.0, reference=tolerances * steepness, max_iterations=max_iterations)
    fits = problem.unpack(ends.points, own.roots, own.bases)
    slopes, n_iterations = ends.gradient_norms / steepness, starts.n_iterations + ends.n_iterations
    return Fits(starts.numbers, *fits, ends.losses, slopes, n_iterations)


class OwnCoordinates:
    """The loss of some fits, each in the principal directions of the mix that it begins with.

    Args:
        problem: of all strengths.
        starts: where they begin.
        tolerances: that their classifiers are fitted with first.
    """

    def __init__(self, problem: MixProblem, starts: Fits, tolerances: Float[Tensor, " fits"]):
        self.problem, self.numbers = problem, starts.numbers
        mixes = _wake(problem, starts)
        fields = mixes, starts.weights, starts.intercepts, starts.numbers.tolist(), tolerances.tolist()
        ready = map_mixes(problem, self._fit_classifier, list(zip(*fields, strict=True)))
        self.roots, self.bases, *fitted = (torch.stack(parts) for parts in zip(*ready, strict=True))
        self._fits = mixes, *fitted

    def _fit_classifier(
        self, start: tuple[Tensor, Tensor, Tensor, int, float]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        mix, weights, intercepts, number, tolerance = start
        convex = fix_mix(self.problem, mix, self.problem.strengths[number : number + 1].tolist())
        solution = convex.solve(tolerance, _MOST_STEPS, begin=(weights[None, None], intercepts[None, None]))
        weights, intercepts = convex.unpack(solution)
        return convex.root[0, 0], convex.basis[0], weights[0, 0], intercepts[0, 0]

    def pack(self, rate: float) -> Float[Tensor, "fits parameters"]:
        """The points to begin at, the solver's steps of layer weights being so large."""
        mixes, weights, intercepts = self._fits
        points = self.problem.start(mixes, rate)
        into_slopes, into_intercepts, _ = self.problem.split(points)
        into_slopes.copy_(weights @ self.bases / self.roots.unsqueeze(1))
        into_intercepts.copy_(intercepts / self.problem.n_classes**0.5)
        return points

    def __call__(
        self, points: Float[Tensor, "active parameters"], rows: Int[Tensor, " active"]
    ) -> tuple[Float[Tensor, " active"], Float[Tensor, "active parameters"]]:
        """Loss and gradient of some of the fits."""
        return self.problem.evaluate(points, self.numbers[rows], self.roots[rows], self.bases[rows])


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
    by_roots = 2 * _NEAR * _WOKEN**0.5 * slopes
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
