"""Masked language modelling (Devlin et al. 2019, arXiv 1810.04805): hidden tokens are predicted from all others."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from probing.encoders.masked_lm import predict_at
from probing.training.contracts import MaskedBlocks, Objective


class Masked(Objective):
    """Cross-entropy of the hidden tokens in nats, the mean over those of a batch."""

    weights = {"masked": 1.0}  # noqa: RUF012 (read only)

    def losses(self, model: Any, batch: MaskedBlocks, generator: torch.Generator) -> dict[str, Float[Tensor, ""]]:
        """This part's share of the mean over the batch."""
        del generator
        return {"masked": masked_loss(predict_at(model, batch.inputs, batch.places), batch)}


def masked_loss(logits: Float[Tensor, "hidden_tokens vocab"], batch: MaskedBlocks) -> Float[Tensor, ""]:
    """The sum of -log p(token), over the hidden tokens that so many blocks have in the mean.

    In float32 whatever the precision of the products. Over the parts of a batch it adds up to the mean over all of its
    hidden tokens, of which one part may have more than another.
    """
    labels: Int[Tensor, " hidden_tokens"] = batch.labels
    return F.cross_entropy(logits.float(), labels, reduction="sum") / (batch.per_block * len(batch.original))
