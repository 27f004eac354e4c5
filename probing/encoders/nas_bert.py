"""NAS-BERT (Xu et al. 2021, arXiv 2105.14444), frozen: every operation is a layer, named after its kind and width."""

from pathlib import Path
from typing import Any

import torch

from probing.encoders.checkpoints import find_checkpoint, load_config, load_model
from probing.encoders.nas_bert_model import NasBertConfig, NasBertModel
from probing.encoders.tiny_checkpoints import disturb, write_tokenizer
from probing.encoders.transformer import TransformerEncoder
from probing.records import InputError

architecture = NasBertConfig.model_type
"""The only one that it takes."""
_BLOCKS = (
    ("convolution_3-8", "attention-8"),
    ("feed_forward-4", "attention-4", "identity"),
    ("convolution_7-4", "convolution_5-4"),
)


def build(checkpoint: str, **options: Any) -> TransformerEncoder:
    """A frozen NAS-BERT, whose layers are the embeddings and the outputs of its operations.

    States of narrow blocks are filled up with zeros to the width of the widest.

    Raises:
        InputError: the checkpoint is of another architecture.
    """
    found = find_checkpoint(checkpoint)
    kind = load_config(found).model_type
    if kind != architecture:
        raise InputError(f"checkpoint {checkpoint}: a {kind}, but --model nas_bert; use --model bert")
    return TransformerEncoder(load_model(found), found, **options)


def tiny(folder: Path) -> str:
    """Write a checkpoint as `contracts.encoder.EncoderModule` asks: three blocks of two widths, with all operations."""
    tokenizer = write_tokenizer(folder)
    config = NasBertConfig(
        vocab_size=len(tokenizer),
        embedding_size=4,
        blocks=_BLOCKS,
        head_size=4,
        max_position_embeddings=tokenizer.model_max_length,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        disturb(NasBertModel(config)).save_pretrained(folder)
    return str(folder)
