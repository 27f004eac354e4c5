"""Quality of written sentences: whether a classifier still gives the label, how new their words are, how likely.

A judge, which was trained on all of train, reads them. Two ways of writing are compared pair by pair, over the
sentences that both wrote anew.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from accelerate import Accelerator
from jaxtyping import Bool, Float
from transformers import PreTrainedModel

from probing.randomness import stream
from probing.training.contracts import Evaluation, LabelledSplit, SplitScore, Written
from probing.training.evaluation.by_block import mean_with_interval, write_score
from probing.training.evaluation.classification import Classification, predict

Sentences = Sequence[Written]
Likelihood = Callable[[Sentences, Accelerator], Float[np.ndarray, "3"]]
"""Some sentences, device and precision -> their perplexity and the bounds of its interval."""


@dataclass
class Judge(Evaluation):
    """Scores of a classifier on its task, and of written sentences by what it says of them.

    Args:
        task: what the classifier learned.
        tables: sentences by the name of the way in which they were written.
        prepare: sentences as the classifier takes them, with the labels that they should have.
        likelihood: under a masked language model that knows no labels.
        n_likely: most sentences that it looks at.
        pairs: names of ways, of which the first is compared with the second.
        known: words of train.
        seed: of the resamples that intervals are made of.
    """

    task: Classification
    tables: Mapping[str, Sentences]
    prepare: Callable[[Sentences], LabelledSplit]
    likelihood: Likelihood
    n_likely: int
    pairs: Sequence[tuple[str, str]]
    known: frozenset[str]
    seed: int
    headline: str = "dev_score"
    _answers: dict[str, np.ndarray] = field(default_factory=dict)

    def measure(self, model: PreTrainedModel, accelerator: Accelerator) -> dict[str, float]:
        """Loss and score on the task's dev."""
        return self.task.measure(model, accelerator)

    def score(self, model: PreTrainedModel, accelerator: Accelerator) -> list[SplitScore]:
        """The classifier's own scores, then those of each way of writing, then those of pairs."""
        found, kept = self.task.score(model, accelerator), dict[str, Bool[np.ndarray, " sentences"]]()
        predicted = []
        for name, rows in self.tables.items():
            split = self.prepare(rows)
            answers = predict(model, split, self.task.loss, accelerator)
            kept[name] = answers.predicted == answers.labels
            predicted.append(answers.predicted)
            found += self._score_way(name, rows, kept[name], self.likelihood(rows, accelerator))
        for one, other in self.pairs:
            found.append(self._score_pair(one, other, kept))
        self._answers = self._list_columns(predicted)
        return found

    def list_answers(self) -> Mapping[str, np.ndarray]:
        """The judge's answer on each written sentence, from when `score` was last called."""
        return self._answers

    def _score_way(
        self, name: str, rows: Sentences, kept: Bool[np.ndarray, " sentences"], perplexity: Float[np.ndarray, "3"]
    ) -> list[SplitScore]:
        rng = stream(self.seed, "interval", "augmentation", name)
        sources = np.array([row.row for row in rows])
        n_alike = min(map(len, self.tables.values()))
        alike = [rows[number] for number in np.linspace(0, len(rows) - 1, n_alike).astype(int)]
        values = {
            "label_kept": mean_with_interval(kept.astype(float), sources, rng),
            "changed": mean_with_interval(list_changed(rows), sources, rng),
            "new_words": mean_with_interval(list_new_words(rows, self.known), sources, rng),
            # A share of distinct things falls with the amount of text: all ways are counted on as many sentences.
            "distinct_1": _exactly(share_distinct(alike, 1)),
            "distinct_2": _exactly(share_distinct(alike, 2)),
            "perplexity": perplexity,
        }
        counts = {"distinct_1": n_alike, "distinct_2": n_alike, "perplexity": min(len(rows), self.n_likely)}
        return [
            write_score("train", f"{metric}/{name}", value, counts.get(metric, len(rows)), np.nan, diverged=False)
            for metric, value in values.items()
        ]

    def _score_pair(self, one: str, other: str, kept: Mapping[str, np.ndarray]) -> SplitScore:
        means = [_mean_by_source(self.tables[name], kept[name]) for name in (one, other)]
        both = sorted(means[0].keys() & means[1].keys())
        differences = np.array([means[0][row] - means[1][row] for row in both])
        rng = stream(self.seed, "interval", "augmentation", one, other)
        value = mean_with_interval(differences, np.arange(len(both)), rng)
        return write_score("train", f"label_kept/{one} minus {other}", value, len(both), np.nan, diverged=False)

    def _list_columns(self, predicted: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        rows = [(name, row.row, row.copy, row.label) for name, own in self.tables.items() for row in own]
        columns = zip(("way", "row", "copy", "label"), zip(*rows, strict=True), strict=True)
        return {name: np.array(values) for name, values in columns} | {"predicted": np.concatenate(predicted)}


def list_changed(rows: Sentences) -> Float[np.ndarray, " sentences"]:
    """Share of each sentence's places where another token stands than before."""
    return np.array([np.mean([old != new for old, new in zip(row.old, row.new, strict=True)]) for row in rows])


def list_new_words(rows: Sentences, known: frozenset[str]) -> Float[np.ndarray, " sentences"]:
    """Share of each sentence's words that train does not have."""
    return np.array([np.mean([word not in known for word in list_words(row.text[0])]) for row in rows])


def share_distinct(rows: Sentences, n: int) -> float:
    """Distinct runs of n words as a share of all (Li et al. 2016, arXiv 1510.03055)."""
    words = [list_words(row.text[0]) for row in rows]
    runs = [tuple(own[start : start + n]) for own in words for start in range(len(own) - n + 1)]
    return len(set(runs)) / len(runs) if runs else float("nan")


def list_words(text: str) -> list[str]:
    """The words of a text between blanks, in lower case."""
    return text.lower().split()


def _mean_by_source(rows: Sentences, kept: np.ndarray) -> dict[int, float]:
    sources = np.array([row.row for row in rows])
    sums, counts = np.bincount(sources, kept), np.bincount(sources)
    return {int(row): float(sums[row] / counts[row]) for row in np.unique(sources)}


def _exactly(value: float) -> Float[np.ndarray, "3"]:
    """A score without an interval."""
    return np.array([value, np.nan, np.nan])
