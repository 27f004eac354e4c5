"""The stage that pre-trains one model on running text: by masked tokens, or by replaced ones."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from functools import partial
from math import ceil
from typing import Any

import torch
from transformers import AutoModelForMaskedLM, PreTrainedModel

from probing.encoders.checkpoints import load_config
from probing.encoders.classifiers import set_dropout
from probing.encoders.detectors import build_detector
from probing.encoders.masked_lm import load_masked_lm
from probing.encoders.new_encoders import shrink
from probing.training.contracts import Evaluation, Objective, Pace
from probing.training.data.masking import Masking
from probing.training.data.running_text import Text
from probing.training.evaluation.masked import MaskedTokens
from probing.training.evaluation.replaced import ReplacedTokens
from probing.training.objectives.masked import Masked
from probing.training.objectives.replaced import Replaced, detect, fill, share_embeddings
from probing.training.optimiser import Rates
from probing.training.origins import SCRATCH
from probing.training.plan import Origin, Stage, Start
from probing.training.recipes.pretrain_settings import PretrainSettings
from probing.training.transforms.freezing import Freezing


def plan_stage(name: str, settings: PretrainSettings, origin: Origin, text: Text, seed: int) -> Stage:
    """A stage that pre-trains one model on running text."""
    masking = Masking(settings.mask_share, settings.whole_words)
    held = {split: text.hold(split, masking, settings.limit_dev) for split in text.splits if split != "train"}
    own = _plan_masked(text, held, seed) if settings.objective == "masked" else _plan_replaced(settings, held, seed)
    build = build_masked_lm if settings.objective == "masked" else build_discriminator
    return Stage(
        name,
        build=partial(build, settings, origin),
        data=lambda start: text.data(masking, settings.batch_size, seed),
        objective=own[0],
        evaluation=own[1],
        rates=choose_rates(settings),
        pace=choose_pace(settings, origin.limit),
        transforms=lambda start: (Freezing(settings.freeze_up_to),),
        weighed=True,
    )


def choose_rates(settings: PretrainSettings) -> Rates:
    """The rates that the settings name."""
    return Rates(settings.learning_rate, settings.weight_decay, settings.warmup_share, settings.max_grad_norm)


def choose_pace(settings: PretrainSettings, length: int) -> Pace:
    """The length of a training with these settings, in whole steps where tokens are asked for."""
    pace = Pace.from_settings(settings)
    if settings.tokens and not settings.max_steps:
        return replace(pace, max_steps=ceil(settings.tokens / (settings.batch_size * length)))
    return pace


def build_masked_lm(
    settings: PretrainSettings, origin: Origin, start: Start, generator: torch.Generator
) -> PreTrainedModel:
    """The encoder with a head for masked tokens; what is new is drawn by torch's own generator."""
    del generator
    config = _config_of(settings, origin, start)
    if start.checkpoint.name == SCRATCH:
        return AutoModelForMaskedLM.from_config(config)
    return load_masked_lm(start.checkpoint, config)[0]


def build_discriminator(
    settings: PretrainSettings, origin: Origin, start: Start, generator: torch.Generator
) -> PreTrainedModel:
    """The encoder with a head that tells replaced tokens; what is new is drawn by torch's own generator."""
    del generator
    config = _config_of(settings, origin, start)
    return build_detector(config, None if start.checkpoint.name == SCRATCH else start.checkpoint)


def build_generator(config: Any, fraction: float, model: PreTrainedModel, seed: int) -> PreTrainedModel:
    """A generator for a discriminator, on its device, with its table of embeddings."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator: Any = AutoModelForMaskedLM.from_config(shrink(config, fraction))
    generator.to(model.device)
    share_embeddings(generator, model)
    return generator


def _config_of(settings: PretrainSettings, origin: Origin, start: Start) -> Any:
    config: Any = deepcopy(origin.config)
    if start.checkpoint.name != SCRATCH:
        config = load_config(start.checkpoint)
    set_dropout(config, settings.dropout)
    return config


_Parts = tuple[Callable[[Start, PreTrainedModel], Objective], Callable[[Start], Evaluation]]


def _plan_masked(text: Text, held: Mapping[str, Any], seed: int) -> _Parts:
    return (lambda start, model: Masked()), (lambda start: MaskedTokens(held, text.counts, seed))


def _plan_replaced(settings: PretrainSettings, held: Mapping[str, Any], seed: int) -> _Parts:
    made: list[PreTrainedModel] = []
    """The generator, which the evaluation reads too."""

    def learn(start: Start, model: PreTrainedModel) -> Objective:
        del start
        made[:] = [build_generator(model.config, settings.generator_size, model, seed)]
        return Replaced(made[0], settings.detection_weight, settings.weight_decay)

    def evaluate(start: Start) -> Evaluation:
        del start
        return ReplacedTokens(held, lambda: made[0], fill, detect, seed)

    return learn, evaluate
