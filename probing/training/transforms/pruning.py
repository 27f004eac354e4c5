"""Pruning while training: masks on the linear layers of an encoder's blocks, taken further at each step.

Embeddings, pooler, mix and classifier are not pruned, nor is a layer that is frozen.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize
from transformers import PreTrainedModel

from probing.encoders.blocks import find_blocks
from probing.records import InputError
from probing.training.contracts import Row, Transform
from probing.training.transforms.masks import MagnitudeMask, Mask, MovementMask, SoftMovementMask
from probing.training.transforms.schedules import follow_cubic, weigh_penalty

MASKS: dict[str, type[Mask]] = {
    "magnitude": MagnitudeMask,
    "movement": MovementMask,
    "soft_movement": SoftMovementMask,
}


@dataclass(frozen=True)
class Aim:
    """Way in which one model is pruned, and how far."""

    method: str
    """A key of `MASKS`."""
    sparsity: float = 0.0
    """Share of zeros in each matrix at the end; 0 where it is an outcome."""
    penalty: float = 0.0
    """Weight of soft movement's penalty at the end."""


@dataclass(frozen=True)
class Course:
    """Way in which pruning goes on from step to step, whatever its aim."""

    threshold: float = 0.1
    """Value that sigmoid(S) must be above at the end of soft movement; at first it is 0."""
    score_rate: float = 1e-2
    """Learning rate of the scores S."""
    warmup_share: float = 0.1
    """Share of the steps before pruning begins."""
    cooldown_share: float = 0.2
    """Share of the steps after it has ended."""


class Pruning(Transform):
    """Prunes a model while it is trained.

    Magnitude and movement keep a share of each matrix that falls from 1 to 1 - sparsity; soft movement raises its
    threshold from 0 instead. Both follow the cubic schedule.

    Args:
        aim: how, and how far.
        course: threshold, schedule and rate of the scores.
    """

    def __init__(self, aim: Aim, course: Course):
        self.aim, self.course = aim, course
        self.achieved = 0.0
        soft = aim.method == "soft_movement"
        self._start, self._end = (0.0, course.threshold) if soft else (1.0, 1.0 - aim.sparsity)
        self._level = self._start
        self._layers: list[tuple[int, nn.Linear]] = []
        self._masks: dict[nn.Linear, Any] = {}

    def apply(self, model: PreTrainedModel) -> None:
        """Put a mask on each linear layer that is not frozen.

        Raises:
            InputError: none is left, or the model's blocks are not found.
        """
        self._layers = find_linear_layers(model)
        for _, linear in self._layers:
            if linear.weight.requires_grad:
                self._masks[linear] = MASKS[self.aim.method](linear.weight)
                parametrize.register_parametrization(linear, "weight", self._masks[linear])
        if not self._masks:
            raise InputError(
                "no layer is left to prune: all blocks are frozen; "
                f"expected --freeze-up-to to be less than {len(find_blocks(model)) - 1}"
            )

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The learned scores, at their own rate and without decay; none with magnitude."""
        scores = [mask.scores for mask in self._masks.values() if isinstance(mask, MovementMask)]
        return [{"params": scores, "lr": self.course.score_rate, "weight_decay": 0.0}] if scores else []

    def before_step(self, step: int, n_steps: int) -> None:
        """Choose all masks anew, at the level that the schedule has after `step` steps."""
        shares = {"warmup_share": self.course.warmup_share, "cooldown_share": self.course.cooldown_share}
        self._level = follow_cubic(step, n_steps, self._start, self._end, **shares)
        self._update_masks()

    def penalty(self) -> Float[Tensor, ""] | None:
        """Soft movement's: lambda_t times the mean over matrices of their mean sigmoid(S)."""
        penalties = [mask.penalty() for mask in self._masks.values() if isinstance(mask, SoftMovementMask)]
        if not penalties:
            return None
        return weigh_penalty(self._level, self._end, self.aim.penalty) * torch.stack(penalties).mean()

    def measure(self) -> list[Row]:
        """The share of zeros in all linear layers of the blocks (layer -1), and in those of each block."""
        return [("sparsity", layer, share) for layer, share in count_zeros(self._layers).items()]

    def finish(self, model: PreTrainedModel) -> None:
        """Write the zeros into the weights and take the masks off."""
        self._update_masks()
        for linear in self._masks:
            parametrize.remove_parametrizations(linear, "weight", leave_parametrized=True)
        self._masks = {}
        self.achieved = count_zeros(find_linear_layers(model))[-1]

    def facts(self) -> dict[str, float]:
        """The share of zeros in all linear layers of the blocks."""
        return {"achieved_sparsity": self.achieved}

    def _update_masks(self) -> None:
        for linear, mask in self._masks.items():
            mask.update(linear.get_parameter("parametrizations.weight.original"), self._level)


def find_linear_layers(model: PreTrainedModel) -> list[tuple[int, nn.Linear]]:
    """The linear layers inside the blocks, each with the layer (1 for the first block) that it belongs to."""
    blocks = enumerate(find_blocks(model)[1:], 1)
    return [(layer, part) for layer, block in blocks for part in block.modules() if isinstance(part, nn.Linear)]


@torch.no_grad()
def count_zeros(layers: list[tuple[int, nn.Linear]]) -> dict[int, float]:
    """The share of weights that are 0: of all matrices together (key -1), then of those of each layer."""
    zeros: dict[int, int] = {-1: 0}
    sizes: dict[int, int] = {-1: 0}
    for layer, linear in layers:
        n_zeros = linear.weight.numel() - int(linear.weight.count_nonzero())
        for key in (-1, layer):
            zeros[key] = zeros.get(key, 0) + n_zeros
            sizes[key] = sizes.get(key, 0) + linear.weight.numel()
    return {key: zeros[key] / sizes[key] for key in zeros}
