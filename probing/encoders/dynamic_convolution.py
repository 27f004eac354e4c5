"""Dynamic convolution (Wu et al. 2019, arXiv 1901.10430) as LV-BERT has it (Yu et al. 2021, arXiv 2106.11740).

    v   = (W_l x + b_l) * sigmoid(W_g x + b_g)                    values, in heads
    K_t = softmax_j( W_k (W_p depthwise(v)_t + b_p) + b_k )       one kernel of k taps for each token and head
    o_t = sum_j K_t[j] v_{t + j - (k-1)/2}                        zeros outside the text

Three linear maps make the logits of K from v with nothing between them. They are one convolution, computed as such: its
kernel W_k W_p depthwise is made anew in each pass. The sum over taps is a product of banded matrices with blocks of
values, so that no array of tokens x taps x width is ever made.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

_BLOCK = 32
"""Tokens of a block: its band is 32 x (32 + k - 1). On a CPU, forward and backward took half the time of a sum over
taps, and a fifth of an unfolded product."""


class DynamicConvolution(nn.Module):
    """Values convolved with kernels that depend on the token; the output map is the caller's.

    Args:
        hidden_size: width of states and of values, a multiple of `n_heads`.
        n_heads: kernels of a token, each for its share of the values.
        n_taps: tokens that a kernel reads, an odd number.
    """

    def __init__(self, hidden_size: int, n_heads: int, n_taps: int):
        super().__init__()
        self.n_heads, self.n_taps = n_heads, n_taps
        self.linear = nn.Linear(hidden_size, hidden_size)
        self.gate = nn.Linear(hidden_size, hidden_size)
        self.depthwise = nn.Conv1d(hidden_size, hidden_size, n_taps, groups=hidden_size, bias=False)
        self.pointwise = nn.Linear(hidden_size, hidden_size)
        self.kernel = nn.Linear(hidden_size, n_heads * n_taps)

    def forward(
        self, states: Float[Tensor, "batch tokens hidden"], present: Float[Tensor, "batch tokens 1"] | None
    ) -> Float[Tensor, "batch tokens hidden"]:
        """Convolved values.

        Args:
            states: of all tokens.
            present: 1 at tokens and 0 at padding, whose values are then 0, as they are outside the text; None to let
                the convolution read padding.
        """
        values = self.linear(states) * torch.sigmoid(self.gate(states))
        if present is not None:
            values = values * present.to(values.dtype)
        return convolve(values, self.compute_kernels(values))

    def compute_kernels(self, values: Float[Tensor, "batch tokens hidden"]) -> Float[Tensor, "batch tokens heads taps"]:
        """The kernel of each token and head, which sums to 1."""
        with torch.autocast(values.device.type, enabled=False):
            kernel, bias = self.compose()
        logits = F.conv1d(values.transpose(1, 2), kernel, bias, padding=self.n_taps // 2).transpose(1, 2)
        return logits.unflatten(-1, (self.n_heads, self.n_taps)).softmax(-1)

    def compose(self) -> tuple[Float[Tensor, "logits hidden taps"], Float[Tensor, " logits"]]:
        """The one convolution, kernel and bias, that three maps make of values; a logit for each head and tap."""
        maps = self.kernel.weight @ self.pointwise.weight
        bias = self.kernel.weight @ self.pointwise.bias + self.kernel.bias
        return maps[:, :, None] * self.depthwise.weight[:, 0], bias


def convolve(
    values: Float[Tensor, "batch tokens hidden"], kernels: Float[Tensor, "batch tokens heads taps"]
) -> Float[Tensor, "batch tokens hidden"]:
    """Sum of each token's neighbours, weighted by its kernels: o_t = sum_j K_t[j] v_{t + j - (k-1)/2}, head by head."""
    n_tokens, (n_heads, n_taps) = values.shape[1], kernels.shape[2:]
    half, block = n_taps // 2, min(_BLOCK, n_tokens)
    behind = -n_tokens % block
    padded = F.pad(values, (0, 0, half, half + behind)).unflatten(-1, (n_heads, -1))
    windows = padded.unfold(1, block + 2 * half, block).transpose(-1, -2)  # batch blocks heads window share
    bands = _band(F.pad(kernels, (0, 0, 0, 0, 0, behind)).unflatten(1, (-1, block)).transpose(2, 3))
    summed = bands.to(values.dtype) @ windows
    return summed.transpose(2, 3).flatten(-2).flatten(1, 2)[:, :n_tokens]


def _band(kernels: Float[Tensor, "batch blocks heads block taps"]) -> Float[Tensor, "batch blocks heads block window"]:
    """A matrix whose row i holds the i-th kernel from column i on, by giving each row one number too many."""
    block, n_taps = kernels.shape[-2:]
    window = block + n_taps - 1
    rows = F.pad(kernels, (0, block)).flatten(-2)
    return rows[..., : block * window].unflatten(-1, (block, window))
