"""Scores of relations between two entities: the first answer, and the rank of the true one among all relations."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from probing.randomness import stream
from probing.scores.uncertainty import score_with_interval
from probing.tasks.graphs.graph import RELATION, Graph, Triples
from probing.training.contracts import SplitScore
from probing.training.evaluation.classification import has_diverged
from probing.training.evaluation.ranking import Score, list_queries
from probing.training.evaluation.triples import score_ranks

ScoreRelations = Callable[[str], Float[np.ndarray, "triples relations"]]
"""Split -> the scores of all relations for head and tail of each of its triples."""
_BLOCK = 2**20
"""Triples that are scored at once."""


@dataclass(frozen=True)
class RelationTask:
    """Task of whoever scores the relations of two entities."""

    graph: Graph
    seed: int
    """Of the resamples that intervals are made of."""

    def score_triples(self, score: Score) -> list[SplitScore]:
        """The scores of `score_splits`, by what scores triples."""
        return self.score_splits(lambda split: score_all_relations(self.graph, self.graph.true[split], score))

    def score_splits(self, score: ScoreRelations) -> list[SplitScore]:
        """Accuracy on dev and test, then ranks on test, where other relations that are true are left out."""
        scores = {split: score(split) for split in ("dev", "test")}
        rows = [self._score_first(split, values) for split, values in scores.items()]
        ranks = self._rank(scores["test"])
        return rows + score_ranks(ranks, diverged=any(row.diverged for row in rows))

    def _score_first(self, split: str, scores: Float[np.ndarray, "triples relations"]) -> SplitScore:
        true, train = (self.graph.true[name][:, RELATION] for name in (split, "train"))
        majority = float((true == np.bincount(train).argmax()).mean())
        value = low = high = float("nan")
        if np.isfinite(scores).all():
            first, generator = scores.argmax(axis=1), stream(self.seed, "interval", split)
            value, low, high = score_with_interval("accuracy", true, first, generator).tolist()
        return SplitScore(
            split, "accuracy", value, low, high, len(true), majority, has_diverged(value, majority, margin=0.0)
        )

    def _rank(self, scores: Float[np.ndarray, "triples relations"]) -> Float[np.ndarray, "triples 1"]:
        triples = self.graph.true["test"]
        ranks = np.full((len(triples), 1), np.nan)
        for query in list_queries(self.graph, triples, RELATION):
            ranks[query.rows, 0] = query.rank(scores[query.rows[0]][query.list_candidates()])
        return ranks


def score_all_relations(graph: Graph, triples: Triples, score: Score) -> Float[np.ndarray, "triples relations"]:
    """The scores of all relations for head and tail of each triple, by what scores triples."""
    n = len(graph.relations)
    found = []
    size = max(1, _BLOCK // n)
    for start in range(0, len(triples), size):
        part = np.repeat(triples[start : start + size], n, axis=0)
        part[:, RELATION] = np.tile(np.arange(n), len(part) // n)
        found.append(score(part).reshape(-1, n))
    return np.concatenate(found)
