"""False triples made of true ones: the head or the tail is replaced, and what is known to be true is never taken."""

import numpy as np
from jaxtyping import Bool, Int

from probing.tasks.graphs.graph import HEAD, SIDES, KnownTriples, Triples

_TRIES = 20
"""Draws until what is left is drawn from the entities that are free: those few have hardly any."""


def find_corruptible(known: KnownTriples, triples: Triples) -> Bool[np.ndarray, " triples"]:
    """True for triples that become a false one by some other head or tail."""
    return np.any(_find_free(known, triples), axis=1)


def corrupt(known: KnownTriples, triples: Triples, k: int, generator: np.random.Generator) -> Triples:
    """False triples, k for each that has any, those of one triple side by side.

    The side is drawn for each false triple anew, head or tail alike (where both have free entities), then the entity
    among those that make no known triple: that of a uniform draw with what is known rejected.
    """
    rows = np.repeat(triples[find_corruptible(known, triples)], k, axis=0)
    free = _find_free(known, rows)
    places = np.where(free.all(axis=1), generator.integers(2, size=len(rows)), free[:, 1].astype(int))
    sides = np.array(SIDES)[places]
    drawn, left = rows.copy(), np.arange(len(rows))
    for _ in range(_TRIES):
        drawn[left, sides[left]] = generator.integers(known.sizes[HEAD], size=len(left))
        left = left[known.contain(drawn[left])]
        if not len(left):
            return drawn
    for row in left:
        side = int(sides[row])
        drawn[row, side] = generator.choice(list_free(known, rows[row], side))
    return drawn


def list_free(known: KnownTriples, triple: Int[np.ndarray, "3"], column: int) -> Int[np.ndarray, " candidates"]:
    """The candidates that make no known triple in one column, in ascending order."""
    free = np.ones(known.sizes[column], dtype=bool)
    free[known.find(triple, column)] = False
    return np.flatnonzero(free)


def _find_free(known: KnownTriples, triples: Triples) -> Bool[np.ndarray, "triples sides"]:
    """True for each side of a triple that has an entity which makes no known one."""
    return np.stack([known.count(triples, side) < known.sizes[side] for side in SIDES], axis=1)
