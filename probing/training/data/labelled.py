"""Training sentences in batches of like lengths, in an order that seed and epoch alone decide."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from probing.contracts.encoder import Tokens
from probing.encoders.inputs import ModelInputs
from probing.randomness import stream
from probing.records import Split

_POOL = 32
"""Batches that are sorted by length together: enough for hardly any padding, few enough to stay well mixed."""


@dataclass(frozen=True)
class Batch:
    """Some sentences as a model takes them."""

    inputs: dict[str, Tensor]
    labels: Tensor
    """Class indices; in a regression, scores."""
    n_tokens: int
    """Padding not counted."""


class TokenisedSplit:
    """One split of a task, tokenised once.

    Args:
        inputs: makes tokens and batches.
        split: the texts and labels.
    """

    def __init__(self, inputs: ModelInputs, split: Split):
        self._inputs = inputs
        self._tokens: Tokens = inputs.tokenize(split.texts)
        self.lengths = self._tokens.lengths
        self.labels = split.labels if split.targets is None else split.targets.astype(np.float32)

    def __len__(self) -> int:
        return len(self.lengths)

    def collate(self, rows: Int[np.ndarray, " batch"], device: str) -> Batch:
        """Some of the sentences as one batch."""
        labels = torch.from_numpy(self.labels[rows]).to(device)
        return Batch(self._inputs.collate(self._tokens, rows, device), labels, int(self.lengths[rows].sum()))


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


def iterate_batches(
    lengths: Int[np.ndarray, " sentences"], size: int, seed: int, start: int = 0
) -> Iterator[Int[np.ndarray, " batch"]]:
    """The rows of one batch after the other, epoch after epoch without end, from batch number `start` on."""
    per_epoch = count_batches(len(lengths), size)
    epoch, skipped = divmod(start, per_epoch)
    while True:
        yield from order_batches(lengths, size, seed, epoch)[skipped:]
        epoch, skipped = epoch + 1, 0


def count_batches(n: int, size: int) -> int:
    """Batches in one epoch."""
    return -(-n // size)


def batches_by_length(lengths: Int[np.ndarray, " sentences"], n_tokens: int) -> list[np.ndarray]:
    """The rows of each batch for reading a split once: sorted by length, of at most about `n_tokens` tokens."""
    order = np.argsort(lengths, kind="stable")
    batches, start = [], 0
    for stop in range(1, len(order) + 1):
        full = stop == len(order) or (stop + 1 - start) * lengths[order[stop]] > n_tokens
        if full:
            batches.append(order[start:stop])
            start = stop
    return batches
