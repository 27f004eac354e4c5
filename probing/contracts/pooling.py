"""Contract of a pooling: the rule that makes one vector of a sentence's token states."""

from typing import Protocol

from jaxtyping import Bool, Float
from torch import Tensor


class Pool(Protocol):
    """A pure function of the states of one layer.

    A sentence's vector depends on that sentence alone, and not on what stands at padding; that of a sentence of one
    token is that token's state; c times the states give c times the vector, c > 0. The states stay as they are. A
    pooling reads the chosen positions or, as `cls`, the first one whatever is chosen.
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
