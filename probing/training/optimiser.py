"""AdamW with rates that a model's parts may have of their own, warm-up and decay, and gradient norms by layer."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from probing.encoders.blocks import find_blocks
from probing.training.contracts import HasRates


@dataclass(frozen=True)
class Rates:
    """Learning rates of a stage."""

    learning_rate: float = 3e-5
    """Of AdamW, at its highest."""
    weight_decay: float = 0.01
    """Of weight matrices; biases and norms have none."""
    warmup_share: float = 0.1
    """Share of the steps in which the rates rise; they fall to 0 in the rest, both linearly."""
    max_grad_norm: float = 1.0
    """Longer gradients are cut to this length; 0 leaves them."""
    own: Mapping[str, float] = field(default_factory=dict)
    """Learning rates of the parameters that a model names in `named_rates`."""


def make_optimiser(model: PreTrainedModel, rates: Rates, extra: Sequence[dict[str, Any]] = ()) -> torch.optim.AdamW:
    """AdamW over everything that is not frozen: matrices decay; biases, norms and what has a rate of its own do not.

    Args:
        model: the frozen parameters of which are left out.
        rates: of all groups that bring none.
        extra: groups of objective and transforms, whose parameters are in no other group.
    """
    named = model.named_rates() if isinstance(model, HasRates) else {}
    claimed = {id(parameter) for group in extra for parameter in group["params"]}
    claimed |= {id(parameter) for parameters in named.values() for parameter in parameters}
    others = [one for one in model.parameters() if one.requires_grad and id(one) not in claimed]
    groups = [
        {"params": [one for one in others if one.ndim > 1], "weight_decay": rates.weight_decay},
        {"params": [one for one in others if one.ndim <= 1], "weight_decay": 0.0},
        *({"params": parameters, "weight_decay": 0.0, "lr": rates.own[name]} for name, parameters in named.items()),
        *extra,
    ]
    groups = [group for group in groups if group["params"]]
    optimiser = torch.optim.AdamW(groups, lr=rates.learning_rate, fused=True)
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


def gradient_norms(model: PreTrainedModel) -> list[float]:
    """The norm of dL/dtheta of each layer, layer 0 being the embeddings; 0 where a layer is frozen.

    What transforms add to a layer, such as scores of pruning or steps of quantisation, is not counted.
    """
    blocks = find_blocks(model)
    layers = [[value.grad for name, value in block.named_parameters() if _is_own(name)] for block in blocks]
    return [_norm(gradients) for gradients in layers]


def _is_own(name: str) -> bool:
    added = "parametrizations." in name or name.endswith(".log_step")
    return not added or name.endswith(".original")


def _norm(gradients: Iterable[Tensor | None]) -> float:
    norms = [gradient.norm() for gradient in gradients if gradient is not None]
    return torch.stack(norms).norm().item() if norms else 0.0
