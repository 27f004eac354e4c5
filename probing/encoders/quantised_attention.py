"""Attention whose products take quantised queries, keys, values and probabilities, as KDLSQ has it.

An attention of transformers' own: whatever architecture computes through its interface (BERT, RoBERTa, ELECTRA, ...)
can have it. A module without steps computes plain attention.
"""

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import eager_mask

NAME = "quantised"
"""Its name among transformers' kinds of attention."""
PRODUCTS = ("query", "key", "value", "probabilities")
"""Operands that have a step each."""
STEPS = "product_steps"
"""Attribute of an attention module: its steps, by the name of the operand."""


def attend(
    module: nn.Module,
    query: Float[Tensor, "batch heads tokens width"],
    key: Float[Tensor, "batch heads tokens width"],
    value: Float[Tensor, "batch heads tokens width"],
    attention_mask: Float[Tensor, "..."] | None,
    **options: Any,
) -> tuple[Float[Tensor, "batch tokens heads width"], Float[Tensor, "batch heads tokens tokens"]]:
    """Contexts and probabilities, as transformers' eager attention has them."""
    steps: Any = getattr(module, STEPS, dict.fromkeys(PRODUCTS, nn.Identity()))
    query, key, value = (steps[name](one) for name, one in zip(PRODUCTS, (query, key, value), strict=False))
    scaling = options.get("scaling") or query.shape[-1] ** -0.5
    scores = query @ key.transpose(2, 3) * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    shares = steps["probabilities"](scores.softmax(dim=-1))
    dropped = F.dropout(shares, options.get("dropout", 0.0), module.training)
    return (dropped @ value).transpose(1, 2).contiguous(), shares


def use_quantised_attention(backbone: PreTrainedModel) -> None:
    """Let an encoder compute its attention by `attend`."""
    backbone.set_attn_implementation(NAME)


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, eager_mask)
