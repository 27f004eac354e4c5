"""KDLSQ-BERT (Jin et al. 2021, arXiv 2101.05938), frozen: an encoder in few bits, read from packed weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from probing.encoders.blocks import find_backbone
from probing.encoders.checkpoints import find_checkpoint, load_config, load_model
from probing.encoders.kdlsq_bert_model import (
    KdlsqBertConfig,
    KdlsqBertModel,
    list_attentions,
    list_places,
    pack_modules,
)
from probing.encoders.step_size import FixedStep, choose_step, count_levels, encode
from probing.encoders.tiny_checkpoints import draw_bert, write_tokenizer
from probing.encoders.transformer import TransformerEncoder
from probing.records import InputError

architecture = KdlsqBertConfig.model_type
"""The only one that it takes."""
_TINY_BITS = {0: 8, 1: 4, 2: 2, 3: 8}
"""Bits of a tiny encoder's layers, the pooler being the last."""
_TINY_STEP = 0.05
"""Step of its activations, which 8 bits take up to 6.35."""


def build(checkpoint: str, **options: Any) -> TransformerEncoder:
    """A frozen encoder in few bits, whose layers are those of the encoder that it was made of.

    Raises:
        InputError: the checkpoint is of another architecture.
    """
    found = find_checkpoint(checkpoint)
    kind = load_config(found).model_type
    if kind != architecture:
        raise InputError(f"checkpoint {checkpoint}: a {kind}, but --model kdlsq_bert; use --model bert")
    model: Any = load_model(found)
    mixes = hasattr(model.backbone.config, "mix_embeddings")
    return TransformerEncoder(find_backbone(model), found, mixes_layers=mixes, **options)


def tiny(folder: Path) -> str:
    """Write a checkpoint as `contracts.encoder.EncoderModule` asks: a tiny BERT, its layers in 8, 4 and 2 bits."""
    tokenizer = write_tokenizer(folder)
    pack_encoder(draw_bert(len(tokenizer)), _TINY_BITS).save_pretrained(folder)
    return str(folder)


@torch.no_grad()
def pack_encoder(backbone: Any, bits: Mapping[int, int]) -> KdlsqBertModel:
    """An encoder packed without any data.

    Args:
        backbone: which is used up.
        bits: of the matrices of each layer, the pooler being the last; their steps have the least squared error.
    """
    weights: dict[str, Any] = {name: (part.weight, bits[layer]) for layer, name, part in list_places(backbone)}
    attentions = [name for _, name, _ in list_attentions(backbone)]
    model = KdlsqBertModel(config := KdlsqBertConfig(backbone.config))
    config.weight_bits = {name: bits for name, (_, bits) in weights.items()}
    config.attentions, model.backbone = attentions, backbone
    pack_modules(backbone, config)
    for name, (weight, n_bits) in weights.items():
        packed, levels = backbone.get_submodule(name).packed, count_levels(n_bits)
        chosen = choose_step(weight.flatten()[None], levels, "error")
        packed.fill(encode(weight, chosen, levels), chosen)
    for part in backbone.modules():
        if isinstance(part, FixedStep):
            part.step.fill_(_TINY_STEP)
    return model
