"""Evaluations of a model that reads triples as texts: three segments with two labels, or two with relations."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from jaxtyping import Float
from transformers import PreTrainedModel

from probing.progress import Reporter
from probing.tasks.graphs.graph import Triples
from probing.training.contracts import Evaluation, LabelledSplit, SplitScore
from probing.training.evaluation.classification import Loss
from probing.training.evaluation.logits import compute_logits
from probing.training.evaluation.relations import RelationTask
from probing.training.evaluation.triples import LabelledTriples, TripleTask

MakeExamples = Callable[[LabelledTriples], LabelledSplit]
"""Triples with labels -> texts."""
FALSE, TRUE = 0, 1
"""The labels of triples."""


@dataclass(frozen=True)
class TripleEvaluation(Evaluation):
    """Classification and, where the task has queries, ranking; while the model is trained, accuracy on dev."""

    task: TripleTask
    examples: MakeExamples
    loss: Loss
    reporter: Reporter
    headline = "dev_score"

    def measure(self, model: PreTrainedModel, accelerator: Accelerator) -> dict[str, float]:
        """Loss and accuracy on dev, a triple being true where that label has the higher logit."""
        dev = self.task.labelled["dev"]
        logits = compute_logits(model, self.examples(dev), accelerator)
        return _measure_labels(logits, dev.labels, self.loss, self.headline)

    def score(self, model: PreTrainedModel, accelerator: Accelerator) -> list[SplitScore]:
        """All scores of the task."""

        def score(triples: Triples) -> Float[np.ndarray, " triples"]:
            return score_triples(model, triples, self.examples, accelerator)

        if not self.task.queries:
            return self.task.score_triples(score)
        with self.reporter.stage(f"ranking seed {self.task.seed}", self.task.n_ranked, "triples") as advance:
            return self.task.score_triples(score, advance)


def score_triples(
    model: PreTrainedModel, triples: Triples, examples: MakeExamples, accelerator: Accelerator
) -> Float[np.ndarray, " triples"]:
    """The logit of true less that of false."""
    unlabelled = LabelledTriples(triples, np.zeros(len(triples), dtype=np.int64))
    logits = compute_logits(model, examples(unlabelled), accelerator)
    return logits[:, TRUE] - logits[:, FALSE]


@dataclass(frozen=True)
class RelationEvaluation(Evaluation):
    """Relation prediction; while the model is trained, accuracy on dev."""

    task: RelationTask
    splits: Mapping[str, LabelledSplit]
    """Heads with tails, and their relations."""
    loss: Loss
    headline = "dev_score"

    def measure(self, model: PreTrainedModel, accelerator: Accelerator) -> dict[str, float]:
        """Loss and accuracy on dev."""
        logits = compute_logits(model, self.splits["dev"], accelerator)
        return _measure_labels(logits, self.splits["dev"].labels, self.loss, self.headline)

    def score(self, model: PreTrainedModel, accelerator: Accelerator) -> list[SplitScore]:
        """All scores of the task."""
        return self.task.score_splits(lambda split: compute_logits(model, self.splits[split], accelerator))


def _measure_labels(
    logits: Float[np.ndarray, "texts labels"], labels: Any, loss: Loss, headline: str
) -> dict[str, float]:
    value = loss(torch.from_numpy(logits), torch.from_numpy(labels)).item()
    right = float((logits.argmax(axis=1) == labels).mean())
    return {"dev_loss": value, headline: right if np.isfinite(value) else float("nan")}
