"""The sub-layers of LV-BERT: each adds what it computes to its input and norms the sum, y = LN(x + dropout(f(x)))."""

from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from probing.encoders.dynamic_convolution import DynamicConvolution

States = Float[Tensor, "batch tokens hidden"]
Mask = Bool[Tensor, "batch tokens"] | None
"""True at tokens; None where there is no padding."""


class SubLayer(nn.Module):
    """Base of all kinds: the output map, dropout, the sum and the norm after it.

    Args:
        config: an `LvBertConfig`.
        width: of what the output map reads.
    """

    def __init__(self, config: Any, width: int):
        super().__init__()
        self.output = nn.Linear(width, config.hidden_size)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def compute(self, states: States, mask: Mask) -> Float[Tensor, "batch tokens width"]:
        """The function of the input, without its output map."""
        raise NotImplementedError

    def forward(self, states: States, mask: Mask) -> States:
        """Normed sum of the input and of what is computed from it."""
        return self.norm(states + self.dropout(self.output(self.compute(states, mask))))


class Convolution(SubLayer):
    """Dynamic convolution."""

    def __init__(self, config: Any):
        super().__init__(config, config.hidden_size)
        self.convolution = DynamicConvolution(config.hidden_size, config.num_attention_heads, config.conv_kernel_size)
        self.sees_padding = config.convolution_sees_padding

    def compute(self, states: States, mask: Mask) -> States:
        """Values of the neighbours of each token, weighted by its kernels."""
        present = None if mask is None or self.sees_padding else mask[..., None].to(states.dtype)
        return self.convolution(states, present)


class SelfAttention(SubLayer):
    """BERT's multi-head attention, by torch's fused kernels."""

    def __init__(self, config: Any):
        super().__init__(config, config.hidden_size)
        self.n_heads, self.drop = config.num_attention_heads, config.attention_probs_dropout_prob
        self.query = nn.Linear(config.hidden_size, config.hidden_size)
        self.key = nn.Linear(config.hidden_size, config.hidden_size)
        self.value = nn.Linear(config.hidden_size, config.hidden_size)

    def compute(self, states: States, mask: Mask) -> States:
        """Values of all tokens, weighted by softmax(q k / sqrt(d)); padding has no weight."""
        heads = [
            part(states).unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        ]
        seen = None if mask is None else mask[:, None, None]
        read = F.scaled_dot_product_attention(*heads, attn_mask=seen, dropout_p=self.drop if self.training else 0.0)
        return read.transpose(1, 2).flatten(-2)


class FeedForward(SubLayer):
    """A map to a wider layer and GELU."""

    def __init__(self, config: Any):
        super().__init__(config, config.intermediate_size)
        self.inner = nn.Linear(config.hidden_size, config.intermediate_size)

    def compute(self, states: States, mask: Mask) -> Float[Tensor, "batch tokens intermediate"]:
        """Inner states of each token by itself."""
        del mask
        return F.gelu(self.inner(states))


class Choice(nn.Module):
    """A place of a supernet: a sub-layer of every kind, of which one is on the path."""

    kinds: ClassVar = (Convolution, SelfAttention, FeedForward)
    """By their codes, `layer_patterns.KINDS`."""

    def __init__(self, config: Any, code: int):
        super().__init__()
        self.candidates = nn.ModuleList(kind(config) for kind in self.kinds)
        self.code = code

    def forward(self, states: States, mask: Mask) -> States:
        """The output of the candidate on the path."""
        return self.candidates[self.code](states, mask)


def build_place(config: Any, code: int) -> nn.Module:
    """Module of a place: a sub-layer, or in a supernet one of every kind."""
    return Choice(config, code) if config.supernet else Choice.kinds[code](config)


@torch.no_grad()
def draw_weights(module: nn.Module, std: float) -> None:
    """Start a module as the authors do.

    Matrices and embeddings are drawn with a deviation of `std`, biases are 0; the taps of depthwise convolutions have
    1/k, and the map to the kernels has TensorFlow's default (Glorot), as in their code.
    """
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Embedding):
        nn.init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std)
        if module.padding_idx is not None:
            module.weight[module.padding_idx].zero_()
    elif isinstance(module, nn.LayerNorm):
        module.reset_parameters()
    elif isinstance(module, DynamicConvolution):
        taps = 1 / module.n_taps
        nn.init.trunc_normal_(module.depthwise.weight, std=taps, a=-2 * taps, b=2 * taps)
        nn.init.xavier_uniform_(module.kernel.weight)
