"""Learning labels."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from probing.training.contracts import Examples, Objective


class Supervised(Objective):
    """Cross-entropy of the labels in nats; in a regression, which has one output, the mean squared error."""

    weights = {"labels": 1.0}  # noqa: RUF012 (read only)

    def losses(self, model: Any, batch: Examples, generator: torch.Generator) -> dict[str, Float[Tensor, ""]]:
        """The mean over a part of a batch."""
        del generator
        return {"labels": compute_loss(model(**batch.inputs).logits, batch.labels)}


def compute_loss(
    logits: Float[Tensor, "batch labels"], labels: Tensor, reduction: str = "mean"
) -> Float[Tensor, "*sentences"]:
    """Cross-entropy or squared error, from logits; in float32 whatever the precision of the products.

    Args:
        logits: of some sentences.
        labels: classes, or scores.
        reduction: mean over the sentences, or none, which gives each one's loss.
    """
    logits = logits.float()
    if logits.shape[1] == 1:
        return F.mse_loss(logits.squeeze(1), labels.to(logits.dtype), reduction=reduction)
    return F.cross_entropy(logits, labels, reduction=reduction)
