"""Quantisation while training: learned steps on the matrices of an encoder and on what goes into them.

In training, weights and activations are rounded to a few levels and kept as float numbers; `finish` leaves packed
weights, whose states are the same to the bit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from transformers import PreTrainedModel

from probing.encoders.blocks import find_backbone, find_blocks
from probing.encoders.kdlsq_bert_model import (
    KdlsqBertForSequenceClassification,
    list_attentions,
    list_places,
    pack_modules,
)
from probing.encoders.quantised_attention import PRODUCTS, STEPS, use_quantised_attention
from probing.encoders.step_size import Rule, encode
from probing.records import InputError
from probing.training.contracts import Batch, Row, Transform
from probing.training.transforms.learned_steps import LearnedStep, Observer, choose_weight_step

_INPUT = "input_step"
"""Attribute of a linear map: the step of its inputs."""


@dataclass(frozen=True)
class Grid:
    """Bits of weights and activations, and how steps begin and learn."""

    bits: Mapping[int, int]
    """Of the matrices of each layer: 0 the embeddings, 1 the first block, ..., one past the last the pooler. A layer
    that is not named stays in float32."""
    activation_bits: int = 8
    rule: Rule = "error"
    """Rule for the first steps, of weights and of activations."""
    per_row: bool = False
    """True where each row of a matrix has a step of its own."""
    gradient_scale: bool = True
    """True where a step's gradient has LSQ's scale 1 / sqrt(N n)."""
    clip_gradient: bool = False
    """True where clipped weights get no gradient (LSQ); in KDLSQ's code they do."""
    weight_rate: float = 1e-3
    """Learning rate of the logarithm of weights' steps."""
    activation_rate: float = 1e-3
    """Learning rate of the logarithm of activations' steps."""


