"""Metrics as functions of weighted (label, prediction) pairs, for many weightings at once.

A weighting says how often each distinct pair occurs: once as observed, and once more for every bootstrap sample. Where
a metric is undefined (0 / 0), as for predictions that are all alike, it is given as 0: no better than knowing nothing.
"""

import numpy as np
from jaxtyping import Float, Int

from probing.contracts.metric import declare_labels

Classes = Int[np.ndarray, " pairs"]
Values = Int[np.ndarray, " pairs"] | Float[np.ndarray, " pairs"]
Counts = Int[np.ndarray, "samples pairs"]
Scores = Float[np.ndarray, " samples"]

_ROUNDING = 1e-12
"""Share of a sum of squares below which what is left of it is rounding."""


@declare_labels("classes")
def accuracy(labels: Classes, predicted: Classes, counts: Counts) -> Scores:
    """Share of sentences whose class was found, in [0, 1]."""
    return (counts @ (labels == predicted)) / counts.sum(axis=1)


@declare_labels("two classes")
def f1(labels: Classes, predicted: Classes, counts: Counts) -> Scores:
    """Harmonic mean of precision and recall of class 1 in a task of two, in [0, 1].

    F1 = 2 TP / (2 TP + FP + FN)
    """
    hits = counts @ ((labels == 1) & (predicted == 1))
    return _divide(2 * hits, counts @ (labels == 1) + counts @ (predicted == 1))


@declare_labels("classes")
def matthews(labels: Classes, predicted: Classes, counts: Counts) -> Scores:
    """Matthews' correlation coefficient, for any number of classes (Gorodkin 2004, R_K), in [-1, 1].

    (c s - sum_k p_k t_k) / sqrt((s^2 - sum_k p_k^2) (s^2 - sum_k t_k^2)), with s sentences, c of them correct, t_k of
    class k and p_k predicted to be.
    """
    classes = np.unique(np.concatenate([labels, predicted]))
    true, guessed = (counts @ (values[:, None] == classes).astype(float) for values in (labels, predicted))
    total, correct = counts.sum(axis=1).astype(float), (counts @ (labels == predicted)).astype(float)
    covariance = correct * total - (true * guessed).sum(axis=1)
    spread = [total**2 - np.square(side).sum(axis=1) for side in (true, guessed)]
    return _divide(covariance, np.sqrt(spread[0] * spread[1]))


@declare_labels("scores")
def pearson(labels: Values, predicted: Values, counts: Counts) -> Scores:
    """Pearson's correlation of scores and predictions, in [-1, 1]."""
    return _correlate(np.asarray(labels, float)[None], np.asarray(predicted, float)[None], counts)


@declare_labels("scores")
def spearman(labels: Values, predicted: Values, counts: Counts) -> Scores:
    """Spearman's correlation: Pearson's, of the ranks, equal values sharing their mean rank; in [-1, 1]."""
    return _correlate(_rank(labels, counts), _rank(predicted, counts), counts)


def _rank(values: Values, counts: Counts) -> Float[np.ndarray, "samples pairs"]:
    """The mean rank of each value within each weighted sample, less a half."""
    distinct, place = np.unique(values, return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(len(distinct)))
    shares = np.add.reduceat(counts[:, order], starts, axis=1).astype(float)
    return (shares.cumsum(axis=1) - shares / 2)[:, place]


def _correlate(
    x: Float[np.ndarray, "rows pairs"], y: Float[np.ndarray, "rows pairs"], counts: Counts
) -> Float[np.ndarray, " samples"]:
    """Weighted correlation; x and y have one row for all samples, or one for each."""
    weights = counts / counts.sum(axis=1, keepdims=True)
    dx, dy = (side - (weights * side).sum(axis=1, keepdims=True) for side in (x, y))
    squares = []
    for centred, side in ((dx, x), (dy, y)):
        square = (weights * centred**2).sum(axis=1)
        squares.append(np.where(square > _ROUNDING * (weights * side**2).sum(axis=1), square, 0))
    return _divide((weights * dx * dy).sum(axis=1), np.sqrt(squares[0] * squares[1]))


def _divide(above: np.ndarray, below: np.ndarray) -> Scores:
    return np.divide(above, below, out=np.zeros(len(above)), where=below > 0)
