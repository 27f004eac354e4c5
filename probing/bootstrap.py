"""The bootstrap (Efron 1979), for what a run writes and for what its report compares: one way to draw, one interval.

A resample of n things is drawn with replacement, and everything here counts how often each was drawn. Where things come
in few kinds, with counts c_1..c_k, the draws of a kind are m ~ Mult(n, c / n), which is the same distribution without
touching the single things (`draw_counts`); where each is its own kind, they are counted one by one (`resample_counts`).

How many resamples there are is the caller's: `N_ROW` for the thousands of rows of a run's tables, `N_COMPARISON` for
the few differences that a verdict hangs on.

A share, and the mean of paired differences, such as right and wrong of two readouts, have intervals without a
bootstrap: see `wilson_interval` and `interval_of_differences`.
"""

from typing import Any

import numpy as np
from jaxtyping import Float, Int, Num
from scipy.stats import norm

N_ROW = 1_000
"""Resamples for a row of a table."""
N_COMPARISON = 10_000
"""Resamples for a comparison."""
LEVEL = 0.95
"""Of every interval, unless it says otherwise."""


def draw_counts(
    counts: Num[np.ndarray, " kinds"], generator: np.random.Generator, n_resamples: int
) -> Int[np.ndarray, "resamples kinds"]:
    """Draw how often each kind is met in each resample of as many things as there are.

    Args:
        counts: how many things there are of each kind.
        generator: of the draws.
        n_resamples: how many resamples.
    """
    n = round(float(counts.sum()))
    return generator.multinomial(n, counts / n, size=n_resamples)


def resample_counts(
    n: int, generator: np.random.Generator, n_resamples: int = N_ROW
) -> Float[np.ndarray, "resamples things"]:
    """Draw how often each of n things, no two alike, is met in each resample."""
    counts = np.empty((n_resamples, n))
    for row in counts:
        row[:] = np.bincount(generator.integers(n, size=n), minlength=n)
    return counts


def resample_rows(
    values: Num[np.ndarray, "rows things"], generator: np.random.Generator, n_resamples: int = N_COMPARISON
) -> Float[np.ndarray, "rows resamples"]:
    """The joint bootstrap distribution of the means of several rows: all are resampled alike.

    Things of equal columns are one kind.
    """
    kinds, counts = np.unique(values, axis=1, return_counts=True)
    return kinds @ draw_counts(counts, generator, n_resamples).T / values.shape[1]


def percentile_interval(resamples: Num[np.ndarray, "*rows resamples"], level: float = LEVEL) -> tuple[Any, Any]:
    """The percentile interval of a bootstrap distribution (Efron and Tibshirani 1993, chapter 13).

    The bound of tail p is the resample of rank (R + 1) p of R, read between two where that is no whole number (Weibull
    1939): the truth, were it of their law, falls into each of the R + 1 gaps between resamples equally often, so that
    the interval of forty holds 95 % as that of thousands does. By numpy's default, (R - 1) p + 1, it would hold 90.

    Returns:
        Lower and upper bound: two numbers, or two arrays with the axes `*rows`.
    """
    tail = (1 - level) / 2
    low, high = np.quantile(resamples, [tail, 1 - tail], axis=-1, method="weibull")
    return low, high


def wilson_interval(share: Any, n: Any) -> tuple[Any, Any]:
    """Wilson's interval (1927, J. Am. Stat. Assoc. 22, 209) of shares p of n independent things.

        (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)

    It covers near 0 and 1 and of few things too; a bootstrap has no width where all are alike.

    Returns:
        Lower and upper bound, of the shape of `share`.
    """
    z = norm.ppf((1 + LEVEL) / 2)
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    # By rounding, a bound at 0 or 1 may lie on the wrong side of the share.
    return np.minimum(np.maximum(centre - half, 0.0), share), np.maximum(np.minimum(centre + half, 1.0), share)


def interval_of_differences(differences: Num[np.ndarray, "*rows things"], level: float = LEVEL) -> tuple[Any, Any]:
    """The interval of the mean of differences between -1 and 1, each of one thing measured twice.

    Bonett and Price 2012 (J. Educ. Behav. Stat. 37, 479): to the n differences d one of 1 and one of -1 are added,

        m +- z sqrt(v / (n + 2)),    m = sum d / (n + 2),    v = (sum d^2 + 2) / (n + 2) - m^2

    A bootstrap has no width where all d are alike; of 72 sentences of which 3 % differ, all to one side, it covers
    .89, and this .95 and more.

    Returns:
        Lower and upper bound: two numbers, or two arrays with the axes `*rows`.
    """
    n = differences.shape[-1] + 2
    mean = differences.sum(axis=-1) / n
    variance = (np.square(differences).sum(axis=-1) + 2) / n - mean**2
    half = norm.ppf((1 + level) / 2) * np.sqrt(variance / n)
    return np.maximum(mean - half, -1.0), np.minimum(mean + half, 1.0)
