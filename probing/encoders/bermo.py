"""BERMo (Kodge & Roy 2021, arXiv 2110.15802), frozen: the layers under its mix, which the probe learns anew."""

from pathlib import Path
from typing import Any

import torch

from probing.encoders.bermo_model import BermoModel
from probing.encoders.blocks import find_backbone
from probing.encoders.checkpoints import find_checkpoint, load_model
from probing.encoders.tiny_checkpoints import draw_bert, write_tokenizer
from probing.encoders.transformer import TransformerEncoder


def build(checkpoint: str, **options: Any) -> TransformerEncoder:
    """A frozen encoder whose layers are mixed; the probe learns the mix anew for each task.

    `checkpoint` is that of a plain encoder, or of a trained BERMo, whose own fine-tuned layers are then probed.
    """
    found = find_checkpoint(checkpoint)
    return TransformerEncoder(find_backbone(load_model(found)), found, mixes_layers=True, **options)


def tiny(folder: Path) -> str:
    """Write what `contracts.encoder.EncoderModule` asks for: a whole BERMo, its mix and pooler included."""
    tokenizer = write_tokenizer(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        BermoModel.from_backbone(draw_bert(len(tokenizer))).save_pretrained(folder)
    return str(folder)
