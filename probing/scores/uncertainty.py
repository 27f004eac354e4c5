"""How sure a score is, given how many sentences it was measured on."""

import numpy as np
from jaxtyping import Float, Int

from probing.registry import METRICS

_SAMPLES = 1000
_LEVEL = 0.95


def score_with_interval(
    metric: str,
    labels: Int[np.ndarray, " sentences"] | Float[np.ndarray, " sentences"],
    predicted: Int[np.ndarray, " sentences"] | Float[np.ndarray, " sentences"],
    rng: np.random.Generator,
) -> Float[np.ndarray, "3"]:
    """The score and the bounds of its 95 % percentile bootstrap interval over sentences (Efron 1979).

    Drawing sentences with replacement is drawing the counts of the distinct (label, prediction) pairs from a
    multinomial distribution, which is how it is done: the same distribution, without touching sentences.
    """
    rule = METRICS.load(metric)
    pairs, counts = np.unique(np.stack([labels, predicted]), axis=1, return_counts=True)
    drawn = rng.multinomial(len(labels), counts / len(labels), size=_SAMPLES)
    tail = (1 - _LEVEL) / 2
    low, high = np.quantile(rule(pairs[0], pairs[1], drawn), [tail, 1 - tail])
    return np.array([rule(pairs[0], pairs[1], counts[None])[0], low, high])


def means_with_intervals(
    values: Float[np.ndarray, "readings sentences"], rng: np.random.Generator
) -> Float[np.ndarray, "readings 3"]:
    """The mean of each row and the bounds of its 95 % percentile bootstrap interval over sentences.

    All rows are resampled alike.
    """
    counts = resample_counts(values.shape[1], rng)
    means = values @ counts.T / values.shape[1]
    return np.column_stack([values.mean(axis=1), bound(means)])


def resample_counts(n: int, rng: np.random.Generator, samples: int = _SAMPLES) -> Float[np.ndarray, "samples n"]:
    """How often each of n sentences occurs in each bootstrap sample."""
    counts = np.empty((samples, n))
    for row in counts:
        row[:] = np.bincount(rng.integers(n, size=n), minlength=n)
    return counts


def bound(resamples: Float[np.ndarray, "readings samples"]) -> Float[np.ndarray, "readings 2"]:
    """Lower and upper bound of the 95 % percentile interval of each row."""
    tail = (1 - _LEVEL) / 2
    return np.quantile(resamples, [tail, 1 - tail], axis=1).T