class Quantisation(Transform):
    """Quantises a classifier while it is trained. Layers that are frozen are neither trained nor quantised.

    Args:
        grid: how.
        batches: of training examples, on which the first steps of activations are chosen.
    """

    def __init__(self, grid: Grid, batches: Sequence[Batch]):
        self.grid, self._batches = grid, batches
        self._places: list[tuple[int, str, Any]] = []
        self._attentions: list[tuple[int, str, Any]] = []
        self._n_layers = 0

    def apply(self, model: PreTrainedModel) -> None:
        """Put a step on each matrix, on its inputs, and on attention's operands.

        Raises:
            InputError: no layer is left to quantise, or a part of the model is one that no step can be put on.
        """
        backbone = _find_backbone(model)
        here, self._n_layers = self.grid.bits, len(find_blocks(backbone))
        places = [one for one in list_places(backbone) if one[0] in here]
        self._places = [one for one in places if one[2].weight.requires_grad]
        layers = {layer for layer, *_ in self._places}
        if not self._places:
            raise InputError("no layer is left to quantise: all are frozen; expected a smaller --freeze-up-to")
        self._attentions = [one for one in list_attentions(backbone) if one[0] in layers]
        if self._attentions:
            use_quantised_attention(find_backbone(backbone))
        self._observe(model)
        for layer, _, part in self._places:
            self._put_on_weight(part, here[layer])

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The steps' logarithms, at their own rates and without decay."""
        weights = [part.parametrizations.weight[0].log_step for _, _, part in self._places]
        others = [holder.get_submodule(name).log_step for _, holder, name in self._list_slots()]
        pairs = ((weights, self.grid.weight_rate), (others, self.grid.activation_rate))
        return [{"params": steps, "lr": rate, "weight_decay": 0.0} for steps, rate in pairs]

    @torch.no_grad()
    def measure(self) -> list[Row]:
        """The relative error of each layer's weights, ||q(W) - W|| / ||W|| over all its matrices; then the pooler's."""
        sums: dict[int, list[float]] = {}
        for layer, _, part in self._places:
            weight, rounded = part.parametrizations.weight.original, part.weight
            one = sums.setdefault(layer, [0.0, 0.0])
            one[0] += (rounded - weight).square().sum().item()
            one[1] += weight.square().sum().item()
        errors = {layer: (error / size) ** 0.5 for layer, (error, size) in sums.items()}
        pooler = errors.pop(self._n_layers, None)
        rows = [("weight_error", layer, error) for layer, error in errors.items()]
        return rows if pooler is None else [*rows, ("pooler_weight_error", -1, pooler)]

    @torch.no_grad()
    def finish(self, model: PreTrainedModel) -> None:
        """Pack the weights, and fix all steps."""
        backbone, config = _find_backbone(model), cast(Any, model.config)
        config.weight_bits = {name: self.grid.bits[layer] for layer, name, _ in self._places}
        config.attentions = [name for _, name, _ in self._attentions]
        config.activation_bits, config.per_row = self.grid.activation_bits, self.grid.per_row
        device, trained = model.device, {name: part for _, name, part in self._places}
        learned = {name: getattr(part, STEPS) for _, name, part in self._attentions}
        pack_modules(backbone, config)
        for name, part in trained.items():
            _fill(backbone.get_submodule(name), part)
        for name, steps in learned.items():
            for product, fixed in getattr(backbone.get_submodule(name), STEPS).items():
                fixed.step.copy_(steps[product].step)
        model.to(device)  # pyright: ignore

    def _list_slots(self) -> Sequence[tuple[int, nn.Module, str]]:
        """The places of activations' steps: layer, the module that holds one, and its name there."""
        inputs = [(layer, part, _INPUT) for layer, _, part in self._places if isinstance(part, nn.Linear)]
        products = [(layer, getattr(part, STEPS), name) for layer, _, part in self._attentions for name in PRODUCTS]
        return [*inputs, *products]

    def _observe(self, model: PreTrainedModel) -> None:
        """Choose the first steps of activations by what they are, nothing being quantised yet."""
        for _, _, part in self._places:
            if isinstance(part, nn.Linear):
                part.add_module(_INPUT, Observer())
                part.register_forward_pre_hook(quantise_input)
        for _, _, part in self._attentions:
            part.add_module(STEPS, nn.ModuleDict({name: Observer() for name in PRODUCTS}))
        run_in_eval_mode(model, self._batches)
        for layer, holder, name in self._list_slots():
            observer: Any = holder.get_submodule(name)
            if not observer.samples:
                raise InputError(
                    f"{type(_find_backbone(model)).__name__}: layer {layer} computes {name} in a way of its own, where "
                    "no step can be put; take an encoder such as BERT"
                )
            holder.add_module(name, self._learn(observer))

    def _learn(self, observer: Observer) -> LearnedStep:
        bits, n_values = self.grid.activation_bits, observer.n_features if self.grid.gradient_scale else 0
        return LearnedStep(observer.choose_step(bits, self.grid.rule), bits, n_values=n_values)

    def _put_on_weight(self, part: Any, bits: int) -> None:
        grid, weight = self.grid, part.weight
        step = choose_weight_step(weight, bits, grid.rule, per_row=grid.per_row)
        n_values = weight.numel() // len(step) if grid.gradient_scale else 0
        learned = LearnedStep(step, bits, n_values=n_values, clips=grid.clip_gradient)
        parametrize.register_parametrization(part, "weight", learned)


def quantise_input(module: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Quantise what a linear map is given: a hook before its forward pass."""
    return (module.input_step(inputs[0]), *inputs[1:])


@torch.no_grad()
def run_in_eval_mode(model: Any, batches: Sequence[Batch]) -> None:
    """Compute some batches, for what observers in the model see."""
    was_training = model.training
    model.eval()
    for batch in batches:
        model(**batch.collate(np.arange(len(batch)), str(model.device)).inputs)
    model.train(was_training)


def _fill(packed: Any, trained: Any) -> None:
    """Take codes and steps over from a module with learned ones."""
    learned = trained.parametrizations.weight[0]
    packed.packed.fill(encode(trained.parametrizations.weight.original, learned.step, learned.levels), learned.step)
    if isinstance(trained, nn.Linear):
        packed.input_step.step.copy_(cast(Any, trained).input_step.step)


def _find_backbone(model: Any) -> PreTrainedModel:
    """The encoder of the classifier that is packed, BERMo's mix included.

    Raises:
        TypeError: another kind of model.
    """
    if not isinstance(model, KdlsqBertForSequenceClassification):
        raise TypeError(f"quantisation: expected a KdlsqBertForSequenceClassification, got {type(model).__name__}")
    return model.kdlsq_bert.backbone
