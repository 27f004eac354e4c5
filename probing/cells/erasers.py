"""Erasers of the properties of a run's tasks, each fitted on its own task's training sentences, for every readout."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from probing.contracts.measure import Encoded
from probing.probes.erased import Erasure
from probing.probes.stack_blocks import normalise
from probing.records import LayerStack, Task
from probing.scores.leace import Moments, draw_eraser, fit_eraser

_BLOCK_ROWS = 2048
"""Sentences whose vectors are in memory at a time, in float64."""


@dataclass(frozen=True)
class Place:
    """Vectors that a probe reads: a layer's, or those of a mix whose weights are known."""

    layers: Sequence[int]
    weights: Float[np.ndarray, " layers"] | None = None
    """None: of one layer."""
    norm: bool = False
    """True where vectors are normalised before they are mixed."""

    def take(self, stack: LayerStack, rows: Int[np.ndarray, " rows"]) -> Float[np.ndarray, "rows hidden"]:
        """The vectors of some sentences."""
        if self.weights is None:
            return stack.select(self.layers, rows)[0]
        taken = np.empty((len(rows), stack.hidden_size), dtype=np.float32)
        for start in range(0, len(rows), _BLOCK_ROWS):
            part = stack.select(self.layers, rows[start : start + _BLOCK_ROWS])
            vectors = normalise(part) if self.norm else part
            taken[start : start + _BLOCK_ROWS] = np.tensordot(self.weights.astype(np.float32), vectors, axes=1)
        return taken


@dataclass(frozen=True)
class Erased:
    """The ways to erase one property from the vectors of one place."""

    rank: int
    own: Erasure
    """LEACE of the task's labels."""
    control: Erasure | None
    """LEACE of the labels of its control task (`label_by_word`): what as many classes cost that mean nothing. None of a
    graded task, which has no classes."""


def encode_property(task: Task, rows: Int[np.ndarray, " rows"]) -> Float[np.ndarray, "rows columns"]:
    """The property as numbers: a column for each class; of a graded task, its scores."""
    train = task.splits["train"]
    if train.targets is not None:
        return train.targets[rows, None].astype(np.float64)
    return np.eye(len(task.classes))[train.labels[rows]]


def gather_moments(
    encoded: Encoded, place: Place, rows: Int[np.ndarray, " rows"], columns: Float[np.ndarray, "rows columns"]
) -> Moments:
    """Means and covariances of the vectors of a place and of labels, over some training sentences."""
    moments = Moments(encoded.stack.hidden_size, columns.shape[1])
    for start in range(0, len(rows), _BLOCK_ROWS):
        block = slice(start, start + _BLOCK_ROWS)
        moments.add(place.take(encoded.stack, encoded.rows["train"][rows[block]]), columns[block])
    return moments


def fit_erasers(
    task: Task, control: Task | None, encoded: Encoded, place: Place, rows: Int[np.ndarray, " rows"]
) -> Erased:
    """Fit the erasers of a task's property, and of its control task's, on training sentences of that task alone."""
    parts = [encode_property(one, rows) for one in (task, control) if one is not None]
    moments, border = gather_moments(encoded, place, rows, np.concatenate(parts, axis=1)), parts[0].shape[1]
    fitted = [fit_eraser(moments, part) for part in (slice(border), slice(border, None))[: len(parts)]]
    own, *drawn = ((one.left.astype(np.float32), one.right.astype(np.float32)) for one in fitted)
    return Erased(fitted[0].rank, own, drawn[0] if drawn else None)


def draw_erasures(
    encoded: Encoded, place: Place, rows: Int[np.ndarray, " rows"], ranks: Sequence[int], rng: np.random.Generator
) -> dict[int, Erasure]:
    """For each rank, a random subspace of the vectors of a place: the control of all properties of that rank."""
    moments = gather_moments(encoded, place, rows, np.zeros((len(rows), 0)))
    drawn = {rank: draw_eraser(moments, rank, rng) for rank in sorted(set(ranks))}
    return {rank: (one.left, one.right) for rank, one in drawn.items()}
