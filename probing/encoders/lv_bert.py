"""LV-BERT (Yu et al. 2021, arXiv 2106.11740), frozen: every sub-layer is a layer, named after its kind."""

from pathlib import Path
from typing import Any

import torch

from probing.encoders.checkpoints import find_checkpoint, load_config, load_model
from probing.encoders.lv_bert_model import LvBertConfig, LvBertModel
from probing.encoders.tiny_checkpoints import disturb, write_tokenizer
from probing.encoders.transformer import TransformerEncoder
from probing.records import InputError

architecture = LvBertConfig.model_type
"""The only one that it takes."""


def build(checkpoint: str, **options: Any) -> TransformerEncoder:
    """A frozen LV-BERT, whose layers are the embeddings and the outputs of its sub-layers.

    Raises:
        InputError: the checkpoint is of another architecture.
    """
    found = find_checkpoint(checkpoint)
    kind = load_config(found).model_type
    if kind != architecture:
        raise InputError(f"checkpoint {checkpoint}: a {kind}, but --model lv_bert; use --model bert")
    return TransformerEncoder(load_model(found), found, **options)


def tiny(folder: Path) -> str:
    """Write a checkpoint as `contracts.encoder.EncoderModule` asks: four sub-layers of width 8, of all kinds."""
    tokenizer = write_tokenizer(folder)
    config = LvBertConfig(
        vocab_size=len(tokenizer),
        embedding_size=4,
        hidden_size=8,
        num_attention_heads=2,
        intermediate_size=16,
        conv_kernel_size=3,
        layer_pattern=(0, 1, 2, 0),
        max_position_embeddings=tokenizer.model_max_length,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        disturb(LvBertModel(config)).save_pretrained(folder)
    return str(folder)
