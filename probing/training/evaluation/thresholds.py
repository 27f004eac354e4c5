"""Triples called true by their scores: the border is chosen on dev, for all relations or for each."""

import numpy as np
from jaxtyping import Bool, Float, Int


def find_threshold(scores: Float[np.ndarray, " triples"], labels: Int[np.ndarray, " triples"]) -> float:
    """The border above which scores are called true with the fewest errors; between two scores, in their middle.

    Of several borders that do equally well, the one in the middle of them. NaN where some score is none.
    """
    if np.isnan(scores).any():
        return float("nan")
    order = np.argsort(scores, kind="stable")
    ordered, truth = scores[order], labels[order].astype(np.int64)
    n_true, n_false = (np.concatenate([[0], np.cumsum(truth == kind)]) for kind in (1, 0))
    # Border n lies below score n of the order: true ones under it and false ones above it are errors.
    errors = n_true + n_false[-1] - n_false
    between = np.concatenate([[True], ordered[1:] > ordered[:-1], [True]])
    borders = np.concatenate([[ordered[0] - 1], (ordered[1:] + ordered[:-1]) / 2, [ordered[-1] + 1]])
    best = np.flatnonzero(between & (errors == errors[between].min()))
    return float(borders[best[len(best) // 2]])


def classify(
    scores: Float[np.ndarray, " triples"],
    thresholds: Float[np.ndarray, " relations"],
    relations: Int[np.ndarray, " triples"],
) -> Bool[np.ndarray, " triples"]:
    """True for triples that are called true, each by the border of its relation."""
    return scores > thresholds[relations]


def find_thresholds(
    scores: Float[np.ndarray, " triples"],
    labels: Int[np.ndarray, " triples"],
    relations: Int[np.ndarray, " triples"],
    n_relations: int,
) -> Float[np.ndarray, " relations"]:
    """A border for each relation, as the literature has them for embeddings; where dev has none of it, that of all."""
    found = np.full(n_relations, find_threshold(scores, labels))
    for relation in np.unique(relations):
        own = relations == relation
        found[relation] = find_threshold(scores[own], labels[own])
    return found
