"""Training: our loop, and the same loop as most scripts have it: float32, unsorted batches padded to 128 tokens."""

import os
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch.nn import functional as F

from probing.records import Task
from probing.settings.training import TrainSettings
from probing.tasks.sources import load_tasks
from probing.tasks.subset import limit_task
from probing.training.accelerator import make_accelerator
from probing.training.contracts import Examples
from probing.training.data.labelled import TokenisedSplit, make_labelled
from probing.training.loop import Job, Reporter, train_model
from probing.training.plan import Start
from probing.training.recipes.finetune import plan_stage
from probing.training.run import find_origin
from probing.training.state import Progress
from tests.benchmarks.sizes import Sizes, draw_tasks
from tests.benchmarks.timing import Comparison, Way, compare
from tests.benchmarks.weighing import weigh_alone

_CORPUS = Path(os.environ.get("PROBING_CORPORA", "/nowhere")) / "classification"
_READ = 32
"""Sentences of dev, which the loop reads before and after."""


@dataclass(frozen=True)
class Manner:
    """How the loop is run."""

    name: str
    dtype: str
    padded: bool
    """Whether every batch is padded to the longest input allowed, and so in no order of length."""


MANNERS = (
    Manner("ours", "auto", padded=False),
    Manner("ours, as if float32 were all", "float32", padded=False),
    Manner("float32, unsorted, padded to 128", "float32", padded=True),
)


class PaddedSplit:
    """A split whose sentences are all padded to one length.

    Args:
        split: what is padded.
        length: in tokens.
    """

    def __init__(self, split: TokenisedSplit, length: int):
        self._split, self._length = split, length
        self.lengths, self.labels = np.full(len(split), length), split.labels

    def __len__(self) -> int:
        return len(self._split)

    def list_batches(self, n_tokens: int) -> list[np.ndarray]:
        """As the split that is padded."""
        return self._split.list_batches(n_tokens)

    def collate(self, rows: Int[np.ndarray, " batch"], device: str) -> Examples:
        """Some of the sentences as one batch."""
        batch = self._split.collate(rows, device)
        inputs = {"attention_mask": torch.ones_like(batch.inputs["input_ids"]), **batch.inputs}
        missing = self._length - inputs["input_ids"].shape[1]
        return Examples({name: F.pad(part, (0, missing)) for name, part in inputs.items()}, batch.labels)


def compare_training(checkpoint: str, sizes: Sizes) -> list[Comparison]:
    """Optimiser steps per second, model building and reading of dev left out."""
    ways = [
        Way(
            manner.name,
            partial(train, manner, checkpoint, sizes.steps, sizes.batch),
            sizes.steps,
            partial(train, manner, checkpoint, 1, sizes.batch),
            lambda progress: progress.seconds,
        )
        for manner in MANNERS
    ]
    task = load_sentences(sizes.steps * sizes.batch)
    title = f"training on {task.spec.title}, batches of {sizes.batch}"
    comparison = compare(title, "steps", ways, sizes.rounds)
    for manner in MANNERS if sizes.weigh else ():
        peak = weigh_alone(train, manner, checkpoint, sizes.steps, sizes.batch)
        comparison.facts[f"peak memory of the process, GB, {manner.name}"] = peak / 1e9
    return [comparison]


def train(manner: Manner, checkpoint: str, steps: int, batch: int) -> Progress:
    """Fine-tune BERMo for some steps: one pass over as many sentences as they take."""
    settings = TrainSettings(
        checkpoint=checkpoint, device="cpu", dtype=manner.dtype, max_steps=steps, evaluate_every=steps,  # pyright: ignore
        batch_size=batch,
    )  # fmt: skip
    origin = find_origin(settings)
    labelled = make_labelled(load_sentences(steps * batch), origin)
    if manner.padded:
        padded: Any = PaddedSplit(labelled.splits["train"], origin.limit)
        labelled = replace(labelled, splits={**labelled.splits, "train": padded})
    accelerator, stage = make_accelerator(settings), plan_stage("finetune", settings, labelled, 0)
    start, generator = Start(origin.checkpoint, {}), torch.Generator().manual_seed(0)
    model = stage.build(start, generator)
    job = Job(
        model, stage.data(start), stage.objective(start, model), stage.transforms(start), stage.evaluation(start),
        stage.rates, stage.pace, 0, Path(os.devnull) / "none",
    )  # fmt: skip
    return train_model(job, accelerator, Reporter())


@cache
def load_sentences(n: int) -> Task:
    """SST-2's sentences where the corpora are at hand, else those of the controlled corpus."""
    if not _CORPUS.is_dir():
        return draw_tasks(["past_present"], {"train": n, "dev": _READ, "test": _READ})[0]
    ((task,), _) = load_tasks(str(_CORPUS), ("SST-2-sent",))
    small, few = limit_task(task, n), limit_task(task, _READ)
    return Task(task.spec, task.classes, {**few.splits, "train": small.splits["train"]}, task.origin)
