"""What a measure is: what a cell can be asked for."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from jaxtyping import Int

from probing.contracts.encoder import Encoder
from probing.records import CellResult, LayerStack


class Measure(Protocol):
    """A function that computes one cell."""

    def __call__(
        self,
        cell: Any,
        settings: Any,
        encoder: Encoder,
        layers: Sequence[int],
        stack: LayerStack,
        rows: Mapping[str, Int[np.ndarray, " sentences"]],
        /,
    ) -> CellResult:
        """The rows of the tables that this cell gives."""
        ...
