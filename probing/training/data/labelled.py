"""Labelled sentences in batches of like lengths, in an order that seed and epoch alone decide."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Int

from probing.contracts.encoder import Tokens
from probing.encoders.inputs import ModelInputs
from probing.encoders.unknown_words import describe_unknown
from probing.progress import Reporter
from probing.randomness import stream
from probing.records import SPLITS, InputError, Split, Task
from probing.settings.training import TrainSettings
from probing.tasks.sources import load_tasks
from probing.tasks.subset import limit_task
from probing.training.contracts import Batch, Data, Examples, LabelledSplit
from probing.training.plan import Origin, Source

_POOL = 32
"""Batches that are sorted by length together: enough for hardly any padding, few enough to stay well mixed."""


class TokenisedSplit:
    """One split of a task, tokenised once. Obeys `probing.training.contracts.LabelledSplit`.

    Args:
        inputs: makes tokens and batches.
        split: the texts and labels.
    """

    def __init__(self, inputs: ModelInputs, split: Split):
        self._inputs = inputs
        self._tokens: Tokens = inputs.tokenize(split.texts)
        self.lengths, self.truncated = self._tokens.lengths, self._tokens.truncated
        self.labels = split.labels if split.targets is None else split.targets.astype(np.float32)

    def __len__(self) -> int:
        return len(self.lengths)

    def list_batches(self, n_tokens: int) -> list[Int[np.ndarray, " batch"]]:
        """The rows of each batch for going once through the split: of at most about `n_tokens` tokens."""
        return batches_by_length(self.lengths, n_tokens)

    def collate(self, rows: Int[np.ndarray, " batch"], device: str) -> Examples:
        """Some of the sentences, padded together."""
        labels = torch.from_numpy(self.labels[rows]).to(device)
        return Examples(self._inputs.collate(self._tokens, rows, device), labels)


@dataclass(frozen=True)
class Rows(Batch):
    """Some rows of a split."""

    split: LabelledSplit
    rows: Int[np.ndarray, " batch"]

    @property
    def n_tokens(self) -> int:
        """Padding not counted."""
        return int(self.split.lengths[self.rows].sum())

    def __len__(self) -> int:
        return len(self.rows)

    def collate(self, rows: Int[np.ndarray, " part"], device: str) -> Examples:
        """Some of these rows, padded together."""
        return self.split.collate(self.rows[rows], device)


class LabelledData(Data):
    """The sentences of one split, epoch after epoch.

    Args:
        split: what is learned.
        size: sentences in a batch.
        seed: of their order.
    """

    def __init__(self, split: TokenisedSplit, size: int, seed: int):
        self.split, self.size, self.seed = split, size, seed
        self.n_steps_per_epoch = -(-len(split) // size)
        self._epoch, self._order = -1, []

    def __len__(self) -> int:
        return len(self.split)

    def batch(self, step: int) -> Rows:
        """The batch that follows `step` others."""
        epoch, number = divmod(step, self.n_steps_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, order_batches(self.split.lengths, self.size, self.seed, epoch)
        return Rows(self.split, self._order[number])


def order_batches(lengths: Int[np.ndarray, " sentences"], size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """The rows of each batch of one epoch.

    Rows are shuffled; in each run of `_POOL` batches they are sorted by length; the batches are shuffled again. Every
    row comes once an epoch, the last few that fill no batch in a smaller one.
    """
    generator = stream(seed, "batches", epoch)
    rows = generator.permutation(len(lengths))
    pools = [rows[start : start + _POOL * size] for start in range(0, len(rows), _POOL * size)]
    rows = np.concatenate([pool[np.argsort(lengths[pool], kind="stable")] for pool in pools])
    batches = [rows[start : start + size] for start in range(0, len(rows), size)]
    return [batches[number] for number in generator.permutation(len(batches))]


def batches_by_length(lengths: Int[np.ndarray, " sentences"], n_tokens: int) -> list[np.ndarray]:
    """The rows of each batch for going once through a split: sorted by length, of at most about `n_tokens` tokens."""
    order = np.argsort(lengths, kind="stable")
    batches, start = [], 0
    for stop in range(1, len(order) + 1):
        full = stop == len(order) or (stop + 1 - start) * lengths[order[stop]] > n_tokens
        if full:
            batches.append(order[start:stop])
            start = stop
    return batches


@dataclass(frozen=True)
class Labelled:
    """A task and its splits, tokenised."""

    task: Task
    splits: Mapping[str, TokenisedSplit]
    source: Source


def load_labelled(settings: TrainSettings, origin: Origin, reporter: Reporter) -> Labelled:
    """The task that the settings name, tokenised for an encoder.

    Raises:
        InputError: as `load_task`.
    """
    return make_labelled(load_task(settings, reporter), origin, reporter)


def make_labelled(task: Task, origin: Origin, reporter: Reporter | None = None) -> Labelled:
    """A task, tokenised for an encoder; the reporter hears where that knows too few of its words."""
    inputs = ModelInputs(origin.tokenizer, origin.config, origin.limit)
    if reporter:
        for line in describe_unknown(inputs, origin.checkpoint.name, [task]):
            reporter.warn(line)
    splits = {name: TokenisedSplit(inputs, task.splits[name]) for name in SPLITS}
    facts = {"origin": task.origin, "digest": task.digest} | {name: len(split) for name, split in task.splits.items()}
    return Labelled(task, splits, Source(task.name, task.digest, facts, (task,)))


def load_task(settings: TrainSettings, reporter: Reporter) -> Task:
    """The one task, its splits as large as the settings allow.

    Raises:
        InputError: the source has no such task, the name stands for several, or too little of it is left to learn.
    """
    tasks, _ = load_tasks(settings.data, (settings.task,), reporter=reporter)
    if len(tasks) > 1:
        raise InputError(f"--task {settings.task}: stands for {len(tasks)} tasks; name one")
    task = tasks[0]
    if task.folds:
        raise InputError(f"--task {settings.task}: has no fixed splits but {task.folds} folds; choose another task")
    return limit_splits(task, settings)


def limit_splits(task: Task, settings: TrainSettings) -> Task:
    """The task with its splits as large as the settings allow.

    Raises:
        InputError: that leaves one class of several in a split.
    """
    limits = {"train": settings.limit, "dev": settings.limit_dev, "test": settings.limit_dev}
    splits = {
        name: limit_task(task, limit).splits[name] if limit else task.splits[name] for name, limit in limits.items()
    }
    for name, split in splits.items():
        if not task.graded and len(np.unique(split.labels)) == 1 < len(np.unique(task.splits[name].labels)):
            flag = "--limit" if name == "train" else "--limit-dev"
            raise InputError(f"{flag} {limits[name]}: leaves one class of {task.name} in {name}; expected two or more")
    return replace(task, splits=splits)
