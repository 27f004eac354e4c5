"""How far other training sentences would have moved the weights of a mix: its fit again on bootstrap resamples.

A resample b counts every training sentence n_bi times, sum_i n_bi = N (Efron 1979), and minimises what the mix does,

    (1/N) sum_i n_bi loss_i(w, W, b)  +  (lambda / 2) ||W||^2

from the same start and with the strength lambda that was chosen once. The weights are not normal around their minimum:
where the loss has several, or weights go to 0, a resample may end elsewhere. Therefore it is fitted again, and nothing
is read off the curvature at one minimum.
"""

import numpy as np
import torch
from jaxtyping import Float, Int

from probing.probes.mix_problem import MixProblem
from probing.probes.scalar_mix import ScalarMixProbe, draw_start
from probing.probes.solver import minimise
from probing.probes.stack_blocks import StackBlocks

# Looser than the probe's own: what remains of the gradient moves the weights less than another sample does. At 3e-3 it
# does not: where the weights move slowly (SentLen), they are then nearer to the start than to the end.
_TOLERANCE = 1e-3
_MOST_ITERATIONS = 300
_GROUP_NUMBERS = 2**23
"""Weights, counted for every layer, that are fitted together: ten times as much memory, here 300 MiB."""


def refit_weights(
    probe: ScalarMixProbe,
    X: Float[np.ndarray, "layers sentences hidden"],
    y: Int[np.ndarray, " sentences"] | Float[np.ndarray, "sentences classes"],
    counts: Float[np.ndarray, "samples sentences"],
) -> Float[np.ndarray, "samples layers"]:
    """The weights after softmax of every resample, as many fitted together as memory should hold.

    Args:
        probe: fitted to the same sentences; its strength, start and norm are kept.
        X: the training vectors.
        y: their labels, as the probe was given them.
        counts: how often each sentence occurs in each resample.
    """
    vectors = StackBlocks(X, probe.norm, probe.device)
    drawn = torch.tensor(counts, dtype=vectors.mean.dtype, device=probe.device)
    labels = torch.tensor(y, device=probe.device)
    problem = MixProblem(vectors, labels, [probe.strength_] * len(counts), drawn)
    start = problem.start(draw_start(probe.seed, len(X)))
    problem.prepare(_TOLERANCE)
    weights, size = [], max(1, _GROUP_NUMBERS // (len(X) * start.shape[1]))
    for numbers in torch.arange(len(start), device=start.device).split(size):
        options = {"tolerance": _TOLERANCE, "max_iterations": _MOST_ITERATIONS, "numbers": numbers}
        points = minimise(problem, start[numbers], **options).points
        weights.append(problem.unpack(points, numbers)[0].softmax(dim=1))
    return torch.cat(weights).cpu().numpy()
