"""Uncertainty of what a procedure makes, where several encoders of it were probed on the same sentences.

With x_es what encoder e makes of sentence s (right or wrong, or a difference of two readouts), E encoders and S
sentences, the value is the mean of x. It is random twice over: other encoders and other sentences would move it. From
`FEWEST` encoders on, both are drawn with replacement, independently: the two-way bootstrap of MultiBERTs (Sellam et al.
2022, arXiv 2106.16163, section 4). Drawing 3 or 5 with replacement leaves out much of what they differ by: such an
interval covers .80 to .90 where encoders differ. Fewer therefore get Student's interval over the encoders' means m_e
and that over the sentences, added up (Howe 1974, of which one part is Student's):

    distance of a bound = sqrt(t_{E-1}^2 var(m) / E + (distance over sentences)^2)

What encoder and sentence do together is in both parts, so that it errs to the wide side.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.stats import norm, t

from analysis.stats.trained_scores import compare_over_seeds
from probing.bootstrap import LEVEL, N_ROW, draw_counts, interval_of_differences, percentile_interval

FEWEST = 20
"""Encoders from which on drawing them with replacement covers; measured by simulation (docs/method/intervals.md)."""
BOOTSTRAP, STUDENT = "two-way bootstrap", "Student over encoders, and sentences"
"""Methods of intervals."""
_Z = float(norm.ppf((1 + LEVEL) / 2))

Estimate = dict[str, float | int | str]
"""Columns `n_encoders value spread low high p method`; `spread` is the standard deviation between encoders."""


@dataclass(frozen=True)
class TwoWays:
    """Number of times that each encoder and sentence is met in each resample, the same for all readouts of a task."""

    encoders: Int[np.ndarray, "resamples encoders"]
    sentences: Int[np.ndarray, "resamples sentences"]


def draw_both(n_encoders: int, n_sentences: int, generator: np.random.Generator) -> TwoWays | None:
    """Resamples of encoders and sentences; none where there are too few encoders."""
    if n_encoders < FEWEST:
        return None
    return TwoWays(*(draw_counts(np.ones(n), generator, N_ROW) for n in (n_encoders, n_sentences)))


def estimate_scores(right: Float[np.ndarray, "encoders sentences"], drawn: TwoWays | None) -> Estimate:
    """The accuracy of a procedure's encoders, with its interval; `p` is NaN.

    Args:
        right: 1 where an encoder's probe is right, 0 where not, between where several seeds are averaged.
        drawn: from `draw_both`.
    """
    # Twice the accuracy less 1 is a mean of numbers between -1 and 1.
    low, high = (float(1 + bound) / 2 for bound in interval_of_differences(2 * right.mean(axis=0) - 1))
    found = _combine(right.mean(axis=1), low, high) | _resample(right, drawn)
    return found | {"low": max(0.0, float(found["low"])), "high": min(1.0, float(found["high"])), "p": np.nan}


def estimate_differences(differences: Float[np.ndarray, "encoders sentences"], drawn: TwoWays | None) -> Estimate:
    """A paired difference of two readouts over a procedure's encoders, with its interval and the two-sided p of 0.

    Args:
        differences: between -1 and 1: what the first readout of an encoder makes of a sentence less what the second.
        drawn: from `draw_both`.
    """
    low, high = map(float, interval_of_differences(differences.mean(axis=0)))
    return estimate_from_bounds(differences.mean(axis=1), low, high) | _resample(differences, drawn)


def estimate_from_bounds(means: Float[np.ndarray, " encoders"], low: float, high: float) -> Estimate:
    """The mean of a number over encoders, where of the sentences no more is known than an interval of 95 %.

    Args:
        means: the number of each encoder.
        low: bound of an interval over the sentences alone.
        high: the other one.
    """
    variance = ((high - low) / (2 * _Z)) ** 2
    return _combine(means, low, high) | {"p": compare_over_seeds(pd.Series(means), variance)[3]}


def average(parts: Sequence[Estimate], means: Float[np.ndarray, "parts encoders"]) -> Estimate:
    """The mean of several numbers of the same encoders, such as of the tasks of a group.

    Their sentences are taken for independent.

    Args:
        parts: estimates of the single numbers.
        means: the numbers of each encoder.
    """
    halves = [(float(part["sentences_high"]) - float(part["sentences_low"])) / 2 for part in parts]
    whole, half = means.mean(axis=0), float(np.sqrt(np.square(halves).sum())) / len(parts)
    return estimate_from_bounds(whole, float(whole.mean()) - half, float(whole.mean()) + half)


def _combine(means: Float[np.ndarray, " encoders"], low: float, high: float) -> Estimate:
    n, value, spread = len(means), float(means.mean()), float(means.std(ddof=1))
    half = float(t.ppf((1 + LEVEL) / 2, n - 1)) * spread / np.sqrt(n)
    below, above = (float(np.hypot(max(0.0, distance), half)) for distance in (value - low, high - value))
    facts: Estimate = {"n_encoders": n, "value": value, "spread": spread, "method": STUDENT}
    return facts | {"low": value - below, "high": value + above, "sentences_low": low, "sentences_high": high}


def _resample(values: Float[np.ndarray, "encoders sentences"], drawn: TwoWays | None) -> Estimate:
    """Bounds of the two-way bootstrap, where there are encoders enough."""
    if drawn is None:
        return {}
    means = ((drawn.encoders @ values) * drawn.sentences).sum(axis=1) / values.size
    low, high = percentile_interval(means)
    return {"low": float(low), "high": float(high), "method": BOOTSTRAP}
