"""Origins of trainings without a classifier: an encoder to go on from, or the outline of a new one."""

from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from probing.digests import digest_json
from probing.encoders.blocks import find_backbone, find_blocks
from probing.encoders.checkpoints import Checkpoint, find_checkpoint, load_config, load_model, load_tokenizer
from probing.encoders.new_encoders import Sizes, make_config, outline
from probing.encoders.slow_tokenizers import open_backend
from probing.encoders.transformer import choose_limit, compute_digest, name_layers
from probing.records import InputError
from probing.training.plan import Origin

SCRATCH = "none"
"""`--checkpoint` for an encoder that is drawn at random."""


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
