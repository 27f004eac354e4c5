"""Statistics of paired comparisons, on arrays of per-sentence differences.

Everywhere `differences` is, per test sentence, (correct by the first) - (correct by the second): -1, 0 or 1; with
several seeds, the difference of the two shares of seeds that were correct.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import brentq
from scipy.special import stdtrit
from scipy.stats import binomtest, norm

Array = np.ndarray

ALPHA = 0.05
"""Level of the tests; the intervals are 1 - ALPHA."""
_POWER = 0.8
"""Chance with which a difference is to be found, in the smallest one that a test set resolves."""
MARGIN = 0.01
"""Difference below which two scores are as good as equal: a point."""


Error = tuple[float, float]
"""A variance of a mean, and its degrees of freedom: infinity for one that is known."""
_LEAST_P = 1e-12


def average_intervals(
    intervals: Float[Array, "tasks 3"], correlation: Float[Array, "tasks tasks"] | None = None
) -> Float[Array, "3"]:
    """The mean over tasks of a number, and its interval.

    What each interval leaves to either side of its number is added as errors are (MOVER; Zou and Donner 2008, Stat.
    Med. 27, 1693; with correlation, Zou 2007, Psychol. Methods 12, 399): with a_k = |d_k - bound_k|,

        mean -+ sqrt(sum_jk r_jk a_j a_k) / K

    Of one task it is the task's own interval.

    Args:
        intervals: d_k and its lower and upper bound.
        correlation: r of the numbers' errors, as `correlate_means` gives it; none: each task has sentences of its own.
    """
    mean = intervals[:, 0].mean()
    away = np.abs(intervals[:, 1:] - intervals[:, :1])
    known = np.eye(len(away)) if correlation is None else correlation
    below, above = np.sqrt(np.einsum("jb,jk,kb->b", away, known, away)) / len(away)
    return np.array([mean, mean - below, mean + above])


def correlate_means(
    values: Sequence[Float[Array, " _sentences"]], sentences: Sequence[Int[Array, " _sentences"]]
) -> Float[Array, "tasks tasks"]:
    """The correlation of the errors of several means, some of which are over the same sentences.

    With sentences drawn as wholes, each into all tasks that it stands in, the covariance of the means of d_j and d_k is
    sum_s e_js e_ks, e_ks the sum over the rows i of task k that are sentence s of (d_ki - mean d_k) / n_k: that of a
    bootstrap of sentences (Cameron and Miller 2015, J. Hum. Resour. 50, 317). A mean that does not vary has 0.

    Args:
        values: of each task, d for each of its rows.
        sentences: of each task, a number for each row, the same for the same sentence.
    """
    distinct, places = np.unique(np.concatenate(sentences), return_inverse=True)
    borders = np.cumsum([len(own) for own in sentences])[:-1]
    errors = [
        np.bincount(place, weights=(own - own.mean()) / len(own), minlength=len(distinct))
        for own, place in zip(values, np.split(places, borders), strict=True)
    ]
    covariance = np.stack(errors) @ np.stack(errors).T
    spread = np.sqrt(np.diag(covariance))
    safe = np.where(spread > 0, spread, 1.0)
    return np.where(np.eye(len(safe)) > 0, 1.0, covariance / np.outer(safe, safe))


def add_errors(mean: float, errors: Sequence[Error], level: float = 1 - ALPHA) -> tuple[float, float, float]:
    """Half the interval of a sum of independent errors and the like (Howe 1974, J. Am. Stat. Assoc. 69, 789).

    With variances v_i of f_i degrees of freedom the bounds are mean -+ sqrt(sum_i t_{f_i}^2 v_i), and p is 1 less the
    level whose interval ends at 0.

    Returns:
        The mean, half the width of its interval, and the two-sided p of 0; NaN where nothing varies.
    """
    if not sum(variance for variance, _ in errors) > 0:
        return mean, np.nan, np.nan

    def half(tail: float) -> float:
        # The quantile that scipy.stats.t has, without its checks of arrays, some hundred times faster.
        return float(np.sqrt(sum(stdtrit(freedom, tail) ** 2 * variance for variance, freedom in errors)))

    beyond = half(_LEAST_P / 2) <= abs(mean)
    p: Any = _LEAST_P if beyond else brentq(lambda p: half(p / 2) - abs(mean), _LEAST_P, 1)
    return mean, half((1 - level) / 2), float(p)


def error_over_seeds(values: Float[Array, " seeds"]) -> Error | None:
    """The variance of the mean of values of several seeds, with its degrees of freedom; none of a single seed."""
    return (float(values.var(ddof=1)) / len(values), len(values) - 1.0) if len(values) > 1 else None


def mcnemar(differences: Float[Array, " sentences"]) -> float:
    """Two-sided p of the exact McNemar test (1947).

    Of the b + c sentences that tell the two apart, b are better by the first: b ~ Bin(b + c, 1/2) if neither is.
    With several seeds, b and c count the sentences where more seeds of the one side were correct (a sign test).
    Returns 1 where no sentence tells the two apart.
    """
    better, worse = int((differences > 0).sum()), int((differences < 0).sum())
    if better + worse == 0:
        return 1.0
    return float(binomtest(better, better + worse).pvalue)


def holm(p_values: Sequence[float]) -> Float[Array, " tests"]:
    """P values corrected for their number by Holm's step-down rule (1979).

    With p_(1) <= ... <= p_(m): corrected p_(i) = max over j <= i of min(1, (m - j + 1) p_(j)).
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return corrected


def is_equivalent(low: float, high: float, margin: float = MARGIN) -> bool:
    """True where a difference is shown to be smaller than a margin, either way.

    Two one-sided tests, each at `ALPHA` (Schuirmann 1987, J. Pharmacokin. Biopharm. 15, 657): both hold where the
    interval of level 1 - 2 ALPHA lies within (-margin, margin). It is not corrected for the number of comparisons.

    Args:
        low: lower bound of that interval, which is narrower than the one shown.
        high: its upper bound.
        margin: in the unit of the bounds.
    """
    return bool(-margin < low and high < margin)


def smallest_difference(differences: Float[Array, " sentences"]) -> float:
    """The smallest true difference of accuracies that a two-sided paired test on this test set finds.

    For why it should be told: Card et al. 2020 (arXiv 2010.06595).
    (z_{1-alpha/2} + z_power) * sqrt(mean(d^2) / n): mean(d^2) is the share of sentences on which the two disagree,
    the variance of d where there is no difference. Where they hardly disagree, that normal law is none, and it says
    that nothing is too small; the exact test needs six sentences, all of them for one side (2 / 2^6 < 0.05), so that
    their share is the least that it can be. Fewer sentences than that resolve nothing: 1.
    """
    n, fewest = len(differences), int(np.log2(2 / ALPHA)) + 1
    deviation = np.sqrt(np.mean(np.square(differences)) / n)
    return float(min(1.0, max((norm.ppf(1 - ALPHA / 2) + norm.ppf(_POWER)) * deviation, fewest / n)))
