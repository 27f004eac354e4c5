"""C-BERT (Wu et al. 2019, arXiv 1812.06705), frozen and without a label: it gets the mean of all labels' embeddings.

A label would be the answer that probes look for.
"""

from pathlib import Path
from typing import Any

import torch

from probing.encoders.c_bert_model import CBertConfig, CBertModel, forget_labels
from probing.encoders.checkpoints import find_checkpoint, load_config, load_model
from probing.encoders.tiny_checkpoints import disturb, write_tokenizer
from probing.encoders.transformer import TransformerEncoder
from probing.records import InputError

architecture = CBertConfig.model_type
"""The only one that it takes."""


def build(checkpoint: str, **options: Any) -> TransformerEncoder:
    """A frozen C-BERT, whose kernels are BERT's.

    Raises:
        InputError: the checkpoint is of another architecture.
    """
    found = find_checkpoint(checkpoint)
    kind = load_config(found).model_type
    if kind != architecture:
        raise InputError(f"checkpoint {checkpoint}: a {kind}, but --model c_bert; use --model bert")
    model: Any = load_model(found)
    return TransformerEncoder(forget_labels(model), found, **options)


def tiny(folder: Path) -> str:
    """Write a checkpoint as `contracts.encoder.EncoderModule` asks: two blocks of width 8, three labels."""
    tokenizer = write_tokenizer(folder)
    config = CBertConfig(
        n_labels=3,
        label_table="new",
        vocab_size=len(tokenizer),
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=tokenizer.model_max_length,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        disturb(CBertModel(config)).save_pretrained(folder)
    return str(folder)
