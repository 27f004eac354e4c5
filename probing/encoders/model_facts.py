"""Facts of a model: its digest, the names of its layers, the window of its attention."""

import json
from collections.abc import Sequence
from hashlib import sha256

import torch
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from probing.encoders.characters import find_characters
from probing.encoders.checkpoint_tensors import is_pooler
from probing.encoders.slow_tokenizers import open_backend

_NOT_ARCHITECTURE = {"_name_or_path", "transformers_version", "dtype", "architectures"}
"""Settings that say where a model comes from and change no state."""


def compute_digest(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> str:
    """SHA-256 over the architecture, every tensor that the model's results read, and the tokenizer: equal if they are.

    States read no pooler, which many heads do: it counts where the model has a head.
    """
    digest = sha256(type(model).__name__.encode())
    architecture = {key: value for key, value in model.config.to_dict().items() if key not in _NOT_ARCHITECTURE}
    digest.update(json.dumps(architecture, sort_keys=True, default=str).encode())
    for name, tensor in sorted(model.state_dict().items()):
        if is_pooler(name) and model.base_model is model:
            continue
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().data)
    digest.update(open_backend(tokenizer).to_str().encode())
    if knows_segments(model.config) and not takes_segments(model.config, tokenizer):
        digest.update(b"all of segment 0")
    return digest.hexdigest()


def knows_segments(config: PretrainedConfig) -> bool:
    """True where a model has more segments than one."""
    # DistilBERT's tokenizer gives segments that the model does not take; DeBERTa's has no table for them.
    return getattr(config, "type_vocab_size", 0) > 1


def takes_segments(config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase) -> bool:
    """True where a model is given segments; else all of its tokens are of segment 0."""
    return knows_segments(config) and "token_type_ids" in tokenizer.model_input_names


def name_layers(model: PreTrainedModel) -> tuple[str, ...]:
    """`embeddings`, then the number of each block, or what an architecture names its layers (ours, CANINE)."""
    config = model.config
    while (inner := getattr(config, "backbone_config", None)) is not None:
        config = inner
    if isinstance(names := getattr(config, "layer_names", None), tuple):
        return names
    if characters := find_characters(model):
        return characters.name_layers()
    return ("embeddings", *(str(block + 1) for block in range(model.config.num_hidden_layers)))


def find_window(model: PreTrainedModel) -> int:
    """The window of local attention that a model fills up every text to (Longformer); 1 where it has none."""
    window = getattr(model.config, "attention_window", None) or 1
    return max(window) if isinstance(window, Sequence) else int(window)
