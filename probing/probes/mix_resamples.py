"""How far other training sentences would have moved the weights of a mix: its fit again on bootstrap resamples.

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

from probing.probes.mix_newton import MixNewton, Place
from probing.probes.mix_problem import MixProblem
from probing.probes.mix_search import go_down
from probing.probes.scalar_mix import ScalarMixProbe
from probing.probes.stack_blocks import StackBlocks

# Looser than the probe's own: what remains of the gradient moves the weights less than another sample does.
_TOLERANCE = 1e-3
_MOST_ITERATIONS = 300
_REVIVED = 0.1
"""What all layers share in a start: a resample may need one that the probe left out."""


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
    vectors = StackBlocks(X, probe.norm, probe.device)
    vectors.hold()
    drawn = torch.tensor(counts, dtype=vectors.mean.dtype, device=probe.device)
    problem = MixProblem(vectors, torch.tensor(y, device=probe.device), [probe.strength_] * len(counts), drawn)
    even = np.full((1, len(X)), 1 / len(X))
    mixes = (1 - _REVIVED) * np.concatenate([probe.minima_, even]) + _REVIVED * even
    classifier = (torch.from_numpy(part).to(problem.root) for part in (probe.coef_, probe.intercept_))
    weights, intercepts = classifier
    places = [Place(mix, weights, intercepts) for mix in mixes]
    ends = [
        go_down(MixNewton(problem, number, _TOLERANCE, _MOST_ITERATIONS), places, []) for number in range(len(counts))
    ]
    lowest = [min(places, key=lambda place: place.loss).mix for places in ends]
    return Refits(np.stack(lowest), np.array([len(places) for places in ends]))
