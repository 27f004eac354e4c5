"""Pre-training on running text: an encoder of any architecture and size, from scratch or going on from a checkpoint."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, fields
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from transformers import AutoModelForMaskedLM, PreTrainedModel, PreTrainedTokenizerBase

from probing.encoders.checkpoints import find_checkpoint, load_config, load_tokenizer
from probing.encoders.classifiers import set_dropout
from probing.encoders.detectors import build_detector
from probing.encoders.masked_lm import load_masked_lm
from probing.encoders.new_encoders import Sizes, find_architecture, shrink
from probing.encoders.tiny_checkpoints import write_bert
from probing.progress import Reporter
from probing.records import InputError
from probing.settings.checks import ABOVE_0, FROM_0, SHARE, Range, flag_of
from probing.settings.run import EMBEDDED
from probing.settings.training import RecipeSettings
from probing.tasks.sources import HUB
from probing.training.contracts import Evaluation, Objective, Pace
from probing.training.data.blocks import Packing
from probing.training.data.masking import Masking
from probing.training.data.running_text import Text, load_text
from probing.training.data.text_sources import find_source
from probing.training.data.vocabulary import read_marks, train_tokenizer
from probing.training.evaluation.masked import MaskedTokens
from probing.training.evaluation.replaced import ReplacedTokens
from probing.training.objectives.masked import Masked
from probing.training.objectives.replaced import Replaced, detect, fill, share_embeddings
from probing.training.optimiser import Rates
from probing.training.origins import SCRATCH, find_trained, outline_new
from probing.training.plan import ModelPlan, Origin, Recipe, RunPlan, Stage, Start
from probing.training.transforms.freezing import Freezing

_SIZES = ("hidden_size", "layers", "heads", "intermediate_size", "embedding_size")
_NEW = (*_SIZES, "vocabulary", "tokenizer")
"""Settings of a new encoder."""


@dataclass(frozen=True)
class PretrainSettings(RecipeSettings):
    """Pre-train an encoder on running text."""

    GROUPS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "model": ("recipe", "model", "checkpoint", *_NEW, "max_length", "freeze_up_to", "seeds"),
        "text": ("text", "limit", "limit_dev", "cache_dir"),
        "objective": ("objective", "mask_share", "whole_words", "generator_size", "detection_weight"),
        "optimiser": (
            *("tokens", "epochs", "max_steps", "batch_size", "accumulation_steps", "learning_rate"),
            *("weight_decay", "warmup_share", "max_grad_norm", "dropout"),
        ),
        **RecipeSettings.GROUPS,
    }
    """Flags that `--help` shows together."""
    WITHOUT_EFFECT: ClassVar[tuple[str, ...]] = (*RecipeSettings.WITHOUT_EFFECT, "cache_dir")
    """Settings that move no number."""

    recipe: str = "pretrain"
    """The way of training."""
    model: str = "bert"
    """Architecture, by the name that transformers or this project has for it: bert, electra, roberta, ..."""
    checkpoint: str = EMBEDDED
    """The encoder to go on from: the embedded all-MiniLM-L6-v2, a local folder, or a Hugging Face id; none draws a new
    one, in the sizes that follow."""
    hidden_size: int = 0
    """Width of a new encoder; 0: 128."""
    layers: int = 0
    """Layers of a new encoder; 0: 4."""
    heads: int = 0
    """Heads of a new encoder; 0: one for each 64 dimensions."""
    intermediate_size: int = 0
    """Inner width of a new encoder's feed-forward layers; 0: four times the width."""
    embedding_size: int = 0
    """Width of a new encoder's embeddings, where its architecture has one of their own (electra); 0: the width."""
    vocabulary: int = 0
    """Tokens of a new encoder's own vocabulary (WordPiece, lower case), learned from the training text; 0: that of
    --tokenizer."""
    tokenizer: str = ""
    """The checkpoint whose tokenizer a new encoder has; empty: the embedded encoder's."""
    max_length: int = 128
    """Tokens of a block, marks included, and so the longest input of a new encoder."""
    seeds: tuple[int, ...] = (0,)
    """One model per seed: a new encoder's weights, the order of the text, the masks and dropout depend on it."""
    text: tuple[str, ...] = ()
    """Running text, a paragraph a line: files and folders of .txt or .txt.xz, those that begin with dev or test held
    out; or hub:ID for a dataset of the Hugging Face hub. None: 22,000 sentences of the controlled grammar."""
    limit: int = 0
    """At most this many blocks of training text, the first ones; 0 takes all."""
    limit_dev: int = 400
    """At most this many blocks of dev and of test, the first ones; 0 takes all."""
    cache_dir: Path = Path("data/cache")
    """Folder in which tokenised text is kept, for this run and all others."""
    objective: Literal["masked", "replaced"] = "masked"
    """masked: hidden tokens are predicted (BERT); replaced: tokens that a small generator put in are told (ELECTRA)."""
    mask_share: float = 0.15
    """Share of the tokens that are hidden."""
    whole_words: bool = False
    """Hide all tokens of a word together."""
    generator_size: float = 0.25
    """Width of replaced's generator, as a share of the encoder's. ELECTRA-small's: a quarter."""
    detection_weight: float = 50.0
    """Weight of replaced's discriminator. ELECTRA's: 50."""
    tokens: int = 0
    """Training tokens, marks included; 0 leaves it to --epochs."""
    max_steps: int = 0
    """Optimiser steps; 0 leaves it to --tokens, or to --epochs."""
    epochs: float = 1.0
    """Passes over the training text."""
    batch_size: int = 32
    """Blocks per optimiser step, over all processes."""
    dropout: float = 0.0
    """In the encoder and before its head. None: in so few passes nothing is learned by heart (arXiv 2212.14034)."""
    learning_rate: float = 1e-4
    """Of AdamW, at its highest. For going on from a checkpoint; new small encoders learn faster at 5e-4 to 1e-3."""


