"""AdamW with a rate of its own for the mix, warm-up and decay, and gradient norms by layer."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from probing.encoders.blocks import find_blocks
from probing.scalar_mix import ScalarMix
from probing.settings.training import TrainSettings


def make_optimiser(
    model: PreTrainedModel, settings: TrainSettings, extra: Sequence[dict[str, Any]] = ()
) -> torch.optim.AdamW:
    """AdamW over everything that is not frozen.

    Matrices decay; biases, norms and the mix do not. The mix has its own rate.

    Args:
        model: the frozen parameters of which are left out.
        settings: rates and decay.
        extra: groups of transforms, whose parameters are in no other group.
    """
    claimed = {id(parameter) for group in extra for parameter in group["params"]}
    mix = [one for part in model.modules() if isinstance(part, ScalarMix) for one in part.parameters()]
    claimed |= set(map(id, mix))
    rest = [one for one in model.parameters() if one.requires_grad and id(one) not in claimed]
    groups = [
        {"params": [one for one in rest if one.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [one for one in rest if one.ndim <= 1], "weight_decay": 0.0},
        {"params": mix, "weight_decay": 0.0, "lr": settings.mix_learning_rate},
        *extra,
    ]
    groups = [group for group in groups if group["params"]]
    optimiser = torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)
    for group in optimiser.param_groups:
        group["initial_lr"] = group["lr"]
    return optimiser


def set_rates(optimiser: torch.optim.Optimizer, step: int, n_steps: int, warmup_share: float) -> float:
    """Set the rates for the step that follows `step` others, and give the factor: up to 1, then down to 0, linearly."""
    warmup = round(warmup_share * n_steps)
    factor = (step + 1) / warmup if step < warmup else (n_steps - step) / max(1, n_steps - warmup)
    for group in optimiser.param_groups:
        group["lr"] = factor * group["initial_lr"]
    return factor


def freeze_layers(model: PreTrainedModel, up_to: int) -> None:
    """Keep the weights of layers 0 (embeddings) to `up_to`; -1 freezes none."""
    for block in find_blocks(model)[: up_to + 1]:
        block.requires_grad_(False)


def gradient_norms(model: PreTrainedModel) -> list[float]:
    """The norm of dL/dtheta of each layer, layer 0 being the embeddings; 0 where a layer is frozen.

    What transforms add to a layer, such as scores of pruning, is not counted.
    """
    own = [[value.grad for name, value in block.named_parameters() if _is_own(name)] for block in find_blocks(model)]
    return [_norm(gradients) for gradients in own]


def mix_of(model: nn.Module) -> ScalarMix | None:
    """The mix of layers that the model's head reads, if it has one."""
    return next((part for part in model.modules() if isinstance(part, ScalarMix)), None)


def _is_own(name: str) -> bool:
    return "parametrizations." not in name or name.endswith(".original")


def _norm(gradients: Iterable[Tensor | None]) -> float:
    norms = [gradient.norm() for gradient in gradients if gradient is not None]
    return torch.stack(norms).norm().item() if norms else 0.0
