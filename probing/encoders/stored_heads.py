"""Heads that a checkpoint was stored with, or that were made for it: a classifier of texts, words at hidden tokens."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int
from transformers import PreTrainedModel

from probing.contracts.encoder import Encoder
from probing.encoders.blocks import find_backbone
from probing.encoders.checkpoints import (
    Checkpoint,
    digest_stored,
    find_checkpoint,
    load_classifier,
    load_config,
    load_tokenizer,
)
from probing.encoders.masked_lm import find_masked_lm, load_masked_lm
from probing.encoders.transformer import TransformerEncoder
from probing.records import InputError

MASKED, CLASSIFIER = "masked_lm", "classifier"


@dataclass(frozen=True)
class StoredHead:
    """A frozen model with its head, and the encoder under it, by torch in float32."""

    kind: str
    """`masked_lm` or `classifier`."""
    model: Any
    encoder: TransformerEncoder
    mask: int
    """Token that hides another; -1 of a classifier."""


def find_masked_head(encoder: Encoder, name: str, max_length: int) -> StoredHead | None:
    """The masked language model that belongs to an encoder, as `find_masked_lm` finds it; none where there is none.

    Args:
        encoder: whose layers are probed.
        name: of its checkpoint, as the user gave it.
        max_length: limit in tokens; 0 takes the encoder's own.
    """
    if not _is_stored(encoder, name):
        return None
    try:
        found = find_masked_lm(name)
        mask: Any = load_tokenizer(found).mask_token_id
        return None if mask is None else _open(MASKED, load_masked_lm(found)[0], found, encoder, max_length, mask)
    except InputError:
        return None


def find_classifier_head(encoder: Encoder, name: str, classes: Sequence[str], max_length: int) -> StoredHead | None:
    """The classifier that an encoder was stored with, if it knows exactly these classes; else none."""
    if not _is_stored(encoder, name):
        return None
    found = find_checkpoint(name)
    config: Any = load_config(found)
    is_one = any("ForSequenceClassification" in str(kind) for kind in config.architectures or ())
    if not is_one or tuple(config.id2label[number] for number in sorted(config.id2label)) != tuple(classes):
        return None
    return _open(CLASSIFIER, load_classifier(found)[0], found, encoder, max_length)


def identify_heads(name: str) -> list[str]:
    """Digests of the checkpoints that the heads of an encoder would be found in, whatever they hold."""
    found = []
    for find in (find_checkpoint, find_masked_lm):
        with suppress(InputError):
            found.append(digest_stored(find(name)))
    return found


def _is_stored(encoder: Encoder, name: str) -> bool:
    """True where an encoder has the weights of the checkpoint; one with random weights has no head."""
    try:
        found = find_checkpoint(name)
    except InputError:
        return False
    return (encoder.checkpoint, encoder.revision) == (found.name, found.revision)


def _open(
    kind: str, model: PreTrainedModel, found: Checkpoint, encoder: Encoder, max_length: int, mask: int = -1
) -> StoredHead | None:
    options = {"dtype": "float32", "device": encoder.device, "max_length": max_length, "backend": "torch"}
    below = TransformerEncoder(find_backbone(model), found, **options)  # pyright: ignore
    frozen = model.eval().requires_grad_(False).to(device=torch.device(encoder.device), dtype=torch.float32)  # pyright: ignore
    return StoredHead(kind, frozen, below, mask) if below.layer_names == encoder.layer_names else None


def hide_tokens(
    ids: Sequence[Int[Any, " _tokens"]], places: Sequence[Int[Any, " _hidden"]], mask: int
) -> tuple[Int[Any, " _tokens"], ...]:
    """Copies of texts with a mask at some places of each."""
    hidden = []
    for own, chosen in zip(ids, places, strict=True):
        changed = own.copy()
        changed[chosen] = mask
        hidden.append(changed)
    return tuple(hidden)
