"""Uncertainty of a score, given how many sentences it was measured on."""

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import binomtest

from probing.bootstrap import LEVEL, N_ROW, draw_counts, percentile_interval, resample_counts
from probing.registry import METRICS

_COUNTS = 2**24
"""Most counts of a bootstrap that are in memory at a time (128 MiB): all, up to some 16,000 sentences."""
_SHARE = "accuracy"
"""The metric that is a share of sentences."""


def score_with_interval(
    metric: str,
    labels: Int[np.ndarray, " sentences"] | Float[np.ndarray, " sentences"],
    predicted: Int[np.ndarray, " sentences"] | Float[np.ndarray, " sentences"],
    rng: np.random.Generator,
) -> Float[np.ndarray, "3"]:
    """The score and the bounds of its 95 % interval over sentences.

    An accuracy is a share of independent sentences and has Wilson's interval (1927), which covers near 0 and 1 and on
    small sets too; a bootstrap has no width where all are right. Other metrics have the percentile bootstrap's;
    sentences with the same label and prediction are of one kind there, and drawn as such.
    """
    rule = METRICS.load(metric)
    pairs, counts = np.unique(np.stack([labels, predicted]), axis=1, return_counts=True)
    value = rule(pairs[0], pairs[1], counts[None])[0]
    if metric == _SHARE:
        low, high = find_wilson(int(counts[pairs[0] == pairs[1]].sum()), len(labels))
    else:
        parts = [rule(pairs[0], pairs[1], draw_counts(counts, rng, n)) for n in _split_resamples(len(counts))]
        low, high = percentile_interval(np.concatenate(parts))
    return np.array([value, low, high])


def find_wilson(n_right: int, n: int) -> tuple[float, float]:
    """The bounds of Wilson's 95 % interval of a share."""
    interval = binomtest(n_right, n).proportion_ci(LEVEL, method="wilson")
    return float(interval.low), float(interval.high)


def means_with_intervals(
    values: Float[np.ndarray, "readouts sentences"], rng: np.random.Generator
) -> Float[np.ndarray, "readouts 3"]:
    """The mean of each row and the bounds of its 95 % percentile bootstrap interval over sentences.

    All rows are resampled alike.
    """
    n = values.shape[1]
    parts = [values @ resample_counts(n, rng, n_resamples).T / n for n_resamples in _split_resamples(n)]
    return np.column_stack([values.mean(axis=1), *percentile_interval(np.concatenate(parts, axis=1))])


def _split_resamples(n: int) -> list[int]:
    """Number of resamples of n things to draw at a time, so that their counts fit in memory; all of them in the end.

    One after the other they are the same draws as all at once.
    """
    most = min(N_ROW, max(1, _COUNTS // n))
    return [min(most, N_ROW - begun) for begun in range(0, N_ROW, most)]
