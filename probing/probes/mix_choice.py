"""The strength of a mixed probe that dev chooses, and the minima there.

Where sentences are many for the numbers that a probe learns, some of them are enough to look for minima: wide starts go
downhill there at a part of the cost. What they end in goes on with all sentences, and nothing else is shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from probing.probes.logistic import Labels
from probing.probes.mix_descent import Fits, Frames, fix_mix, go_downhill, guess_evenly, join_fits, map_mixes
from probing.probes.mix_problem import MixProblem
from probing.probes.mix_search import draw_starts, explore, find_minima
from probing.probes.selection import choose_strength, score_strengths
from probing.randomness import stream
from probing.scalar_mix import mix_layers

_CHOOSING_TOLERANCE = 3e-3
"""Tolerance of the fits that dev chooses among: scores settle long before weights do."""
_CANDIDATE_TOLERANCE = 5e-3
"""Of fits with a mix that stands still, which say where to begin."""
_CONTENDERS, _CONTENDING_ITERATIONS = 3, 20
"""Strengths that learn a mix of their own before dev chooses, those that it likes best where they begin; most steps of
each: scores settle long before weights do."""
_EXPLORED_CONTENDERS, _EXPLORED_CONTENDING_ITERATIONS = 5, 12
"""The same where none has learned one on all sentences: more begin beside their own mix, at little more for a pass."""
_EXPLORING_ITERATIONS, _MORE_ITERATIONS = 40, 20
"""Most steps of wide starts on all sentences; on some, of the valleys that are left: both go on when dev has chosen."""
_SENTENCES_FOR_EACH, _FEWEST_SENTENCES = 5, 1500
"""Sentences to look for minima in, for each number that a probe learns, and at least."""
_TIMES, _TIMES_MAPPED = 3, 12
"""Times as many there must be in all: with half of them drawn, dev scores fell on three tasks of six.
Of a stack that is mapped, as too large for memory, their two copies in memory must be a small part."""
_STRONGER = 2
"""Strengths by which the penalty is stronger where some sentences stand for all. Fitted to fewer, a classifier of the
same strength has more minima, which all sentences then have to leave. Chosen on six tasks and one draw."""


@dataclass(frozen=True)
class Options:
    """Settings of a mixed probe that the choice follows."""

    strengths: Sequence[float]
    """L2 strengths, from strong to weak."""
    tolerance: float
    """Of the lowest minimum."""
    max_iterations: int
    """Of a fit."""
    seed: int
    """Of starts that are drawn, and of the sentences."""


class Choice:
    """The strength that dev chooses, and the minima there.

    Args:
        problem: of all strengths.
        vectors: of dev.
        labels: of dev.
        options: of the probe.
    """

    def __init__(
        self, problem: MixProblem, vectors: Float[Tensor, "layers dev hidden"], labels: Labels, options: Options
    ):
        self.problem, self.vectors, self.labels, self.options = problem, vectors, labels, options
        self.loosely = max(options.tolerance, _CHOOSING_TOLERANCE)
        self.scores = np.full(len(options.strengths), -np.inf)
        self._tried: list[Fits] = []
        """Fits that a strength may begin with: of one mix each, at all strengths or at one."""

    def settle(self) -> tuple[int, Fits]:
        """The strength and its minima, the lowest taken to its end, the others loosely."""
        starts = torch.from_numpy(draw_starts(self.options.seed, self.problem.n_layers)).to(self.problem.root)
        some = draw_some(self.problem, self.options.seed)
        # Some sentences tell no strength: theirs has been settled by one mix on all of them.
        layers = torch.eye(self.problem.n_layers).to(starts)
        self._try_mixes(starts[:1] if some is not None else torch.cat([starts[:1], layers]))
        before = len(self._tried)
        found = self._explore(some, starts)
        self._try_mixes(found.mixes)
        if some is None:
            self._tried += [found.pick([number]) for number in range(len(found))]
            self._score_fits(found.pick([0]))
        contender = self._contend(found.numbers[:1].tolist() if some is None else [])
        best = int(contender.numbers[0])
        minima = self._carry(contender, self._tried[before:])
        minima = find_minima(self.problem, minima, self.options.tolerance, self.options.max_iterations)
        # The score that is shown must be of the fit that is kept, not of the looser one that was compared.
        self._score_fits(minima.pick([0]))
        return best, minima

    def _explore(self, some: MixProblem | None, starts: Float[Tensor, "starts layers"]) -> Fits:
        """Minima that wide starts end in, at the strength that dev likes best so far or, on some sentences, near it."""
        number = choose_strength(self.scores, self.options.strengths)
        if some is None:
            guesses = guess_evenly(self.problem, number, starts)
            return find_minima(self.problem, guesses, self.options.tolerance, _EXPLORING_ITERATIONS)
        guesses = guess_evenly(some, max(0, number - _STRONGER), starts)
        return explore(some, guesses, self.loosely, _MORE_ITERATIONS)

    def _try_mixes(self, mixes: Float[Tensor, "mixes layers"]) -> None:
        """Fit all strengths with each mix; each is scored with the fit whose loss is the lowest so far."""
        self._tried += map_mixes(self.problem, self._fit_strengths, list(mixes))
        for number in range(len(self.scores)):
            self._score_fits(self._find_lowest(number))

    def _fit_strengths(self, mix: Float[Tensor, " layers"]) -> Fits:
        convex = fix_mix(self.problem, mix, self.options.strengths)
        solution = convex.solve(_CANDIDATE_TOLERANCE, self.options.max_iterations)
        weights, intercepts = convex.unpack(solution)
        n = len(self.options.strengths)
        mixes, numbers = mix.expand(n, -1), torch.arange(n, device=mix.device)
        frames = Frames(mixes, convex.eigenvalues.expand(n, -1), convex.basis.expand(n, -1, -1))
        unknown = torch.full_like(solution.losses, torch.inf)
        return Fits(numbers, mixes, weights[0], intercepts[0], solution.losses, unknown, frames)

    def _find_lowest(self, number: int) -> Fits:
        """Of what was tried at a strength, the fit whose loss is the lowest."""
        return min(_pick_strength(self._tried, number), key=lambda fits: float(fits.losses[0]))

    def _contend(self, searched: list[int]) -> Fits:
        """The strength that dev chooses once the best have learned mixes of their own, and where it has come to.

        Args:
            searched: strengths that have, in a search on all sentences.
        """
        n_liked, steps = _CONTENDERS, _CONTENDING_ITERATIONS
        if not searched:
            n_liked, steps = _EXPLORED_CONTENDERS, _EXPLORED_CONTENDING_ITERATIONS
        liked = sorted({*np.argsort(-self.scores, kind="stable")[:n_liked].tolist(), *searched})
        starts = join_fits([self._find_lowest(number) for number in liked])
        loosely = torch.full_like(starts.losses, self.loosely)
        ends = go_downhill(self.problem, starts, loosely, steps)
        self._score_fits(ends)
        return ends.pick([choose_strength(self.scores[liked], [self.options.strengths[number] for number in liked])])

    def _carry(self, contender: Fits, tried: list[Fits]) -> Fits:
        """The contender, and at its strength the minima that it has not come from."""
        best = int(contender.numbers[0])
        origin = self._find_lowest(best).mixes
        others: dict[tuple[float, ...], Fits] = {}
        for fits in _pick_strength(tried, best):
            if not torch.equal(fits.mixes, origin):
                # A mix that was found at this strength comes last, with the classifier of its descent.
                others[tuple(fits.mixes[0].tolist())] = fits
        return join_fits([contender, *others.values()])

    def _score_fits(self, fits: Fits) -> None:
        """Score some strengths with fits of their own."""
        for number, *fit in zip(fits.numbers.tolist(), fits.mixes, fits.weights, fits.intercepts, strict=True):
            self.scores[number] = self._score(*fit)

    def _score(
        self, mix: Float[Tensor, " layers"], weights: Float[Tensor, "classes hidden"], intercepts: Tensor
    ) -> float:
        """Score of a fit on dev."""
        mean, deviation = self.problem.moments(mix.unsqueeze(0))
        scaled = (mix_layers(self.vectors, mix) - mean) / deviation
        return float(score_strengths(scaled, weights[None], intercepts[None], self.labels)[0])


def _pick_strength(tried: list[Fits], number: int) -> list[Fits]:
    return [fits.pick(fits.numbers == number) for fits in tried if bool((fits.numbers == number).any())]


def draw_some(problem: MixProblem, seed: int) -> MixProblem | None:
    """The losses of some sentences, drawn at random; none where all are too few to go by a part of them.

    A probe learns `hidden` numbers for each class but one; there are to be several sentences for each number.
    """
    n, hidden = problem.vectors.shape[1:]
    wanted = max(_FEWEST_SENTENCES, _SENTENCES_FOR_EACH * hidden * (problem.n_classes - 1))
    if n < (_TIMES if problem.vectors.in_memory else _TIMES_MAPPED) * wanted:
        return None
    rows = np.sort(stream(seed, "scalar_mix", "some").choice(n, wanted, replace=False))
    # A class that none of them has could not be learned.
    labels = problem.labels[torch.from_numpy(rows)]
    seen = labels.sum(dim=0) if labels.ndim == 2 else torch.bincount(labels, minlength=problem.n_classes)
    return problem.on_some(rows) if bool((seen > 0).all()) else None
