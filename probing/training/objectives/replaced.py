"""Replaced token detection (Clark et al. 2020, ELECTRA, arXiv 2003.10555, section 2).

A small masked language model, the generator G, fills hidden tokens; a discriminator D tells which tokens were replaced.

    x_hat_i ~ p_G(x_i | x_masked) at hidden places i,    L = L_MLM(G) + weight * mean_t BCE(D(x_hat)_t, x_hat_t != x_t)

No gradient goes through the sampling, so that L_D teaches the generator nothing but the embeddings that both share.
"""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel

from probing.encoders.masked_lm import predict_at, sample_tokens
from probing.training.contracts import MaskedBlocks, Objective
from probing.training.objectives.masked import masked_loss


class Replaced(Objective):
    """The generator's and the discriminator's loss, as in the formula above.

    Args:
        generator: on the device of the batches; one without trainable parameters stays as it is, and has no loss.
        weight: of the discriminator's loss. ELECTRA's: 50.
        weight_decay: of the generator's matrices.
    """

    def __init__(self, generator: PreTrainedModel, weight: float = 50.0, weight_decay: float = 0.01):
        self.generator, self.weight_decay = generator, weight_decay
        self.learns = any(one.requires_grad for one in generator.parameters())
        self.weights: Mapping[str, float] = {"generator": float(self.learns), "discriminator": weight}
        generator.train(self.learns)

    def losses(self, model: Any, batch: MaskedBlocks, generator: torch.Generator) -> dict[str, Float[Tensor, ""]]:
        """The generator's share of the mean over the batch's hidden tokens, and the mean over all tokens of a part."""
        del generator
        with torch.set_grad_enabled(self.learns and torch.is_grad_enabled()):
            logits = predict_at(self.generator, batch.inputs, batch.places)
        shown = fill(logits, batch)
        found = {"generator": masked_loss(logits, batch)} if self.learns else {}
        return found | {"discriminator": detection_loss(detect(model, shown), shown != batch.original)}

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The generator's parameters without the shared table, which is the model's."""
        table = self.generator.get_input_embeddings().weight
        own = [one for one in self.generator.parameters() if one.requires_grad and one is not table]
        matrices, vectors = [one for one in own if one.ndim > 1], [one for one in own if one.ndim <= 1]
        groups = [
            {"params": matrices, "weight_decay": self.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        return [group for group in groups if group["params"]]

    def state_dict(self) -> dict[str, Any]:
        """The generator's weights."""
        return self.generator.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> Any:
        """Put them back."""
        return self.generator.load_state_dict(state)


def fill(logits: Float[Tensor, "hidden_tokens vocab"], batch: MaskedBlocks) -> Int[Tensor, "batch tokens"]:
    """The original blocks, with a token that the generator samples in place of each hidden one."""
    filled = batch.original.flatten().index_copy(0, batch.places, sample_tokens(logits, batch.noise))
    return filled.view_as(batch.original)


def detect(model: Any, tokens: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch tokens"]:
    """The logit of each token's being a replaced one, as a discriminator has it."""
    return model(input_ids=tokens).logits.flatten(1)


def detection_loss(logits: Float[Tensor, "batch tokens"], replaced: "Tensor") -> Float[Tensor, ""]:
    """Binary cross-entropy in nats, the mean over all tokens; a sampled token that is the original counts as such."""
    return F.binary_cross_entropy_with_logits(logits.float(), replaced.float())


def share_embeddings(generator: Any, model: PreTrainedModel) -> None:
    """Let a generator read, and predict by, the table of embeddings of the discriminator.

    Raises:
        ValueError: their tables have different shapes.
    """
    table: nn.Embedding = model.get_input_embeddings()  # pyright: ignore
    own = generator.get_input_embeddings().weight.shape
    if own != table.weight.shape:
        raise ValueError(f"generator: its table of embeddings is {tuple(own)}, expected {tuple(table.weight.shape)}")
    generator.set_input_embeddings(table)
    generator.tie_weights()
