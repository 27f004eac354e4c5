"""From the states of all tokens to one vector per sentence.

`mean` and `cls` are linear, so pooling and the scalar mix commute: mixing pooled vectors is pooling mixed states.
`max` is not: there the pooled vectors are mixed, which is not the pooled mix.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from probing.contracts.encoder import HiddenStates
from probing.contracts.pooling import Pool, declare_shares, find_shares


@dataclass(frozen=True)
class Pooling:
    """Rule that makes one vector of a sentence's tokens."""

    name: str = "mean"
    special_tokens: bool = True
    """True where [CLS], [SEP] and their like are read too."""


def share_evenly(
    tokens: Bool[np.ndarray, " tokens"], lengths: Int[np.ndarray, " batch"]
) -> Float[np.ndarray, " tokens"]:
    """Shares of a mean: 1 / n for each of the n tokens of a text that are read, 0 for the others."""
    n_read = np.add.reduceat(tokens.astype(np.int64), np.cumsum(lengths) - lengths)
    return (tokens / np.repeat(n_read, lengths)).astype(np.float32)


def share_first(
    tokens: Bool[np.ndarray, " tokens"], lengths: Int[np.ndarray, " batch"]
) -> Float[np.ndarray, " tokens"]:
    """Shares of the first token: 1 for the first of each text, 0 for the others."""
    return np.bincount(np.cumsum(lengths) - lengths, minlength=len(tokens)).astype(np.float32)


@declare_shares(share_evenly)
def pool_mean(
    states: Float[Tensor, "batch tokens hidden"], positions: Bool[Tensor, "batch tokens"]
) -> Float[Tensor, "batch hidden"]:
    """The mean over the chosen positions, in float32."""
    share = positions.float() / positions.sum(dim=1, keepdim=True)
    return torch.einsum("bth,bt->bh", states.float(), share)


@declare_shares(share_first)
def pool_cls(
    states: Float[Tensor, "batch tokens hidden"], positions: Bool[Tensor, "batch tokens"]
) -> Float[Tensor, "batch hidden"]:
    """The state of the first token, which is [CLS] wherever the tokenizer has one; `positions` do not matter."""
    return states[:, 0].float()


@declare_shares(share_evenly, largest=True)
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


def choose_tokens(
    special: Bool[np.ndarray, " tokens"], lengths: Int[np.ndarray, " batch"], *, special_tokens: bool
) -> Bool[np.ndarray, " tokens"]:
    """The same for texts that stand one after the other, without padding.

    Args:
        special: true where a token is a special one.
        lengths: tokens of each text.
        special_tokens: whether pooling reads those.
    """
    if special_tokens:
        return np.ones_like(special)
    n_words = np.add.reduceat((~special).astype(np.int64), np.cumsum(lengths) - lengths)
    return ~special | np.repeat(n_words == 0, lengths)


def share_tokens(states: HiddenStates, pool: Pool, *, special_tokens: bool) -> Float[Tensor, "batch tokens"]:
    """Share of each token in the vector that a pooling makes of its text, 1 in sum over the text and 0 at padding.

    Even over the tokens that are read where the pooling declares no shares; so are those of `max`, which counts them
    and adds nothing up.
    """
    declared = find_shares(pool)
    share = declared.share if declared else share_evenly
    lengths, special = states.mask.sum(dim=1).cpu().numpy(), states.special[states.mask].cpu().numpy()
    shares = torch.zeros(states.mask.shape)
    flat = share(choose_tokens(special, lengths, special_tokens=special_tokens), lengths)
    shares[states.mask.cpu()] = torch.from_numpy(flat)
    return shares
