"""Weights of a mix had the training sentences been others: its fit again on bootstrap resamples.

A resample b counts every training sentence n_bi times, sum_i n_bi = N (Efron 1979), and minimises what the mix does,

    (1/N) sum_i n_bi loss_i(w, W, b)  +  (lambda / 2) ||W||^2

with the strength lambda that was chosen once. The weights are not normal around their minimum: weights go to 0, and
where the loss has several minima, another one may be the lowest of a resample. So every resample is fitted again, from
all minima that the probe found and from even weights, and its lowest end is kept.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from probing.probes.mix_descent import NEAR, Coordinates, Fits, fit_classifiers, guess_evenly
from probing.probes.mix_problem import MixProblem
from probing.probes.mix_search import choose_distant
from probing.probes.scalar_mix import ScalarMixProbe
from probing.probes.solver import alone, minimise
from probing.probes.stack_blocks import StackBlocks

_TOLERANCE = 3e-4
"""Looser than the probe's own: what remains of the gradient moves the weights less than another sample does. At 1e-3 it
does not where the weights move slowly (SentLen): they are then nearer to the start than to the end."""
_MOST_ITERATIONS, _MEMORY = 300, 30
"""Most steps, and those that the solver learns curvature from."""
_GROUP_NUMBERS = 2**22
"""Weights, counted for every layer, that are fitted together: history and slopes are twenty times as much memory, here
300 MiB."""
_REVIVED = 0.1
"""Share that all layers have together in a start: a resample may need one that the probe left out."""


@dataclass(frozen=True)
class Refits:
    """The lowest minimum of every resample."""

    weights: Float[np.ndarray, "samples layers"]
    """After softmax."""
    n_minima: Int[np.ndarray, " samples"]
    """Different minima that the starts of a resample ended in."""


def refit_weights(
    probe: ScalarMixProbe,
    X: Float[np.ndarray, "layers sentences hidden"],
    y: Int[np.ndarray, " sentences"] | Float[np.ndarray, "sentences classes"],
    counts: Float[np.ndarray, "samples sentences"],
) -> Refits:
    """Fit the mix again to every resample.

    Args:
        probe: fitted to the same sentences; its strength, minima and norm are kept.
        X: the training vectors.
        y: their labels, as the probe was given them.
        counts: how often each sentence occurs in each resample.
    """
    threads = torch.get_num_threads()
    return alone(lambda: _refit(probe, X, y, counts, threads))


def _refit(probe: ScalarMixProbe, X: np.ndarray, y: np.ndarray, counts: np.ndarray, threads: int) -> Refits:
    vectors = StackBlocks(X, probe.norm, probe.device)
    drawn = torch.tensor(counts, dtype=vectors.mean.dtype, device=probe.device)
    problem = MixProblem(vectors, torch.tensor(y, device=probe.device), [probe.strength_] * len(counts), drawn, threads)
    even = np.full((1, len(X)), 1 / len(X))
    mixes = torch.from_numpy(np.concatenate([(1 - _REVIVED) * probe.minima_ + _REVIVED * even, even]))
    guesses = guess_evenly(problem, 0, mixes)
    starts = fit_classifiers(problem, guesses, torch.full_like(guesses.losses, _TOLERANCE))
    problem.loss.prepare(_TOLERANCE)
    # All resamples that begin in one place go on side by side, in its directions.
    ends = [_follow(problem, start, len(counts)) for start in starts]
    lowest, n_minima = [], []
    for own in zip(*ends, strict=True):
        found = torch.stack([mix for mix, _ in own])
        kept = choose_distant(found, torch.stack([loss for _, loss in own]))
        lowest.append(found[kept[0]])
        n_minima.append(len(kept))
    # In float32 they add up to 1 but for the last digit, and a centre of gravity could lie below the lowest layer.
    weights = torch.stack(lowest).double()
    return Refits((weights / weights.sum(dim=1, keepdim=True)).cpu().numpy(), np.array(n_minima))


def _follow(problem: MixProblem, start: Fits, n_resamples: int) -> list[tuple[Tensor, Tensor]]:
    """Mix and loss of every resample, where its way down from the start ends."""
    size = max(1, _GROUP_NUMBERS // (problem.n_layers * (start.weights.numel() + problem.n_layers)))
    ends: list[tuple[Tensor, Tensor]] = []
    for numbers in torch.arange(n_resamples, device=problem.mean.device).split(size):
        coordinates = Coordinates(problem, start.repeat(numbers))
        end = minimise(
            coordinates, coordinates.pack(NEAR), tolerance=_TOLERANCE, max_iterations=_MOST_ITERATIONS, memory=_MEMORY,
            reference=problem.steepness[numbers],
        )  # fmt: skip
        fits = coordinates.unpack(end)
        ends += zip(fits.mixes, fits.losses, strict=True)
    return ends
