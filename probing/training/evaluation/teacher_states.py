"""Losses of a student on held-out text beside its teacher: how near it has come to its states."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from probing.randomness import stream
from probing.training.contracts import Evaluation, SplitScore
from probing.training.evaluation.by_block import mean_with_interval, write_score

Compare = Callable[[PreTrainedModel, Any], Mapping[str, Float[Tensor, " batch"]]]
"""Model and examples -> the losses of each sentence by name."""


@dataclass(frozen=True)
class HeldOut:
    """Texts of dev or test."""

    batches: Sequence[Int[np.ndarray, " batch"]]
    """Rows of each batch."""
    collate: Callable[[Int[np.ndarray, " batch"], str], Any]
    """Rows and device -> examples."""


@dataclass(frozen=True)
class TeacherStates(Evaluation):
    """The sum of an objective's losses on dev and test; as a headline, its opposite, of which more is better.

    Args:
        splits: `dev` and, where there is one, `test`.
        compare: the objective's losses, each times its weight where the sum is meant.
        seed: of the resamples that intervals are made of.
    """

    splits: Mapping[str, HeldOut]
    compare: Compare
    seed: int
    kept: dict[str, Float[np.ndarray, " sentences"]] = field(default_factory=dict, compare=False)
    """Losses of each split's sentences or blocks when `score` was last called, so that models can be paired by them."""
    headline = "dev_score"

    def measure(self, model: PreTrainedModel, accelerator: Accelerator) -> dict[str, float]:
        """The loss on dev, each of its parts, and its opposite."""
        found = compute_losses(model, self.splits["dev"], self.compare, accelerator)
        means = {name: float(values.mean()) for name, values in found.items()}
        total = sum(means.values())
        return {"dev_loss": total, self.headline: -total} | {f"dev_loss_{name}": one for name, one in means.items()}

    def score(self, model: PreTrainedModel, accelerator: Accelerator) -> list[SplitScore]:
        """The loss on each split with an interval over sentences, or blocks of running text."""
        scores = []
        for name, split in self.splits.items():
            found = compute_losses(model, split, self.compare, accelerator)
            self.kept[name] = values = np.sum(list(found.values()), axis=0)
            rng = stream(self.seed, "interval", "teacher", name)
            scored = mean_with_interval(values, np.arange(len(values)), rng)
            failed = not np.isfinite(scored[0])
            scores.append(write_score(name, "distillation_loss", scored, len(values), np.nan, bool(failed)))
        return scores

    def list_answers(self) -> Mapping[str, np.ndarray]:
        """One row per sentence or block: its split, its row there, and the sum of its losses."""
        parts = [(np.full(len(own), split, dtype=object), np.arange(len(own)), own) for split, own in self.kept.items()]
        columns = zip(*parts, strict=True)
        return {name: np.concatenate(column) for name, column in zip(("split", "row", "loss"), columns, strict=True)}


def compute_losses(
    model: PreTrainedModel, split: HeldOut, compare: Compare, accelerator: Accelerator
) -> dict[str, Float[np.ndarray, " sentences"]]:
    """Each loss of each sentence in eval mode, batch after batch; processes share the work."""
    was_training = model.training
    model.eval()
    found = []
    with torch.inference_mode():
        for number in range(len(split.batches))[accelerator.process_index :: accelerator.num_processes]:
            examples = split.collate(split.batches[number], str(accelerator.device))
            with accelerator.autocast():
                losses = compare(model, examples)
            found.append((number, {name: one.float().cpu().numpy() for name, one in losses.items()}))
    model.train(was_training)
    whole = [losses for _, losses in sorted(gather_object(found), key=lambda one: one[0])]
    return {name: np.concatenate([losses[name] for losses in whole]).astype(float) for name in whole[0]}
