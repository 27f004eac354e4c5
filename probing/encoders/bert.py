"""Any BERT-like Hugging Face encoder (BERT, RoBERTa, DistilBERT, ELECTRA, DeBERTa, ModernBERT, ...), frozen."""

from typing import Any

from probing.encoders.blocks import find_backbone
from probing.encoders.checkpoints import find_checkpoint, load_model
from probing.encoders.tiny_checkpoints import write_bert
from probing.encoders.transformer import TransformerEncoder

tiny = write_bert
"""The same as in `contracts.encoder.EncoderModule`."""


def build(checkpoint: str, **options: Any) -> TransformerEncoder:
    """A frozen pre-trained encoder; of a checkpoint with a mix of layers (a trained BERMo), what is under the mix."""
    found = find_checkpoint(checkpoint)
    return TransformerEncoder(find_backbone(load_model(found)), found, **options)
