"""Ranks of the true entity or relation of a triple among all candidates, by whatever scores triples.

A query is a triple with one column left out; its candidates are all that could stand there, less what makes another
known triple (filtered; Bordes et al. 2013). The rank is realistic (Berrendorf et al. 2020, arXiv 2002.06914): the mean
over the orders in which candidates of one score could stand, 1 + (those above) + (the others alike) / 2, so that a
model that gives all one score is in the middle, whatever sorts them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from probing.randomness import stream
from probing.tasks.graphs.corruption import list_free
from probing.tasks.graphs.graph import COLUMNS, SIDES, Graph, KnownTriples, Triples

Score = Callable[[Triples], Float[np.ndarray, " triples"]]
"""The higher, the truer."""
HITS = (1, 3, 10)
BOUNDS = {"mean_rank": (1.0, np.inf)}
"""Least and largest value of each metric that is no share."""
_BLOCK = 2**14
"""Triples that are scored at once: enough for those of one length to meet, few enough to hear of in time."""


@dataclass(frozen=True)
class Query:
    """A column left out of some true triples that are else alike, and what could stand there."""

    known: KnownTriples
    triple: Int[np.ndarray, "3"]
    column: int
    true: Int[np.ndarray, " rows"]
    """The candidates that are looked for."""
    rows: Int[np.ndarray, " rows"]
    """Of their triples among all that are ranked."""
    n_drawn: int = 0
    """False candidates, where they are a sample; 0 for all."""

    def __len__(self) -> int:
        n_free = self.known.sizes[self.column] - int(self.known.count(self.triple[None], self.column)[0])
        return (min(n_free, self.n_drawn) if self.n_drawn else n_free) + len(self.rows)

    def list_candidates(self) -> Int[np.ndarray, " candidates"]:
        """The false candidates, and behind them the true ones. A sample is the same for whoever asks."""
        false = list_free(self.known, self.triple, self.column)
        if self.n_drawn and len(false) > self.n_drawn:
            others = [int(self.triple[other]) for other in COLUMNS if other != self.column]
            false = stream(0, "candidates", self.column, *others).choice(false, self.n_drawn, replace=False)
        return np.concatenate([false, self.true])

    def fill(self) -> Triples:
        """A triple for each candidate."""
        candidates = self.list_candidates()
        triples = np.tile(self.triple, (len(candidates), 1))
        triples[:, self.column] = candidates
        return triples

    def rank(self, scores: Float[np.ndarray, " candidates"]) -> Float[np.ndarray, " rows"]:
        """The rank of each true candidate among itself and the false ones."""
        n_false = len(scores) - len(self.rows)
        return find_ranks(scores[n_false:], scores[:n_false])


def find_ranks(true: Float[np.ndarray, " true"], false: Float[np.ndarray, " false"]) -> Float[np.ndarray, " true"]:
    """The realistic rank of each true score among itself and all false ones; NaN where a score is none."""
    if np.isnan(false).any():
        return np.full(len(true), np.nan)
    ordered = np.sort(false)
    low, high = np.searchsorted(ordered, true, "left"), np.searchsorted(ordered, true, "right")
    ranks = 1.0 + (len(ordered) - high) + (high - low) / 2
    return np.where(np.isnan(true), np.nan, ranks)


def list_queries(graph: Graph, triples: Triples, column: int, n_candidates: int = 0) -> list[Query]:
    """The queries of one column; triples that differ there alone are one query.

    Args:
        graph: all of whose known triples are left out of the candidates.
        triples: that are ranked.
        column: that is left out.
        n_candidates: false candidates of each query, drawn without replacement, the same for whoever scores them; 0
            takes all.
    """
    kept = [other for other in COLUMNS if other != column]
    keys, places = np.unique(triples[:, kept], axis=0, return_inverse=True)
    order = np.argsort(places, kind="stable")
    groups = np.split(order, np.searchsorted(places[order], np.arange(1, len(keys))))
    return [Query(graph.known, triples[rows[0]], column, triples[rows, column], rows, n_candidates) for rows in groups]


def rank_queries(
    queries: Sequence[Query], n_triples: int, score: Score, progress: Callable[[int], None] = lambda done: None
) -> Float[np.ndarray, " triples"]:
    """The rank of each triple by the scores of its query's candidates, some queries scored at once.

    Args:
        queries: of one column.
        n_triples: that they are about.
        score: of triples.
        progress: called with the number of triples scored since the last call.
    """
    ranks = np.full(n_triples, np.nan)
    for block in _list_blocks(queries):
        filled = [query.fill() for query in block]
        scores = score(np.concatenate(filled))
        borders = np.cumsum([len(part) for part in filled])
        for query, own in zip(block, np.split(scores, borders[:-1]), strict=True):
            ranks[query.rows] = query.rank(own)
        progress(len(scores))
    return ranks


def count_scored(queries: Sequence[Query]) -> int:
    """Number of triples that have to be scored."""
    return sum(map(len, queries))


def _list_blocks(queries: Sequence[Query]) -> Iterator[list[Query]]:
    block, size = list[Query](), 0
    for query in queries:
        if block and size + len(query) > _BLOCK:
            yield block
            block, size = [], 0
        block.append(query)
        size += len(query)
    if block:
        yield block


def measure_ranks(ranks: Float[np.ndarray, "triples columns"]) -> dict[str, Float[np.ndarray, " triples"]]:
    """Metric -> its value for each triple, the mean over its columns; the mean of these is the metric."""
    measures = {"mrr": 1 / ranks, "mean_rank": ranks}
    # A rank that is no number is no hit and no miss.
    measures |= {f"hits_at_{k}": np.where(np.isnan(ranks), np.nan, ranks <= k) for k in HITS}
    return {name: values.mean(axis=1) for name, values in measures.items()}


def list_sides(graph: Graph, triples: Triples, n_candidates: int = 0) -> list[list[Query]]:
    """The queries of both sides."""
    return [list_queries(graph, triples, side, n_candidates) for side in SIDES]
