"""Any BERT-like Hugging Face encoder (BERT, RoBERTa, DistilBERT, ELECTRA, DeBERTa, ModernBERT, ...), frozen."""

from typing import Any

from probing.encoders.checkpoints import find_checkpoint, load_model
from probing.encoders.transformer import TransformerEncoder


def build(checkpoint: str, *, seed: int = 0, **options: Any) -> TransformerEncoder:
    """A frozen pre-trained encoder. Nothing is drawn at random: `seed` is there for encoders that do."""
    del seed
    found = find_checkpoint(checkpoint)
    return TransformerEncoder("bert", load_model(found), found, **options)
