"""Statistics of paired comparisons, on arrays of per-sentence differences.

Everywhere `differences` is, per test sentence, (correct by the first) - (correct by the second): -1, 0 or 1; with
several seeds, the difference of the two shares of seeds that were correct.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.stats import binomtest, norm

Array = np.ndarray

ALPHA = 0.05
"""Level of the tests; the intervals are 1 - ALPHA."""
MARGIN = 0.01
"""Difference below which two scores are as good as equal: a point."""


def average_intervals(intervals: Float[Array, "tasks 3"]) -> Float[Array, "3"]:
    """The mean over tasks of a number, and its interval, each task being measured on sentences of its own.

    What each interval leaves to either side of its number is added as errors are (MOVER; Zou and Donner 2008, Stat.
    Med. 27, 1693): mean -+ sqrt(sum_k (d_k - bound_k)^2) / K. Of one task it is the task's own interval.

    Args:
        intervals: d_k and its lower and upper bound.
    """
    mean = intervals[:, 0].mean()
    below, above = np.sqrt(np.square(intervals[:, 1:] - intervals[:, :1]).sum(axis=0)) / len(intervals)
    return np.array([mean, mean - below, mean + above])


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


def smallest_difference(differences: Float[Array, " sentences"], alpha: float = 0.05, power: float = 0.8) -> float:
    """The smallest true difference of accuracies that a two-sided paired test on this test set finds.

    For why it should be told: Card et al. 2020 (arXiv 2010.06595).
    (z_{1-alpha/2} + z_power) * sqrt(mean(d^2) / n): mean(d^2) is the share of sentences on which the two disagree,
    the variance of d where there is no difference. Returns 0 where they never disagree: nothing to resolve.
    """
    deviation = np.sqrt(np.mean(np.square(differences)) / len(differences))
    return float((norm.ppf(1 - alpha / 2) + norm.ppf(power)) * deviation)
