"""What may be done to a model while it is trained, such as pruning."""

from typing import Any, Protocol

from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel


class Transform(Protocol):
    """Changes a model before, during and after training. What it keeps must be in the model's `state_dict`."""

    def apply(self, model: PreTrainedModel) -> None:
        """Prepare the model; the optimiser is made after it."""
        ...

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Groups of parameters of its own for the optimiser, with their rates."""
        ...

    def before_step(self, step: int, n_steps: int) -> None:
        """Set what the schedule says after `step` of `n_steps` optimiser steps."""
        ...

    def penalty(self) -> Float[Tensor, ""] | None:
        """What is added to the loss."""
        ...

    def measure(self) -> list[tuple[str, int, float]]:
        """Rows for the log: quantity, layer (-1: none), value."""
        ...

    def finish(self, model: PreTrainedModel) -> float:
        """Leave a plain model that loads without this transform, and say its share of zeros."""
        ...
