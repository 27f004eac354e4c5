"""What a model in training says of a split, and how well."""

from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from jaxtyping import Float, Int
from transformers import PreTrainedModel

from probing.records import Task
from probing.registry import METRICS
from probing.scores.uncertainty import score_with_interval
from probing.training.data.labelled import TokenisedSplit, batches_by_length
from probing.training.objectives.supervised import compute_loss

_TOKENS = 4096
"""In a batch of reading, which keeps nothing for a backward pass."""


@dataclass(frozen=True)
class Reading:
    """A model's answers on one split."""

    loss: float
    """Mean over the sentences."""
    labels: Int[np.ndarray, " sentences"] | Float[np.ndarray, " sentences"]
    predicted: Int[np.ndarray, " sentences"] | Float[np.ndarray, " sentences"]


@dataclass(frozen=True)
class SplitScore:
    """A trained model's score on one split, with its interval and what the majority would score."""

    split: str
    metric: str
    value: float
    ci_low: float
    ci_high: float
    majority: float


def read_split(model: PreTrainedModel, split: TokenisedSplit, accelerator: Accelerator) -> Reading:
    """The model's answers on one split, in eval mode; processes share the work."""
    was_training = model.training
    model.eval()
    predicted = np.zeros(len(split), dtype=split.labels.dtype)
    batches = batches_by_length(split.lengths, _TOKENS)
    found = []
    with torch.inference_mode():
        for rows in batches[accelerator.process_index :: accelerator.num_processes]:
            batch = split.collate(rows, str(accelerator.device))
            with accelerator.autocast():
                logits = model(**batch.inputs).logits
            answers = logits.squeeze(1).float() if logits.shape[1] == 1 else logits.argmax(dim=1)
            found.append((rows, answers.cpu().numpy(), compute_loss(logits, batch.labels).item()))
    model.train(was_training)
    total = 0.0
    for rows, answers, loss in gather_object(found):
        predicted[rows] = answers
        total += loss * len(rows)
    return Reading(total / len(split), split.labels, predicted)


def score_reading(reading: Reading, metric: str, rng: np.random.Generator) -> Float[np.ndarray, "3"]:
    """The score and the bounds of its interval over sentences; no number where the loss is none."""
    if not np.isfinite(reading.loss):
        return np.full(3, np.nan)
    return score_with_interval(metric, reading.labels, reading.predicted, rng)


def score_majority(task: Task, split: str, metric: str) -> float:
    """What the metric gives to always answering the most frequent class of train (a graded task: its mean score)."""
    train, read = task.splits["train"], task.splits[split]
    if train.targets is not None and read.targets is not None:
        labels, answer = read.targets, train.targets.mean()
    else:
        labels, answer = read.labels, np.bincount(train.labels).argmax()
    return float(METRICS.load(metric)(labels, np.full(len(read), answer), np.ones((1, len(read)), dtype=int))[0])


def has_diverged(score: float, majority: float, margin: float = 0.01) -> bool:
    """Whether a run failed: its score is no number, or at or below majority + 1 point."""
    return not score > majority + margin
