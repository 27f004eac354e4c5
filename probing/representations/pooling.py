"""From the states of all tokens to one vector per sentence.

`mean` and `cls` are linear, so pooling and the scalar mix commute: mixing pooled vectors is pooling mixed states.
`max` is not: there the pooled vectors are mixed, which is not the pooled mix.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from probing.states import HiddenStates


def pool_mean(
    states: Float[Tensor, "batch tokens hidden"], positions: Bool[Tensor, "batch tokens"]
) -> Float[Tensor, "batch hidden"]:
    """The mean over the chosen positions, in float32."""
    share = positions.float() / positions.sum(dim=1, keepdim=True)
    return torch.einsum("bth,bt->bh", states.float(), share)


def pool_cls(
    states: Float[Tensor, "batch tokens hidden"], positions: Bool[Tensor, "batch tokens"]
) -> Float[Tensor, "batch hidden"]:
    """The state of the first token, which is [CLS] wherever the tokenizer has one; `positions` do not matter."""
    return states[:, 0].float()


def pool_max(
    states: Float[Tensor, "batch tokens hidden"], positions: Bool[Tensor, "batch tokens"]
) -> Float[Tensor, "batch hidden"]:
    """The largest value of each hidden unit over the chosen positions, in float32."""
    return states.masked_fill(~positions.unsqueeze(-1), float("-inf")).amax(dim=1).float()


def choose_positions(states: HiddenStates, *, special_tokens: bool) -> Bool[Tensor, "batch tokens"]:
    """The positions that pooling reads: never padding, and special tokens only where they are asked for.

    A text without words has nothing but special tokens, which are read then.
    """
    if special_tokens:
        return states.mask
    words = states.mask & ~states.special
    return torch.where(words.any(dim=1, keepdim=True), words, states.mask)
