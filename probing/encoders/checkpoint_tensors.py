"""Check that a model holds what its checkpoint stored: no tensor drawn at random, none left over, none of them NaN."""

from collections.abc import Collection
from typing import Any

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from probing.records import InputError

_BUFFERS = ("position_ids", "token_type_ids", "inv_freq", "masked_bias")
"""Constants that old checkpoints store and transformers now computes."""


def check_config(config: PretrainedConfig, name: str) -> None:
    """Refuse what has no layers of one width, such as a model of images and texts.

    Raises:
        InputError: naming what is missing.
    """
    inner: Any = getattr(config, "backbone_config", config)
    for size in ("hidden_size", "num_hidden_layers"):
        if not isinstance(getattr(inner, size, None), int):
            raise InputError(
                f"checkpoint {name}: {config.model_type} has no {size}, and so no layers to probe; "
                "a model of several parts (texts and images) cannot be probed: take its text encoder"
            )


def take_encoder(model: PreTrainedModel, name: str) -> PreTrainedModel:
    """The part that reads: of an encoder-decoder its encoder, else the model itself.

    Raises:
        InputError: its positions are of a kind that this transformers no longer has, or its encoder cannot be found.
    """
    both = [getattr(model, part, None) for part in ("encoder", "decoder")]
    has_two = all(isinstance(part, PreTrainedModel) for part in both)
    encoder: Any = both[0] if has_two else model
    if model.config.is_encoder_decoder and not has_two:
        raise InputError(
            f"checkpoint {name}: {type(model).__name__} has a decoder, and no encoder to be found; take one"
        )
    kind = str(getattr(model.config, "position_embedding_type", None))
    has_distances = any(part.endswith("distance_embedding") for part, _ in encoder.named_modules())
    if kind.startswith("relative") and not has_distances:
        raise InputError(f"checkpoint {name}: position_embedding_type {kind} is gone from transformers 5; take another")
    return encoder


def check_tensors(model: PreTrainedModel, encoder: PreTrainedModel, report: dict[str, Any], name: str) -> None:
    """Compare the encoder in a loaded model with what was stored.

    Args:
        model: as it was loaded.
        encoder: the model itself, or the part of it that is probed.
        report: of transformers: which names were missing, and which had no place.
        name: of the checkpoint.

    Raises:
        InputError: a tensor of the encoder was not stored, or one that was stored has no place, or holds NaN.
    """
    # What is not stored was drawn at random. No hidden state reads the pooler, which many checkpoints lack.
    missing = list_missing(model, encoder, report["missing_keys"])
    if missing:
        raise InputError(f"checkpoint {name}: its weights lack {len(missing)} tensor(s), such as {missing[0]}")
    homeless = list_homeless(model, encoder, report["unexpected_keys"])
    if homeless:
        raise InputError(
            f"checkpoint {name}: {type(encoder).__name__} of this transformers has no place for {len(homeless)} of "
            f"its tensor(s), such as {homeless[0]}: its states would not be those of the trained model; take another"
        )
    for key, tensor in encoder.named_parameters():
        # Least and most are NaN where anything is: one pass, and no array of booleans.
        # A table of no rows, such as DeBERTa's of segments, has no least.
        if (
            tensor.numel()
            and not is_pooler(key)
            and not torch.isfinite(torch.stack(torch.aminmax(tensor.detach()))).all()
        ):
            raise InputError(f"checkpoint {name}: {key} holds NaN or infinity; take weights that are sound")


def list_missing(model: nn.Module, encoder: nn.Module, keys: Collection[str]) -> list[str]:
    """Tensors of the encoder that were stored under none of their names."""
    inside = {id(tensor) for tensor in [*encoder.parameters(), *encoder.buffers()]}
    tensors = dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers(remove_duplicate=False))
    stored = {id(tensor) for key, tensor in tensors.items() if key not in keys}
    lost = [key for key in keys if key not in tensors or id(tensors[key]) in inside - stored]
    return sorted(key for key in lost if not is_pooler(key))


def list_homeless(model: PreTrainedModel, encoder: nn.Module, keys: Collection[str]) -> list[str]:
    """Stored tensors whose names lie inside the encoder, and not in a head or decoder beside it."""
    path = next(name for name, module in model.named_modules() if module is encoder)
    start, parts = f"{path}." if path else "", dict(encoder.named_children())
    inner = {key: key.removeprefix(f"{model.base_model_prefix}.") for key in keys}
    return sorted(
        key
        for key, name in inner.items()
        if name.startswith(start)
        and name.removeprefix(start).partition(".")[0] in parts
        and not is_pooler(name)
        and not name.endswith(_BUFFERS)
    )


def is_pooler(name: str) -> bool:
    """True where a tensor belongs to a pooler, which reads the hidden states and is read by none."""
    return "pooler" in name.split(".")