RANGES: Mapping[str, Range] = {
    **dict.fromkeys((*_SIZES, "limit", "limit_dev", "tokens", "max_steps", "evaluate_every"), FROM_0),
    **dict.fromkeys(("early_stopping", "checkpoint_every", "weight_decay", "max_grad_norm"), FROM_0),
    **dict.fromkeys(("epochs", "batch_size", "accumulation_steps", "log_every"), ABOVE_0),
    **dict.fromkeys(("learning_rate", "detection_weight"), ABOVE_0),
    **dict.fromkeys(("dropout", "warmup_share"), SHARE),
    **dict.fromkeys(("mask_share", "generator_size"), Range("more than 0 and at most 1", 0, 1.0000001, above_low=True)),
    "max_length": Range("8 or more", 8),
    "vocabulary": FROM_0,
    "freeze_up_to": Range("-1 (none), 0 (the embeddings) or a block", -1),
    "threads": Range("0 to 4096", 0, 4097),
}


def check(settings: PretrainSettings) -> None:
    """Refuse settings that do not go together.

    Raises:
        InputError: naming the flags, and what they expect.
    """
    find_architecture(settings.model)
    given = [name for name in _NEW if getattr(settings, name)]
    if settings.checkpoint != SCRATCH and given:
        raise InputError(
            f"{flag_of(given[0])}: is that of --checkpoint {settings.checkpoint}; only with --checkpoint none"
        )
    if settings.checkpoint == SCRATCH and settings.freeze_up_to >= 0:
        raise InputError(
            f"--freeze-up-to {settings.freeze_up_to}: keeps weights that are drawn at random; leave it away"
        )
    if settings.vocabulary and settings.tokenizer:
        raise InputError("--vocabulary and --tokenizer: expected one of them")


def find_origin(settings: PretrainSettings, warn: Callable[[str], None]) -> Origin:
    """The encoder to go on from, or the outline of the one to be drawn.

    Raises:
        InputError: a checkpoint or tokenizer that cannot be used, sizes that do not go together, or text that no
            vocabulary can be learned from.
    """
    length = settings.max_length
    if settings.checkpoint != SCRATCH:
        origin = find_trained(settings.checkpoint, settings.model, length, settings.freeze_up_to)
        if origin.limit < length:
            warn(f"--max-length {length}: the encoder takes no more than {origin.limit} tokens; so long are the blocks")
        return origin
    width, layers, *others = (getattr(settings, name) for name in _SIZES)
    return outline_new(settings.model, Sizes(width or 128, layers or 4, *others), choose_tokenizer(settings), length)


def plan(settings: PretrainSettings, origin: Origin, reporter: Reporter) -> RunPlan:
    """One model per seed.

    Raises:
        InputError: text that cannot be used.
    """
    text = prepare_text(settings, origin, reporter)
    models = [
        ModelPlan(f"seed-{seed}", seed, (plan_stage("pretrain", settings, origin, text, seed),))
        for seed in settings.seeds
    ]
    return RunPlan(models, text.source)


def prepare_text(settings: PretrainSettings, origin: Origin, reporter: Reporter) -> Text:
    """The text that the settings name, in blocks of the encoder's tokens.

    Raises:
        InputError: text that cannot be used.
    """
    marks = read_marks(origin.tokenizer, origin.checkpoint.name)
    limit, steps = settings.limit, choose_pace(settings, origin.limit).max_steps
    if not limit and any(name.startswith(HUB) for name in settings.text):
        # A dataset of the hub may be endless: no more of it is fetched than the training needs.
        limit = steps * settings.batch_size
    packing = Packing(origin.tokenizer, marks, origin.limit, limit)
    with reporter.stage("text", 1, "texts") as advance:
        text = load_text(find_source(settings.text), packing, settings.cache_dir)
        advance(1)
    return text


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
    given = {field.name: getattr(settings, field.name) for field in fields(Pace)}
    if settings.tokens and not settings.max_steps:
        given["max_steps"] = ceil(settings.tokens / (settings.batch_size * length))
    return Pace(**given)


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


def choose_tokenizer(settings: PretrainSettings) -> PreTrainedTokenizerBase:
    """The tokenizer of a new encoder: learned from the text, or another encoder's.

    Raises:
        InputError: it cannot be had.
    """
    if settings.vocabulary:
        source = find_source(settings.text)
        return train_tokenizer(source.splits["train"], settings.vocabulary, settings.max_length)
    tokenizer = load_tokenizer(find_checkpoint(settings.tokenizer or EMBEDDED))
    tokenizer.model_max_length = settings.max_length
    return tokenizer


def try_out(folder: Path) -> Mapping[str, Any]:
    """A tiny encoder and a little text in a folder, and the settings for trying the recipe on them."""
    text = folder / "text"
    text.mkdir(parents=True)
    for split, n in (("train", 60), ("dev", 24), ("test", 24)):
        lines = [" ".join(24 * "abcdef"[row % 6]) for row in range(n)]
        (text / f"{split}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_bert(folder / "encoder")
    return {
        "text": (str(text),),
        "checkpoint": str(folder / "encoder"),
        "cache_dir": folder / "cache",
        "max_length": 16,
    }


RECIPE = Recipe(PretrainSettings, plan, RANGES, check, origin=find_origin, tiny=try_out)
