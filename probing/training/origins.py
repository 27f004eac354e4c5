"""Origins of trainings: an encoder that a classifier is put on, one to go on from, or the outline of a new one."""

from collections.abc import Callable
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from probing.digests import digest_json
from probing.encoders.blocks import find_backbone, find_blocks
from probing.encoders.checkpoint_check import check_encoder
from probing.encoders.checkpoints import (
    Checkpoint,
    find_checkpoint,
    load_config,
    load_model,
    load_tokenizer,
)
from probing.encoders.classifiers import check_trainable
from probing.encoders.limits import choose_limit
from probing.encoders.model_facts import compute_digest, name_layers
from probing.encoders.new_encoders import Sizes, make_config, outline
from probing.encoders.slow_tokenizers import open_backend
from probing.encoders.transformer import TransformerEncoder
from probing.records import InputError
from probing.settings.training import RecipeSettings
from probing.training.plan import Origin

SCRATCH = "none"
"""`--checkpoint` for an encoder that is drawn at random."""


def find_origin(settings: RecipeSettings, warn: Callable[[str], None] = lambda line: None) -> Origin:
    """The encoder that the settings name.

    Args:
        settings: of the run.
        warn: called with each warning about it.

    Raises:
        InputError: a checkpoint that cannot be used, or layers that it does not have.
    """
    checkpoint = find_checkpoint(settings.checkpoint)
    tokenizer, model = load_tokenizer(checkpoint), load_model(checkpoint)
    encoder = find_backbone(model)
    _check_blocks(encoder, settings.freeze_up_to)
    origin = Origin(
        checkpoint,
        compute_digest(model, tokenizer),
        tokenizer,
        encoder.config,
        choose_limit(settings.max_length, encoder, tokenizer),
        name_layers(encoder),
    )
    check_reader_of_first_token(encoder, checkpoint, warn)
    return origin


def check_reader_of_first_token(model: PreTrainedModel, checkpoint: Checkpoint, warn: Callable[[str], None]) -> None:
    """Refuse an encoder that no head on its first token can be trained on; `model` is used up by it.

    Raises:
        InputError: it cannot be believed, is a part of another model, or reads from left to right.
    """
    check_trainable(model, checkpoint)
    unread = "its first token, which classifiers read here, knows nothing of the sentence"
    _check_both_ways(model, checkpoint, unread, warn)


def check_teacher_of_states(model: PreTrainedModel, checkpoint: Checkpoint, warn: Callable[[str], None]) -> None:
    """Refuse a teacher whose states no encoder can learn; `model` is used up by it.

    Raises:
        InputError: it cannot be believed, or reads from left to right.
    """
    _check_both_ways(model, checkpoint, "its states know nothing of the words behind, which students read", warn)


def _check_both_ways(model: PreTrainedModel, checkpoint: Checkpoint, unread: str, warn: Callable[[str], None]) -> None:
    encoder = TransformerEncoder(model, checkpoint, dtype="float32", device="cpu", backend="torch")
    for line in encoder.notes:
        warn(line)
    found = check_encoder(encoder)
    if found.facts["reads"] == "left to right":
        raise InputError(
            f"checkpoint {checkpoint.name}: {type(model).__name__} reads from left to right, so that {unread}; use an "
            "encoder"
        )
    if found.facts["batching"] != "padded":
        warn(
            f"states of {type(model).__name__} depend on the other sentences of a batch, in training too: by "
            f"{found.facts['padded_difference']:.2g} of their length on the sentences of the check"
        )


def find_trained(name: str, kind: str, max_length: int, freeze_up_to: int = -1) -> Origin:
    """A stored encoder.

    Args:
        name: of its checkpoint.
        kind: its architecture, as the user takes it to be.
        max_length: longest input in tokens, where the encoder itself takes as much.
        freeze_up_to: the last layer that will keep its weights.

    Raises:
        InputError: it cannot be used, is of another architecture, or has no such layer.
    """
    checkpoint = find_checkpoint(name)
    config = load_config(checkpoint)
    if config.model_type != kind:
        raise InputError(
            f"--checkpoint {checkpoint.name}: a {config.model_type}, but --model {kind}; use --model "
            f"{config.model_type}, or another checkpoint"
        )
    tokenizer, encoder = load_tokenizer(checkpoint), find_backbone(load_model(checkpoint))
    _check_blocks(encoder, freeze_up_to)
    limit = choose_limit(max_length, encoder, tokenizer)
    digest = compute_digest(encoder, tokenizer)
    return Origin(checkpoint, digest, tokenizer, encoder.config, limit, name_layers(encoder))


def outline_new(kind: str, sizes: Sizes, tokenizer: PreTrainedTokenizerBase, length: int) -> Origin:
    """An encoder that is yet to be drawn.

    Args:
        kind: its architecture.
        sizes: how large it is.
        tokenizer: what it reads.
        length: longest input in tokens.

    Raises:
        InputError: no such encoder can be made.
    """
    config = make_config(kind, sizes, tokenizer, length)
    encoder = outline(config)
    _check_blocks(encoder, -1)
    digest = digest_json([config.to_json_string(use_diff=False), open_backend(tokenizer).to_str()])
    return Origin(Checkpoint(SCRATCH, "", Path()), digest, tokenizer, config, length, name_layers(encoder))


def _check_blocks(encoder: PreTrainedModel, freeze_up_to: int) -> None:
    n_blocks = len(find_blocks(encoder)) - 1
    if freeze_up_to > n_blocks:
        raise InputError(f"--freeze-up-to {freeze_up_to}: the encoder has blocks 1 to {n_blocks}")
