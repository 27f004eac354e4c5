"""Training: our loop, and the same loop as most scripts have it: float32, unsorted batches padded to 128 tokens."""

import os
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from torch.nn import functional as F

from probing.progress import Narrator
from probing.records import Task
from probing.registry import CLASSIFIERS
from probing.settings.training import TrainSettings
from probing.tasks.sources import load_tasks
from probing.tasks.subset import limit_task
from probing.training.chain import Trainer
from probing.training.data.labelled import Batch, TokenisedSplit
from probing.training.loop import Job, train_model
from probing.training.objectives.supervised import supervised_loss
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
        self.lengths = np.full(len(split), length)

    def __len__(self) -> int:
        return len(self._split)

    def collate(self, rows: Int[np.ndarray, " batch"], device: str) -> Batch:
        """Some of the sentences as one batch."""
        batch = self._split.collate(rows, device)
        inputs = {"attention_mask": torch.ones_like(batch.inputs["input_ids"]), **batch.inputs}
        missing = self._length - inputs["input_ids"].shape[1]
        return Batch({name: F.pad(part, (0, missing)) for name, part in inputs.items()}, batch.labels, batch.n_tokens)


def compare_training(checkpoint: str, sizes: Sizes) -> list[Comparison]:
    """Optimiser steps per second, model building and reading of dev left out."""
    ways = [
        Way(
            manner.name,
            partial(train, manner, checkpoint, sizes.steps),
            sizes.steps,
            partial(train, manner, checkpoint, 1),
            lambda progress: progress.seconds,
        )
        for manner in MANNERS
    ]
    task = load_sentences(sizes.steps * TrainSettings.batch_size)
    title = f"training on {task.spec.title}, batches of {TrainSettings.batch_size}"
    comparison = compare(title, "steps", ways, sizes.rounds)
    for manner in MANNERS if sizes.weigh else ():
        peak = weigh_alone(train, manner, checkpoint, sizes.steps)
        comparison.facts[f"peak memory of the process, GB, {manner.name}"] = peak / 1e9
    return [comparison]


def train(manner: Manner, checkpoint: str, steps: int) -> Progress:
    """Fine-tune BERMo for some steps: one pass over as many sentences as they take."""
    settings = TrainSettings(
        checkpoint=checkpoint, device="cpu", dtype=manner.dtype, max_steps=steps, evaluate_every=steps  # pyright: ignore
    )  # fmt: skip
    task = load_sentences(steps * settings.batch_size)
    trainer = Trainer(settings, task, Narrator(quiet=True))
    split = trainer.splits["train"]
    longest = min(settings.max_length, trainer.tokenizer.model_max_length)
    build = CLASSIFIERS.load(settings.model)
    generator = torch.Generator().manual_seed(0)
    model = build(trainer.checkpoint, len(task.classes), settings.dropout, generator)
    sentences = PaddedSplit(split, longest) if manner.padded else split
    no_checkpoint = Path(os.devnull)
    job = Job(
        model, supervised_loss, (), sentences, trainer.splits["dev"], "accuracy", settings, 0, no_checkpoint  # pyright: ignore
    )  # fmt: skip
    return train_model(job, trainer.accelerator, lambda done: None)


@cache
def load_sentences(n: int) -> Task:
    """SST-2's sentences where the corpora are at hand, else those of the controlled corpus."""
    if not _CORPUS.is_dir():
        return draw_tasks(["past_present"], {"train": n, "dev": _READ, "test": _READ})[0]
    ((task,), _) = load_tasks(str(_CORPUS), ("SST-2-sent",))
    small, few = limit_task(task, n), limit_task(task, _READ)
    return Task(task.spec, task.classes, {**few.splits, "train": small.splits["train"]}, task.origin)
