"""What the intervals of a run's measures cover, by simulation."""

import numpy as np
import pytest
from scipy.special import log_expit

from probing.bootstrap import percentile_interval, resample_counts
from probing.cells.code_length import code_sentences
from probing.scores.codelength import find_gravity, measure_code
from probing.scores.uncertainty import means_with_intervals
from probing.scores.usable_information import pointwise_information

pytestmark = pytest.mark.slow

N = 2000
"""Samples of each simulation of means: a coverage of .95 then has a standard error of .005."""
LEAST, MOST = 0.92, 0.98


def read(n, rng, scale):
    """A probe's log probabilities of two classes, and the classes: `scale` 1 is as sure as it should be."""
    labels = rng.integers(0, 2, n)
    evidence = 2 * scale * (rng.normal(size=n) + 2 * labels - 1)
    return np.stack([log_expit(-evidence), log_expit(evidence)], axis=1), labels


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("n", [40, 72, 300])
def test_usable_information_of_a_probe_covers_that_of_all_sentences(n, scale):
    rng, shares = np.random.default_rng(0), np.array([0.5, 0.5])
    dev = read(200, rng, scale)
    bits = pointwise_information(*dev, *read(n * N, rng, scale), shares)
    _, low, high = means_with_intervals(bits.reshape(N, n)).T
    truth = pointwise_information(*dev, *read(1_000_000, rng, scale), shares).mean()
    assert LEAST <= np.mean((low <= truth) & (truth <= high)) <= MOST


@pytest.mark.parametrize("n", [150, 600])
def test_what_one_probe_knows_beyond_another_is_covered(n):
    def differ(size):
        labels = rng.integers(0, 2, size)
        shared, more = rng.normal(size=(2, size)) + 2 * labels - 1
        signs = 2 * labels - 1
        return log_expit(2 * signs * (shared + more)) - log_expit(2 * signs * shared)

    rng = np.random.default_rng(1)
    _, low, high = means_with_intervals(differ(n * N).reshape(N, n)).T
    truth = differ(1_000_000).mean()
    # Long tails to both sides, which no skewness tells of: .90 with 40 sentences, .91 with 72.
    assert LEAST <= np.mean((low <= truth) & (truth <= high)) <= MOST


@pytest.mark.parametrize("deviation", [0.2, 0.5])
@pytest.mark.parametrize("n", [16, 64])
def test_a_mean_norm_of_gradients_is_covered_by_few_sentences(n, deviation):
    rng = np.random.default_rng(2)
    _, low, high = means_with_intervals(rng.lognormal(0, deviation, (N, n))).T
    truth = np.exp(deviation**2 / 2)
    assert LEAST <= np.mean((low <= truth) & (truth <= high)) <= MOST


def test_a_bootstrap_of_few_norms_would_not_cover():
    rng, covered = np.random.default_rng(3), []
    for _ in range(600):
        norms = rng.lognormal(0, 0.5, 16)
        low, high = percentile_interval(resample_counts(16, rng, 500) @ norms / 16)
        covered.append(low <= np.exp(0.125) <= high)
    assert np.mean(covered) < LEAST


def test_code_lengths_cover_those_of_new_training_sentences_less_often_than_they_say():
    """With the probes as they are the interval leaves out what other sentences would have made of the probes."""
    rng, n, n_samples = np.random.default_rng(4), 200, 70
    directions = np.random.default_rng(5).normal(size=(3, 4)) * np.array([[0.3], [0.8], [0.5]])
    values, lows, highs = [], [], []
    for _ in range(n_samples):
        labels = rng.integers(0, 2, n)
        vectors = rng.normal(size=(3, n, 4)) + (2 * labels - 1)[None, :, None] * directions[:, None]
        bits = code_sentences(vectors.astype(np.float32), labels, 2, by_layer=True)
        found = measure_code(bits, np.concatenate([np.ones((1, n)), resample_counts(n, rng, 300)]), 2)
        rows = np.concatenate([*found.values(), find_gravity(found["compression"], range(3))[None]])
        low, high = percentile_interval(rows[:, 1:])
        values.append(rows[:, 0]), lows.append(low), highs.append(high)
    truth = np.mean(values, axis=0)
    covered = np.mean((np.array(lows) <= truth) & (truth <= np.array(highs)), axis=0)
    # What the table's caption says: four fifths and more. The standard error of .83 is .045.
    assert (covered >= 0.83 - 3 * 0.045).all()
    assert covered.mean() < 0.95
