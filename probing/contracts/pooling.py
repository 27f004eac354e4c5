"""Contract of a pooling: the rule that makes one vector of a sentence's token states."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int
from torch import Tensor

Share = Callable[[Bool[np.ndarray, " tokens"], Int[np.ndarray, " batch"]], Float[np.ndarray, " tokens"]]
"""Function from which tokens may be read, of texts one after the other, and the number of tokens of each text, to the
share of each token: 0 or more, and above 0 for one token of every text at least."""


@runtime_checkable
class Pool(Protocol):
    """A pure function of the states of one layer.

    A sentence's vector depends on that sentence alone, and not on what stands at padding; that of a sentence of one
    token is that token's state; c times the states give c times the vector, c > 0. The states stay as they are. A
    pooling reads the chosen positions or, as `cls`, the first one whatever is chosen.

    A pooling that can be written as shares of tokens may declare them by `declare_shares`: encoders with kernels of
    their own then pool by it while they compute. Any other pooling is given the hidden states.
    """

    def __call__(
        self, states: Float[Tensor, "batch tokens hidden"], positions: Bool[Tensor, "batch tokens"], /
    ) -> Float[Tensor, "batch hidden"]:
        """One vector per sentence, in float32 at least.

        Args:
            states: of all tokens, padding included, in whatever number format the encoder computes in.
            positions: which of them may be read: at least one of every sentence, and never padding.
        """
        ...


@dataclass(frozen=True)
class TokenShares:
    """A pooling by shares of tokens: the sum of the states, each times its share, or their largest values."""

    share: Share
    largest: bool = False
    """True where each dimension is the largest value over the tokens with a share above 0, and not their sum."""


def declare_shares(share: Share, *, largest: bool = False) -> Callable[[Any], Pool]:
    """Decorator: a pooling says how it follows from shares of tokens, in the attribute `shares`."""

    def mark(pool: Any) -> Pool:
        pool.shares = TokenShares(share, largest)
        return pool

    return mark


def find_shares(pool: Pool) -> TokenShares | None:
    """Find the shares that a pooling declares; none where it declares no shares."""
    shares = getattr(pool, "shares", None)
    return shares if isinstance(shares, TokenShares) else None
