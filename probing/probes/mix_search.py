"""The minima of a mixed probe at one strength: wide starts, solved side by side, of which those that meet go on as one.

The loss is convex in the classifier for given layer weights, but not in both. One pass over the stack serves all
starts, so that ten cost little more than two.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from probing.probes.mix_problem import MixProblem, square
from probing.probes.solver import Solution
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
_BETWEEN = 40
"""Iterations after which starts that have met are joined, the first two times."""


@dataclass(frozen=True)
class Minima:
    """Different minima of one problem, the lowest first."""

    points: Float[Tensor, "minima parameters"]
    mixes: Float[Tensor, "minima layers"]
    losses: Float[Tensor, " minima"]
    converged: Bool[Tensor, " minima"]
    n_iterations: int


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


def find_minima(
    problem: MixProblem, number: int, starts: Float[Tensor, "starts parameters"], tolerance: float, max_iterations: int
) -> Minima:
    """The different minima of one problem that the starts lead to.

    Args:
        problem: of all strengths.
        number: of one of them.
        starts: points.
        tolerance: as the solver takes it.
        max_iterations: of the solver.
    """
    n_iterations, tried = 0, 0
    numbers = torch.full((len(starts),), number, device=starts.device)
    while True:
        # The steps between get longer: those that go on have less and less to meet.
        most = min(_BETWEEN * 2 ** max(0, tried - 1), max_iterations - n_iterations)
        found = keep_different(problem, problem.go_on(starts, numbers[: len(starts)], tolerance, most))
        n_iterations, tried, starts = n_iterations + found.n_iterations, tried + 1, found.points
        # Fewer than were allowed: all have converged, or no step lowers the loss of those that have not.
        if found.n_iterations < most or n_iterations >= max_iterations:
            return replace(found, n_iterations=n_iterations)


def keep_different(problem: MixProblem, solution: Solution) -> Minima:
    """Of ends that are near one another, the lowest."""
    mixes = square(solution.points[:, -problem.n_layers :])
    # From the lowest loss up, so that of two that have met the better one stays.
    kept: list[int] = []
    for number in solution.losses.argsort().tolist():
        if all(float((mixes[number] - mixes[other]).abs().sum()) >= APART for other in kept):
            kept.append(number)
    ends = solution.pick(torch.tensor(kept, device=mixes.device))
    return Minima(ends.points, mixes[kept], ends.losses, ends.converged, solution.n_iterations)
