"""The architecture of a checkpoint with random weights: what the architecture and the tokenizer give by themselves."""

from dataclasses import replace
from typing import Any

import torch
from transformers import AutoModel

from probing.encoders.checkpoint_tensors import take_encoder
from probing.encoders.checkpoints import find_checkpoint, load_config
from probing.encoders.tiny_checkpoints import write_bert
from probing.encoders.transformer import TransformerEncoder
from probing.randomness import derived_seed

tiny = write_bert
"""The same as in `contracts.encoder.EncoderModule`; of its checkpoint, the configuration and the tokenizer are read."""


def build(checkpoint: str, *, seed: int = 0, **options: Any) -> TransformerEncoder:
    """A frozen encoder that was never trained; no weight of the checkpoint is read.

    Every weight comes from the architecture's own initialisation, drawn from the seed.
    """
    found = find_checkpoint(checkpoint)
    config = load_config(found)
    config = getattr(config, "backbone_config", config)  # of a trained BERMo: what is under its mix
    # transformers initialises from the global generator: fork it, so that nothing else moves.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed("untrained", seed))
        model = AutoModel.from_config(config, dtype=torch.float32, trust_remote_code=False)
    stored = replace(found, revision=f"untrained-{seed}")
    return TransformerEncoder(take_encoder(model, found.name), stored, **options)
