"""What training makes small."""

from collections.abc import Callable
from typing import Any

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from probing.training.data.labelled import Batch

Objective = Callable[[Any, Batch], Float[Tensor, ""]]
"""Model and batch -> mean loss over the batch."""


def supervised_loss(model: Any, batch: Batch) -> Float[Tensor, ""]:
    """Cross-entropy of the labels in nats; in a regression, which has one output, the mean squared error."""
    return compute_loss(model(**batch.inputs).logits, batch.labels)


def compute_loss(logits: Float[Tensor, "batch labels"], labels: Tensor) -> Float[Tensor, ""]:
    """The same, from logits; in float32 whatever the precision of the products."""
    logits = logits.float()
    if logits.shape[1] == 1:
        return F.mse_loss(logits.squeeze(1), labels.to(logits.dtype))
    return F.cross_entropy(logits, labels)
