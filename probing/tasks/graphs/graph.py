"""A knowledge graph with its splits, and which triples are known to be true."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int

from probing.digests import digest_json
from probing.records import SPLITS

HEAD, RELATION, TAIL = 0, 1, 2
COLUMNS = (HEAD, RELATION, TAIL)
"""Of triples."""
SIDES = (HEAD, TAIL)
"""The columns of entities."""
Triples = Int[np.ndarray, "triples 3"]
"""Indices of head, relation and tail, a row each."""


@dataclass(frozen=True)
class Graph:
    """Triples in splits, and the texts of what they are made of."""

    name: str
    entities: tuple[str, ...]
    """Ids, in the order of the source."""
    entity_texts: tuple[str, ...]
    relations: tuple[str, ...]
    """Ids, in the order of the source."""
    relation_texts: tuple[str, ...]
    true: Mapping[str, Triples]
    """By split; in train each but once, in dev and test as the source has them."""
    false: Mapping[str, Triples]
    """By split, those that the source calls false; none in train."""
    known: "KnownTriples"
    """The true triples of all splits, as the source has them."""
    origin: str = ""
    n_repeated: int = 0
    """Triples of train that stood there before."""

    @cached_property
    def digest(self) -> str:
        """The identity of texts and triples."""
        parts = [self.entities, self.entity_texts, self.relations, self.relation_texts]
        parts += [part[split].tolist() for part in (self.true, self.false) for split in SPLITS]
        return digest_json(parts)

    def limit(self, most_train: int, most_others: int) -> "Graph":
        """At most so many triples of train, and of dev and test each; 0 takes all. All stay known to be true."""
        most = {"train": most_train, "dev": most_others, "test": most_others}
        return replace(
            self,
            true={split: _take(triples, most[split]) for split, triples in self.true.items()},
            false={split: _take(triples, most[split]) for split, triples in self.false.items()},
        )


class KnownTriples:
    """A set of triples that answers for many at a time, in memory that grows with the triples alone.

    Args:
        triples: that are true.
        n_entities: of the graph.
        n_relations: of the graph.
    """

    def __init__(self, triples: Triples, n_entities: int, n_relations: int):
        self.sizes = (n_entities, n_relations, n_entities)
        """Number of candidates for each column."""
        self._by_column = {column: np.unique(self._pack(triples, column)) for column in COLUMNS}

    def __contains__(self, triple: tuple[int, int, int]) -> bool:
        return bool(self.contain(np.array([triple]))[0])

    def contain(self, triples: Triples) -> Bool[np.ndarray, " triples"]:
        """True for triples that are known to be true."""
        packed, sought = self._by_column[TAIL], self._pack(triples, TAIL)
        places = np.minimum(np.searchsorted(packed, sought), len(packed) - 1)
        return packed[places] == sought

    def find(self, triple: Int[np.ndarray, "3"], column: int) -> Int[np.ndarray, " candidates"]:
        """The candidates that make a true triple in one column, in ascending order."""
        packed, size = self._by_column[column], self.sizes[column]
        start = int(self._pack(triple[None], column)[0]) // size * size
        low, high = np.searchsorted(packed, [start, start + size])
        return packed[low:high] - start

    def count(self, triples: Triples, column: int) -> Int[np.ndarray, " triples"]:
        """Number of candidates that make each triple a true one in one column."""
        packed, size = self._by_column[column], self.sizes[column]
        starts = self._pack(triples, column) // size * size
        return np.searchsorted(packed, starts + size) - np.searchsorted(packed, starts)

    def _pack(self, triples: Triples, column: int) -> Int[np.ndarray, " triples"]:
        """One number for each triple; those that differ in one column alone are neighbours."""
        first, second = (other for other in COLUMNS if other != column)
        packed = triples[:, first].astype(np.int64) * self.sizes[second] + triples[:, second]
        return packed * self.sizes[column] + triples[:, column]


def find_reversed(graph: Graph, split: str) -> Bool[np.ndarray, " triples"]:
    """True for triples of a split whose head and tail some triple of train joins the other way round."""
    train, triples = graph.true["train"], graph.true[split]
    n = len(graph.entities)
    joined = np.unique(train[:, HEAD].astype(np.int64) * n + train[:, TAIL])
    return np.isin(triples[:, TAIL].astype(np.int64) * n + triples[:, HEAD], joined)


def find_unseen(graph: Graph, split: str) -> Bool[np.ndarray, " triples"]:
    """True for triples of a split with an entity that no triple of train has."""
    seen = np.zeros(len(graph.entities), dtype=bool)
    seen[graph.true["train"][:, SIDES]] = True
    return ~np.all(seen[graph.true[split][:, SIDES]], axis=1)


def _take(triples: Triples, most: int) -> Triples:
    """The same ones every time, in their order; a smaller number takes some of a larger one's."""
    if not most or len(triples) <= most:
        return triples
    return triples[np.sort(np.random.default_rng(0).permutation(len(triples))[:most])]
