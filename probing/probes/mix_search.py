"""The minima of a mixed probe at one strength: wide starts, solved side by side, of which those that meet go on as one.

The loss is convex in the classifier for given layer weights, but not in both. One pass over the stack serves all
starts, so that ten cost little more than two. Two starts have met where no ridge parts them: the loss in the middle
between them, of weights and classifiers, lies below the mean of theirs.
"""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from probing.probes.mix_descent import Fits, find_waking, go_downhill, join_fits, leave_guesses
from probing.probes.mix_problem import MixProblem
from probing.randomness import stream

_NEAR_STARTS = 6
"""Most starts near a layer, or near layers that follow one another."""
_NEAR = 0.6
"""Share that those layers have in a start near them, all sharing the rest."""
_DRAWN_STARTS = 2
_SPREAD = 2.0
"""Standard deviation of the logarithms of weights that are drawn."""
APART = 0.2
"""Two minima are one where their layer weights differ by less, added up over layers."""
_WIDE = 30
"""Steps of starts that know nothing yet, all in one set of coordinates, before those in one valley are joined.
Ours: 12 to 40 were tried, and no number of them kept every minimum on every task."""
_FIRST = 20
"""Most steps in the coordinates that starts begin with, before those in one valley are joined; then more."""
_ALONE = 160
"""Most steps where one is left."""
_TELLING = 1e-3
"""Tolerance of minima that are not the lowest."""


def draw_starts(seed: int, n_layers: int) -> Float[np.ndarray, "starts layers"]:
    """Layer weights to start from: even, near each layer, and anywhere."""
    even = np.full((1, n_layers), 1 / n_layers)
    if n_layers == 1:
        return even
    # Neighbouring layers are much alike, and have their minima in common: a deep encoder needs no start for each.
    groups = np.array_split(np.arange(n_layers), min(n_layers, _NEAR_STARTS))
    near = np.full((len(groups), n_layers), (1 - _NEAR) / n_layers)
    for start, group in zip(near, groups, strict=True):
        start[group] += _NEAR / len(group)
    # Two that follow no plan, in case that the plan overlooks a kind of minimum.
    logs = stream(seed, "scalar_mix").normal(scale=_SPREAD, size=(_DRAWN_STARTS, n_layers))
    drawn = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.concatenate([even, near, drawn / drawn.sum(axis=1, keepdims=True)])


def explore(problem: MixProblem, guesses: Fits, tolerance: float, max_iterations: int) -> Fits:
    """The different minima that guesses lead to where sentences are few and steps cheap, the lowest first."""
    fits = leave_guesses(problem, guesses, tolerance, _WIDE)
    return find_minima(problem, fits.pick(choose_different(problem, fits)), tolerance, max_iterations)


def find_minima(problem: MixProblem, starts: Fits, tolerance: float, max_iterations: int) -> Fits:
    """The different minima that starts of one strength lead to, the lowest first.

    Args:
        problem: of all strengths.
        starts: of one of them.
        tolerance: of the lowest; the others are taken so far that one can tell what they are.
        max_iterations: of the solver.
    """
    found, most, left = starts, _FIRST, max_iterations
    while True:
        tolerances = torch.full_like(found.slopes, max(tolerance, _TELLING))
        tolerances[found.losses.argmin()] = tolerance
        busy = found.slopes > tolerances
        if not bool(busy.any()):
            # Layers that were left out on the way may be wanted at its end: then it is none, whatever its slopes say.
            busy = find_waking(problem, found, tolerances)
            found = replace(found, slopes=found.slopes.masked_fill(busy, torch.inf))
        if left <= 0 or not bool(busy.any()):
            break
        # One alone has nobody to meet.
        most = min(most if len(found) > 1 else max(most, _ALONE), left)
        going = found.pick(busy)
        ends = go_downhill(problem, going, tolerances[busy], most)
        steps = ends.n_iterations - found.n_iterations
        found = join_fits([ends, found.pick(~busy)])
        found = found.pick(choose_different(problem, found))
        # Not there, with steps to spare or without a change that float32 can hold: no step lowers the loss any more.
        if (steps < most or _stand_still(going, ends)) and bool((ends.slopes > tolerances[busy]).any()):
            break
        # Those that are left have moved, and get new coordinates; the fewer they are, the longer is it worth to wait.
        left, most = left - steps, 2 * most
    return found


def _stand_still(before: Fits, after: Fits) -> bool:
    # Slopes are unknown where losses are those of another strength, or none.
    known = bool(before.slopes.isfinite().all())
    rounding = 4 * torch.finfo(after.losses.dtype).eps * (1 + after.losses.abs())
    return known and bool((before.losses - after.losses <= rounding).all())


def choose_different(problem: MixProblem, fits: Fits) -> list[int]:
    """Of fits of one strength that lie in one valley, the lowest; from the lowest up."""
    kept, waiting = [], fits.losses.argsort().tolist()
    while waiting:
        lowest, *waiting = waiting
        kept.append(lowest)
        apart = _find_ridges(problem, fits, lowest, waiting) if waiting else []
        waiting = [number for number, parted in zip(waiting, apart, strict=True) if parted]
    return kept


def _find_ridges(problem: MixProblem, fits: Fits, lowest: int, others: list[int]) -> list[bool]:
    """True for each of some fits that a ridge parts from a lower one.

    Fits whose middle has a loss below their mean are on their way into one valley; measured when they have come some
    way, it never joined starts that end in different minima, while their mixes alone tell two in one long
    valley from two minima only at the end.
    """
    far = (fits.mixes[others] - fits.mixes[lowest]).abs().sum(dim=1) >= APART
    middle = [(part[others] + part[lowest]) / 2 for part in (fits.mixes, fits.weights, fits.intercepts)]
    higher = problem.measure(fits.numbers[others], *middle) > (fits.losses[others] + fits.losses[lowest]) / 2
    return (far & higher).tolist()


def choose_distant(mixes: Float[Tensor, "ends layers"], losses: Float[Tensor, " ends"]) -> list[int]:
    """Numbers of ends, of those whose mixes are near one another the lowest; from the lowest up."""
    kept: list[int] = []
    for number in losses.argsort().tolist():
        if all(float((mixes[number] - mixes[other]).abs().sum()) >= APART for other in kept):
            kept.append(number)
    return kept
