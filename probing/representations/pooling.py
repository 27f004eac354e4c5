"""From the states of all tokens to one vector per sentence.

`mean` and `cls` are linear, so pooling and the scalar mix commute: mixing pooled vectors is pooling mixed states.
`max` is not: there the pooled vectors are mixed, which is not the pooled mix.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from probing.contracts.encoder import HiddenStates


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
    """The largest value of each dimension over the chosen positions, in float32."""
    return states.masked_fill(~positions.unsqueeze(-1), float("-inf")).amax(dim=1).float()


def choose_positions(states: HiddenStates, *, special_tokens: bool) -> Bool[Tensor, "batch tokens"]:
    """The positions that pooling reads: never padding, and special tokens only where they are asked for.

    A text without words has nothing but special tokens, which are read then.
    """
    if special_tokens:
        return states.mask
    words = states.mask & ~states.special
    return torch.where(words.any(dim=1, keepdim=True), words, states.mask)


SHARES = ("mean", "cls", "max")
"""Poolings that are a sum of states, each times a share, or their largest values: what `share_tokens` knows."""


def share_tokens(
    pooling: str, special: Bool[np.ndarray, " tokens"], lengths: Int[np.ndarray, " batch"], *, special_tokens: bool
) -> Float[np.ndarray, " tokens"]:
    """Share of each token in a pooling, for texts that stand one after the other.

    Args:
        pooling: one of `SHARES`; what `max` leaves out has a share of 0.
        special: whether each token is a special one.
        lengths: tokens of each text.
        special_tokens: whether pooling reads those; a text without words has nothing else, which is read then.
    """
    starts = np.cumsum(lengths) - lengths
    if pooling == "cls":
        return np.bincount(starts, minlength=len(special)).astype(np.float32)
    words = np.ones_like(special) if special_tokens else ~special
    n_read = np.add.reduceat(words.astype(np.int64), starts)
    words |= np.repeat(n_read == 0, lengths)
    return (words / np.repeat(np.where(n_read, n_read, lengths), lengths)).astype(np.float32)
