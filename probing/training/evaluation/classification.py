"""Predictions of a classifier for each split, and their scores."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from probing.randomness import stream
from probing.records import Task
from probing.registry import METRICS
from probing.scores.uncertainty import score_with_interval
from probing.training.contracts import Evaluation, LabelledSplit, SplitScore

Loss = Callable[[Float[Tensor, "batch labels"], Tensor], Float[Tensor, ""]]
"""Logits and labels -> mean loss over a batch."""
_TOKENS = 4096
"""In a batch of an evaluation, which keeps nothing for a backward pass."""


@dataclass(frozen=True)
class Answers:
    """Predictions of a model for one split."""

    loss: float
    """Mean over the sentences."""
    labels: Int[np.ndarray, " sentences"] | Float[np.ndarray, " sentences"]
    predicted: Int[np.ndarray, " sentences"] | Float[np.ndarray, " sentences"]


@dataclass(frozen=True)
class Classification(Evaluation):
    """Scores on dev and test; dev's headline metric while the model is trained.

    Args:
        task: what is to be known.
        splits: its splits, as a model takes them.
        loss: what is logged of dev beside the score.
        seed: of the resamples that intervals are made of.
    """

    task: Task
    splits: Mapping[str, LabelledSplit]
    loss: Loss
    seed: int
    headline = "dev_score"

    def measure(self, model: PreTrainedModel, accelerator: Accelerator) -> dict[str, float]:
        """Loss and score on dev."""
        answers = predict(model, self.splits["dev"], self.loss, accelerator)
        score = score_answers(answers, self.task.spec.metric, stream(self.seed, "dev"))[0]
        return {"dev_loss": answers.loss, self.headline: float(score)}

    def score(self, model: PreTrainedModel, accelerator: Accelerator) -> list[SplitScore]:
        """Each metric of the task on dev and on test, with intervals over sentences."""
        found: list[SplitScore] = []
        for split in ("dev", "test"):
            found += self.score_split(predict(model, self.splits[split], self.loss, accelerator), split)
        return found

    def score_split(self, answers: Answers, split: str) -> Sequence[SplitScore]:
        """The scores of one split's answers."""
        task, found = self.task, []
        for metric in task.spec.metrics:
            generator = stream(self.seed, "interval", task.name, split)
            value, low, high = score_answers(answers, metric, generator).tolist()
            majority = score_majority(task, split, metric)
            n, diverged = len(answers.labels), has_diverged(value, majority)
            found.append(SplitScore(split, metric, value, low, high, n, majority, diverged))
        return found


def predict(model: PreTrainedModel, split: LabelledSplit, loss: Loss, accelerator: Accelerator) -> Answers:
    """A model's predictions on one split, in eval mode; processes share the work."""
    was_training = model.training
    model.eval()
    predicted = np.zeros(len(split), dtype=split.labels.dtype)
    batches, found = split.list_batches(_TOKENS), []
    with torch.inference_mode():
        for rows in batches[accelerator.process_index :: accelerator.num_processes]:
            batch = split.collate(rows, str(accelerator.device))
            with accelerator.autocast():
                logits = model(**batch.inputs).logits
            answers = logits.squeeze(1).float() if logits.shape[1] == 1 else logits.argmax(dim=1)
            found.append((rows, answers.cpu().numpy(), loss(logits, batch.labels).item()))
    model.train(was_training)
    total = 0.0
    for rows, answers, mean_loss in gather_object(found):
        predicted[rows] = answers
        total += mean_loss * len(rows)
    return Answers(total / len(split), split.labels, predicted)


def score_answers(answers: Answers, metric: str, rng: np.random.Generator) -> Float[np.ndarray, "3"]:
    """The score and the bounds of its interval over sentences; no number where the loss is none."""
    if not np.isfinite(answers.loss):
        return np.full(3, np.nan)
    return score_with_interval(metric, answers.labels, answers.predicted, rng)


def score_majority(task: Task, split: str, metric: str) -> float:
    """Score of always answering the most frequent class of train (a graded task: its mean score), by the metric."""
    train, read = task.splits["train"], task.splits[split]
    if train.targets is not None and read.targets is not None:
        labels, answer = read.targets, train.targets.mean()
    else:
        labels, answer = read.labels, np.bincount(train.labels).argmax()
    return float(METRICS.load(metric)(labels, np.full(len(read), answer), np.ones((1, len(read)), dtype=int))[0])


def has_diverged(score: float, majority: float, margin: float = 0.01) -> bool:
    """True where a run failed: its score is no number, or at or below majority + 1 point."""
    return not score > majority + margin
