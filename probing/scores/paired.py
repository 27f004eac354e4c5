"""Effect of a change of the vectors on a score: a difference, its interval and its p, paired by sentence."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest, norm

from probing.bootstrap import N_ROW, interval_of_differences, percentile_interval, resample_counts
from probing.records import Predictions
from probing.registry import METRICS

_SHARE = "accuracy"


@dataclass(frozen=True)
class Change:
    """One score minus another one, of the same sentences."""

    value: float
    ci_low: float
    ci_high: float
    p: float
    """Two-sided, of no difference, not corrected."""
    after: float
    """The first of the two scores."""


def compare_paired(metric: str, after: Predictions, before: Predictions, rng: np.random.Generator) -> Change:
    """The score of some predictions minus that of others, with its 95 % interval.

    Of accuracies: the interval of `bootstrap.interval_of_differences`, and the exact McNemar test (1947). Of other
    metrics: the percentile bootstrap over sentences, and a normal law as wide as it.

    Args:
        metric: key of the rule.
        after: the first.
        before: the other one, of the same sentences.
        rng: of the bootstrap.
    """
    if metric == _SHARE:
        right = [(one.labels == one.predicted).astype(float) for one in (after, before)]
        differences = right[0] - right[1]
        better, worse = int((differences > 0).sum()), int((differences < 0).sum())
        p = float(binomtest(better, better + worse).pvalue) if better + worse else 1.0
        low, high = interval_of_differences(differences)
        return Change(float(differences.mean()), float(low), float(high), p, float(right[0].mean()))
    n = len(after.labels)
    counts = np.concatenate([np.ones((1, n)), resample_counts(n, rng, N_ROW)]).astype(np.int64)
    scores, others = (METRICS.load(metric)(one.labels, one.predicted, counts) for one in (after, before))
    drawn = scores - others
    low, high = percentile_interval(drawn[1:])
    spread = float(drawn[1:].std())
    p = 2 * float(norm.sf(abs(drawn[0]) / spread)) if spread > 0 else float(drawn[0] == 0)
    return Change(float(drawn[0]), float(low), float(high), p, float(scores[0]))
