"""Modules of a Hugging Face encoder by the layer that they make."""

from typing import Any, TypeVar, cast

from torch import nn

from probing.records import InputError

Model = TypeVar("Model", bound=nn.Module)
"""A transformers' `PreTrainedModel`, not by name: importing it takes seconds, which reading tasks can do without."""


def find_blocks(model: nn.Module) -> list[nn.Module]:
    """The modules whose parameters make each layer: the embeddings, then block after block.

    As many as there are hidden states. What follows the last block (a final norm, a pooler, a mix, a head) and what
    all blocks share (DeBERTa's table of relative positions) is in none of them.

    Args:
        model: a bare encoder, one with a head, or BERMo.

    Raises:
        InputError: no list of `num_hidden_layers` blocks, as in ALBERT, whose layers share their weights; or no table
            of embeddings, as in CANINE.
    """
    encoder = find_backbone(model)
    n_layers = int(cast(Any, encoder).config.num_hidden_layers)
    lists = (module for module in encoder.modules() if isinstance(module, nn.ModuleList))
    blocks = next((list(found) for found in lists if len(found) == n_layers), None)
    if blocks is None:
        raise InputError(
            f"{type(model).__name__}: no list of {n_layers} blocks; its layers share weights, or have none"
        )
    return [_find_embeddings(encoder), *blocks]


def find_backbone(model: Model) -> Model:
    """The bare encoder in a model: what is under its head, under the mix of its layers (BERMo), under its packing."""
    encoder: Any = cast(Any, model).base_model
    while hasattr(encoder, "backbone"):
        encoder = encoder.backbone
    if not hasattr(encoder, "config"):
        raise TypeError(f"{type(model).__name__}: expected a transformer under its head, got {type(encoder).__name__}")
    return encoder


def _find_embeddings(encoder: nn.Module) -> nn.Module:
    """All that makes layer 0: word, position and segment tables, norm, and ELECTRA's projection to the width."""
    embeddings = getattr(encoder, "embeddings", None)
    if not isinstance(embeddings, nn.Module):
        try:
            return encoder.get_input_embeddings()  # pyright: ignore
        except NotImplementedError:  # CANINE, and models of sounds and images
            raise InputError(f"{type(encoder).__name__}: no table of embeddings to be found") from None
    projection = getattr(encoder, "embeddings_project", None)
    return nn.ModuleList([embeddings, projection]) if isinstance(projection, nn.Module) else embeddings
