"""Scores of two models trained from the same seeds: their difference, over other seeds and other sentences."""

import numpy as np
import pandas as pd
from scipy.stats import norm

from analysis.stats.significance import add_errors, error_over_seeds
from probing.bootstrap import LEVEL

Estimate = tuple[float, float, float, float]
"""A mean, the bounds of its interval and the two-sided p of 0; NaN where there is one value, or all are alike."""


def compare_over_seeds(differences: pd.Series, sentence_variance: float = 0.0, level: float = LEVEL) -> Estimate:
    """The mean of a difference over seeds, which are paired.

    With s^2 / m the variance of the mean of m differences, and v that over the sentences which all seeds are scored
    on, the bounds are (Howe 1974, a sum of two estimates of which one is Student's)

        mean -+ sqrt(t_{m-1}^2 s^2 / m + z^2 v)

    and p is 1 less the level whose interval ends at 0. v = 0 gives the paired t test.
    """
    mean, over_seeds = float(differences.mean(skipna=False)), error_over_seeds(differences.to_numpy())
    if over_seeds is None:
        return mean, np.nan, np.nan, np.nan
    _, half, p = add_errors(mean, [over_seeds, (sentence_variance, np.inf)], level)
    return mean, mean - half, mean + half, p


def compare_scores(one: pd.DataFrame, two: pd.DataFrame, level: float = LEVEL) -> Estimate:
    """Score of the second less that of the first, in [-1, 1], over other seeds and other sentences.

    Training writes no predictions down, so how often two models fail on the same sentences is not known; they are taken
    to fail independently, which is the wider assumption where their errors go together, as they mostly do.

    Args:
        one: rows of `TrainedModel`, one per seed, of one split and metric.
        two: likewise; seeds that only one of them has are left out.
        level: of the interval.
    """
    values = [rows.set_index("seed")["value"] for rows in (one, two)]
    variance = sum(map(variance_over_sentences, (one, two)))
    return compare_over_seeds((values[1] - values[0]).dropna(), variance, level)


def variance_over_sentences(rows: pd.DataFrame) -> float:
    """Of a score, by the mean width of its intervals."""
    half = (rows["ci_high"] - rows["ci_low"]).mean() / 2
    return float(half / norm.isf((1 - LEVEL) / 2)) ** 2
