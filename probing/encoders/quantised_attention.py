"""Attention whose products take quantised queries, keys, values and probabilities, as KDLSQ has it.

An attention of transformers' own: whatever architecture computes through its interface (BERT, RoBERTa, ELECTRA, ...)
can have it. A module without steps computes attention as usual.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "quantised"
"""Its name among transformers' kinds of attention."""
PRODUCTS = ("query", "key", "value", "probabilities")
"""Operands that have a step each."""
STEPS = "product_steps"
"""Attribute of an attention module: its steps, by the name of the operand."""


@dataclass(frozen=True)
class Attended:
    """Results of attention, the steps in between among them."""

    contexts: Float[Tensor, "batch tokens heads width"]
    probabilities: Float[Tensor, "batch heads tokens tokens"]
    scores: Float[Tensor, "batch heads tokens tokens"]
    """q k / sqrt(d), no token hidden yet."""


def is_quantised(module: nn.Module) -> bool:
    """True where an attention module has steps."""
    return hasattr(module, STEPS)


def compute_attention(
    module: Any,
    operands: Sequence[Float[Tensor, "batch heads tokens width"]],
    mask: Bool[Tensor, "..."] | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
) -> Attended:
    """Attention of a module with steps.

    Args:
        module: which has them.
        operands: queries, keys and values.
        mask: true where a token is read; none where all are.
        scaling: 1 / sqrt(d), by default.
        dropout: of probabilities.
    """
    steps = getattr(module, STEPS)
    query, key, value = (steps[name](one) for name, one in zip(PRODUCTS[:3], operands, strict=True))
    scores = query @ key.transpose(2, 3) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    seen = scores if mask is None else scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    shares = steps[PRODUCTS[3]](seen.softmax(dim=-1))
    contexts = torch.dropout(shares, dropout, train=True) @ value
    return Attended(contexts.transpose(1, 2).contiguous(), shares, scores)


def attend(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **others: Any
) -> tuple[Tensor, Tensor | None]:
    """Attention as transformers calls it: with steps where a module has them, else as it usually is."""
    if not is_quantised(module):
        return sdpa_attention_forward(module, query, key, value, attention_mask, **others)
    options = {name: others[name] for name in ("scaling", "dropout") if name in others}
    found = compute_attention(module, (query, key, value), attention_mask, **options)
    return found.contexts, found.probabilities


def use_quantised_attention(backbone: PreTrainedModel) -> None:
    """Let an encoder compute its attention by `attend`."""
    backbone.set_attn_implementation(NAME)


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, sdpa_mask)
