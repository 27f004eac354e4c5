"""Masks of the weights that are kept: W' = W * M, as parametrizations of `torch.nn.utils.parametrize`.

The mask M is chosen once for each optimiser step and not in every forward pass, between which nothing moves. It is no
part of the state: weights, scores and the level that the schedule has reached say what it is.
"""

from abc import ABC, abstractmethod
from math import ceil
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

LEAST_KEPT = 0.005
"""Share of each matrix that soft movement keeps whatever its scores are: the paper's."""


class Mask(nn.Module, ABC):
    """W' = W * M; what is masked gets no gradient. Keeps everything until `update` is called."""

    kept: Tensor

    def __init__(self, weight: Float[Tensor, "rows columns"]):
        super().__init__()
        self.register_buffer("kept", torch.ones_like(weight, dtype=torch.bool), persistent=False)

    def forward(self, weight: Float[Tensor, "rows columns"]) -> Float[Tensor, "rows columns"]:
        """The weights with zeros where they are masked."""
        return weight.where(self.kept, 0.0)

    @torch.no_grad()
    def update(self, weight: Float[Tensor, "rows columns"], level: float) -> None:
        """Choose the mask anew: `level` is the share kept or, with soft movement, the threshold."""
        self.kept.copy_(self.choose(weight, level))

    @abstractmethod
    def choose(self, weight: Float[Tensor, "rows columns"], level: float) -> Bool[Tensor, "rows columns"]:
        """Choose the weights that are kept at a level: true where one is kept."""


class MagnitudeMask(Mask):
    """M = Top_v(|W|): the smallest weights go."""

    def choose(self, weight: Float[Tensor, "rows columns"], level: float) -> Bool[Tensor, "rows columns"]:
        """The share `level` of the weights with the largest magnitudes."""
        return keep_top(weight.abs(), round(level * weight.numel()))


class MovementMask(Mask):
    """M = Top_v(S) with learned scores S, which grow where weights move away from 0 (arXiv 2005.07683, section 4).

    The gradient goes straight through the choice: dL/dS = dL/dW' * W, for masked weights too, so that they can return.
    """

    def __init__(self, weight: Float[Tensor, "rows columns"]):
        super().__init__(weight)
        self.scores = nn.Parameter(torch.zeros_like(weight))

    def forward(self, weight: Float[Tensor, "rows columns"]) -> Float[Tensor, "rows columns"]:
        """The weights with zeros where they are masked, and a gradient for the scores."""
        return _StraightThrough.apply(weight, self.scores, self.kept)  # pyright: ignore

    def choose(self, weight: Float[Tensor, "rows columns"], level: float) -> Bool[Tensor, "rows columns"]:
        """The share `level` of the weights with the highest scores."""
        return keep_top(self.scores, round(level * weight.numel()))


class SoftMovementMask(MovementMask):
    """M = [sigmoid(S) > tau] with learned scores S: how many go is up to the penalty on sigmoid(S)."""

    def choose(self, weight: Float[Tensor, "rows columns"], level: float) -> Bool[Tensor, "rows columns"]:
        """The weights whose sigmoid(S) is above `level`, but never fewer than `LEAST_KEPT` of them."""
        least = ceil(LEAST_KEPT * weight.numel())
        kept = self.scores.sigmoid() > level
        return kept if int(kept.sum()) >= least else keep_top(self.scores, least)

    def penalty(self) -> Float[Tensor, ""]:
        """Mean sigmoid(S)."""
        return self.scores.sigmoid().mean()


class _StraightThrough(torch.autograd.Function):
    """W * M, whose gradient for S is that of W * S."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, scores: Tensor, kept: Tensor) -> Tensor:
        del scores
        ctx.save_for_backward(weight, kept)
        return weight.where(kept, 0.0)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        weight, kept = ctx.saved_tensors
        to_weight, to_scores, _ = ctx.needs_input_grad
        gradient = gradients[0]
        return gradient.where(kept, 0.0) if to_weight else None, gradient * weight if to_scores else None, None


def keep_top(values: Float[Tensor, "rows columns"], n_kept: int) -> Bool[Tensor, "rows columns"]:
    """Top_v: True for the `n_kept` largest values and for no other; of equals, the first ones are taken."""
    if n_kept == 0:
        return torch.zeros_like(values, dtype=torch.bool)
    border = _find_largest(values, n_kept)
    kept = values >= border
    surplus = int(kept.sum()) - n_kept
    if surplus > 0:
        kept.view(-1)[(values == border).flatten().nonzero()[-surplus:]] = False
    return kept


def _find_largest(values: Tensor, place: int) -> Tensor:
    position = values.numel() - place
    if values.device.type != "cpu":
        return values.flatten().kthvalue(position + 1).values
    # numpy's selection is about ten times as fast as torch's on a CPU.
    return torch.from_numpy(np.partition(values.detach().numpy(), position, axis=None)[position : position + 1])
