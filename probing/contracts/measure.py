"""What a measure takes and gives: a cell of the run, the sentences of its task as an encoder sees them, its numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from jaxtyping import Int

from probing.contracts.encoder import Encoder
from probing.records import LayerStack, Task
from probing.tables import CellResult


@dataclass(frozen=True)
class Cell:
    """The smallest piece of a run that is kept and resumed."""

    task: Task
    representation: str
    """What a probe reads: one of `probing.catalogue.readouts.REPRESENTATIONS`."""
    control: str = "none"
    seed: int = 0
    measure: str = "scores"
    """What is computed: a key of the table `measures`."""

    @property
    def name(self) -> str:
        """File name of the cell."""
        parts = [self.task.name, self.representation, self.control, str(self.seed)]
        return ".".join(parts + ([] if self.measure == "scores" else [self.measure]))


@dataclass(frozen=True)
class Encoded:
    """The sentences of a task as one encoder sees them."""

    encoder: Encoder
    layers: Sequence[int]
    """Indices of the layers that are probed."""
    stack: LayerStack
    """The vectors of these sentences, and maybe of others."""
    rows: Mapping[str, Int[np.ndarray, " sentences"]]
    """Where the sentences of each split stand in the stack."""


class Measure(Protocol):
    """Numbers of one cell, from the vectors of its task's sentences.

    The settings are the run's (`probing.settings.run.RunSettings`); this floor does not know them.
    """

    def __call__(self, cell: Cell, encoded: Encoded, settings: Any) -> CellResult:
        """Compute them; what raises costs this cell alone."""
        ...
