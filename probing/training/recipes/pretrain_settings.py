"""Settings of pre-training on running text, and what goes together of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from probing.encoders.new_encoders import find_architecture
from probing.records import InputError
from probing.settings.checks import ABOVE_0, FROM_0, SHARE, Range, check_repeats, flag_of
from probing.settings.idle import Need
from probing.settings.run import EMBEDDED
from probing.settings.training import RecipeSettings
from probing.training.origins import SCRATCH

SIZES = ("hidden_size", "layers", "heads", "intermediate_size", "embedding_size")
"""Settings of a new encoder that are sizes, as `probing.encoders.new_encoders.Sizes` takes them."""
_NEW = (*SIZES, "layer_pattern", "vocabulary", "tokenizer")
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
        "evaluation": ("until_dev_loss", *RecipeSettings.GROUPS["evaluation"]),
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
    layer_pattern: tuple[str, ...] = ()
    """Orders of a new lv_bert's sub-layers, a model for each: codes such as 000121212222 (0 convolution, 1 attention,
    2 feed-forward), or interleaved, sandwich, convolution_first, varied, authors. None: interleaved. Those behind the
    first get as many weights as it, by the inner width of feed-forward."""
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
    until_dev_loss: float = 0.0
    """Training ends at the first evaluation whose dev_loss (masked: nats a hidden token) is no higher, so that models
    can be compared at equal loss; the steps are then the most that it may take. 0 trains to the last step."""
    learning_rate: float = 1e-4
    """Of AdamW, at its highest. For going on from a checkpoint; new small encoders learn faster at 5e-4 to 1e-3."""


RANGES: Mapping[str, Range] = {
    **dict.fromkeys((*SIZES, "limit", "limit_dev", "tokens", "max_steps", "evaluate_every"), FROM_0),
    **dict.fromkeys(("early_stopping", "checkpoint_every", "weight_decay", "max_grad_norm"), FROM_0),
    **dict.fromkeys(("epochs", "batch_size", "accumulation_steps", "log_every"), ABOVE_0),
    **dict.fromkeys(("learning_rate", "detection_weight"), ABOVE_0),
    **dict.fromkeys(("dropout", "warmup_share"), SHARE),
    **dict.fromkeys(("mask_share", "generator_size"), Range("more than 0 and at most 1", 0, 1.0000001, above_low=True)),
    "layers": Range("0 or more, and at most 1000", 0, 1001),
    "max_length": Range("8 or more", 8),
    **dict.fromkeys(("vocabulary", "until_dev_loss"), FROM_0),
    "freeze_up_to": Range("-1 (none), 0 (the embeddings) or a block", -1),
    "threads": Range("0 to 4096", 0, 4097),
}

NEEDS = (
    Need(
        ("generator_size", "detection_weight"),
        "without --objective replaced",
        lambda settings: settings.objective == "replaced",
    ),
)


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
    for names in (("vocabulary", "tokenizer"), ("early_stopping", "until_dev_loss")):
        if all(getattr(settings, name) for name in names):
            raise InputError(f"{' and '.join(map(flag_of, names))}: expected one of them")
    check_repeats(settings, ("layer_pattern",))
