"""Scores of telling triples apart and of ranking them, by a model or by whatever else scores them: one way for all."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from probing.randomness import stream
from probing.scores.uncertainty import means_with_intervals, score_with_interval
from probing.tasks.graphs.graph import RELATION, Graph, Triples, find_reversed
from probing.training.contracts import SplitScore
from probing.training.evaluation.classification import has_diverged
from probing.training.evaluation.ranking import BOUNDS, Query, Score, count_scored, measure_ranks, rank_queries
from probing.training.evaluation.thresholds import classify, find_threshold, find_thresholds

ACCURACY = "accuracy"
BY_RELATION = "accuracy_relation_thresholds"
"""With a border for each relation, as the literature gives it for embeddings."""
_NONE = float("nan")
Progress = Callable[[float], None]
"""Called with the number of triples scored since the last call."""


@dataclass(frozen=True)
class LabelledTriples:
    """Triples of a split, true and false."""

    triples: Triples
    labels: Int[np.ndarray, " triples"]
    """1 for true, 0 for false."""


@dataclass(frozen=True)
class TripleTask:
    """Task of whoever scores triples: to tell true ones from false and, where there are queries, to rank."""

    graph: Graph
    labelled: Mapping[str, LabelledTriples]
    """Of dev and test."""
    seed: int
    """Of the resamples that intervals are made of."""
    queries: Sequence[Sequence[Query]] = ()
    """Of head and of tail, where test is ranked."""
    n_candidates: int = 0
    """False candidates of each query, where they are a sample."""

    @property
    def n_ranked(self) -> int:
        """Triples that have to be scored for the ranking."""
        return sum(map(count_scored, self.queries))

    def score_triples(self, score: Score, progress: Progress = lambda done: None) -> list[SplitScore]:
        """All scores of whoever scores triples so; those of the metric that heads tables come first."""
        rows = self._score_classes(score)
        diverged = any(row.diverged for row in rows if row.metric == ACCURACY)
        return rows + (self._score_ranks(score, diverged, progress) if self.queries else [])

    def _score_classes(self, score: Score) -> list[SplitScore]:
        scores = {split: score(one.triples) for split, one in self.labelled.items()}
        dev, n_relations = self.labelled["dev"], len(self.graph.relations)
        borders = {
            ACCURACY: np.full(n_relations, find_threshold(scores["dev"], dev.labels)),
            BY_RELATION: find_thresholds(scores["dev"], dev.labels, dev.triples[:, RELATION], n_relations),
        }
        called = {
            (metric, split): classify(scores[split], border, one.triples[:, RELATION])
            for metric, border in borders.items()
            for split, one in self.labelled.items()
        }
        rows = [self._count_right(split, metric, answers) for (metric, split), answers in called.items()]
        if not self.queries:
            rows += self._score_relations(called[ACCURACY, "test"])
        sound = all(np.isfinite(one).all() for one in scores.values())
        return (
            rows if sound else [replace(row, value=_NONE, ci_low=_NONE, ci_high=_NONE, diverged=True) for row in rows]
        )

    def _score_relations(self, called: Bool[np.ndarray, " triples"]) -> list[SplitScore]:
        """The accuracy on test triples of each relation."""
        relations, texts = self.labelled["test"].triples[:, RELATION], name_relations(self.graph)
        return [
            self._count_right("test", f"{ACCURACY}[{texts[relation]}]", called, relations == relation)
            for relation in np.unique(relations)
        ]

    def _count_right(
        self, split: str, metric: str, called: Bool[np.ndarray, " triples"], chosen: np.ndarray | slice = slice(None)
    ) -> SplitScore:
        labels, generator = self.labelled[split].labels[chosen], stream(self.seed, "interval", split)
        value, low, high = score_with_interval(ACCURACY, labels, called[chosen].astype(np.int64), generator).tolist()
        majority = float(max(labels.mean(), 1 - labels.mean()))
        return SplitScore(split, metric, value, low, high, len(labels), majority, has_diverged(value, majority))

    def _score_ranks(self, score: Score, diverged: bool, progress: Progress) -> list[SplitScore]:
        n, reverse = len(self.graph.true["test"]), find_reversed(self.graph, "test")
        ranks = np.stack([rank_queries(side, n, score, progress) for side in self.queries], axis=1)
        rows = score_ranks(ranks, self.n_candidates, diverged=diverged)
        if not reverse.all():
            [first, *_] = score_ranks(ranks[~reverse], self.n_candidates, diverged=diverged)
            rows.append(replace(first, metric=f"{first.metric}_without_reverse"))
        share = SplitScore("test", "reverse_in_train", float(reverse.mean()), _NONE, _NONE, n, _NONE, diverged)
        return [*rows, share]


def name_relations(graph: Graph) -> list[str]:
    """A name for each relation: its text, with its id behind it where another one has that text too."""
    counts = Counter(graph.relation_texts)
    pairs = zip(graph.relations, graph.relation_texts, strict=True)
    return [text if counts[text] == 1 else f"{text} ({name})" for name, text in pairs]


def score_ranks(
    ranks: Float[np.ndarray, "triples columns"], n_candidates: int = 0, *, diverged: bool
) -> list[SplitScore]:
    """The metrics of some ranks on test, MRR first, with intervals over triples.

    Args:
        ranks: of each triple in each column.
        n_candidates: of a sample that the ranks are among, which the metrics are then named after; 0 for none.
        diverged: whether the model did by its accuracy; a rank that is no number is enough, too.
    """
    end = f"_sampled_{n_candidates}" if n_candidates else ""
    rows = []
    for name, values in measure_ranks(ranks).items():
        if np.isnan(values).any():
            value = low = high = _NONE
        else:
            # An interval of a skewed mean may end beyond what the metric can be.
            found = np.clip(means_with_intervals(values[None].astype(float)), *BOUNDS.get(name, (0.0, 1.0)))
            [[value, low, high]] = found.tolist()
        failed = diverged or bool(np.isnan(value))
        rows.append(SplitScore("test", name + end, value, low, high, len(values), _NONE, failed))
    return rows
