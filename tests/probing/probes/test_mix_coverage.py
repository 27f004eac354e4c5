"""The interval of a mix's centre of gravity holds the truth about as often as it says."""

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
def test_the_centre_of_gravity_is_covered():
    rng = np.random.default_rng(1)
    layers, samples = np.arange(N_LAYERS), 60
    truth = float(fit(40_000, rng)[0].weights_ @ layers)
    covered = 0
    for _ in range(samples):
        probe, stack, labels = fit(600, rng)
        refits = refit_weights(probe, stack, labels, resample_counts(len(labels), rng, 40))
        low, high = percentile_interval(refits.weights @ layers)
        covered += low <= truth <= high
    # 60 samples at .95: standard error .028. A bootstrap of a penalised fit is a little biased: three of them.
    assert covered / samples >= 0.95 - 3 * 0.028
