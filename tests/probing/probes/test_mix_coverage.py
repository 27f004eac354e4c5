"""The intervals of a mix's weights hold the truth about as often as they say."""

import numpy as np
import pytest

from probing.bootstrap import percentile_interval, resample_counts
from probing.probes.mix_resamples import refit_weights
from probing.probes.scalar_mix import ScalarMixProbe

N_LAYERS, HIDDEN, STRENGTH = 4, 12, 0.01
SHARES = np.array([0.1, 0.5, 0.3, 0.1])
"""Of the mix that the labels are drawn from."""


def draw(n, rng):
    stack = rng.normal(size=(N_LAYERS, n, HIDDEN)).astype(np.float32)
    direction = np.random.default_rng(0).normal(size=HIDDEN)
    margin = 2 * np.tensordot(SHARES, stack, axes=1) @ direction
    return stack, (rng.random(n) < 1 / (1 + np.exp(-margin))).astype(int)


def fit(n, rng):
    stack, labels = draw(n, rng)
    probe = ScalarMixProbe(strengths=(STRENGTH,)).fit(stack, labels, *draw(50, rng))
    return probe, stack, labels


@pytest.mark.slow
def test_weights_their_centre_of_gravity_and_their_entropy_are_covered():
    rng = np.random.default_rng(1)
    samples, truth = 60, summarise(fit(40_000, rng)[0].weights_[None])
    covered = np.zeros((samples, N_LAYERS + 2))
    for number in range(samples):
        probe, stack, labels = fit(600, rng)
        refits = refit_weights(probe, stack, labels, resample_counts(len(labels), rng, 40))
        low, high = percentile_interval(summarise(refits.weights).T)
        covered[number] = (low <= truth) & (truth <= high)
    # 60 samples at .95: standard error .028. A bootstrap of a penalised fit is a little biased: three of them.
    assert (covered.mean(axis=0) >= 0.95 - 3 * 0.028).all()


def summarise(weights):
    """By row: the weights, their centre of gravity, their entropy in bits."""
    logs = np.log2(weights, out=np.zeros_like(weights), where=weights > 0)
    return np.column_stack([weights, weights @ np.arange(N_LAYERS), -(weights * logs).sum(axis=1)]).squeeze()
