"""Encoders that nobody has trained yet: any architecture with a head for masked tokens, in any size."""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from transformers import (
    CONFIG_MAPPING,
    MODEL_FOR_MASKED_LM_MAPPING,
    AutoModel,
    ElectraConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

import probing.encoders.architectures  # noqa: F401 - so that transformers knows ours
from probing.encoders.checkpoint_files import MODEL_ERRORS, explain
from probing.encoders.limits import find_limit
from probing.records import InputError
from probing.registry import suggest

_FIELDS = {
    "hidden_size": ("hidden_size",),
    "num_hidden_layers": ("num_hidden_layers",),
    "num_attention_heads": ("num_attention_heads",),
    "intermediate_size": ("intermediate_size", "hidden_dim"),
    "embedding_size": ("embedding_size", "input_embedding_size"),
}
"""BERT's name of a size -> the names that other architectures may have for it."""
_MARKS = {"pad": "pad", "bos": "cls", "cls": "cls", "eos": "sep", "sep": "sep", "mask": "mask"}
"""A configuration's mark -> the tokenizer's: where BERT has [CLS] and [SEP], others begin and end a text."""
_HEAD = 64
"""Width of a head, where the number of heads is not given."""


@dataclass(frozen=True)
class Sizes:
    """The sizes of a new encoder."""

    hidden_size: int
    layers: int
    heads: int = 0
    """0: one for each 64 dimensions."""
    intermediate_size: int = 0
    """0: four times the width."""
    embedding_size: int = 0
    """0: the width."""
    layer_pattern: tuple[int, ...] = ()
    """Codes of its sub-layers, one for each of `layers`, in an architecture that has kinds of them; empty: the order
    that is usual there."""

    def as_fields(self) -> dict[str, int]:
        """The sizes under BERT's names for them."""
        return {
            "hidden_size": self.hidden_size,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads or max(1, self.hidden_size // _HEAD),
            "intermediate_size": self.intermediate_size or 4 * self.hidden_size,
            "embedding_size": self.embedding_size or self.hidden_size,
        }


def make_config(kind: str, sizes: Sizes, tokenizer: PreTrainedTokenizerBase, length: int) -> PretrainedConfig:
    """The configuration of a new encoder.

    Args:
        kind: of the architecture, as transformers or this project names it.
        sizes: of the encoder.
        tokenizer: whose vocabulary and marks it gets.
        length: longest input in tokens.

    Raises:
        InputError: no such architecture has a head for masked tokens, or it cannot be made in these sizes.
    """
    config_class, wanted = find_architecture(kind), sizes.as_fields()
    usual: Any = config_class()
    if wanted["hidden_size"] % wanted["num_attention_heads"]:
        raise InputError(
            f"--heads {wanted['num_attention_heads']}: does not divide --hidden-size {wanted['hidden_size']}; "
            "expected a number of heads of equal width"
        )
    named: dict[str, Any] = {"vocab_size": max(tokenizer.get_vocab().values()) + 1}
    for size, value in wanted.items():
        name = next((name for name in _FIELDS[size] if hasattr(usual, name)), "")
        if name:
            named[name] = value
        elif getattr(sizes, size, 0):
            raise InputError(f"--{size.replace('_', '-')}: {kind} has none; leave it away")
    for name, mark in _MARKS.items():
        if getattr(usual, f"{name}_token_id", None) is not None:
            named[f"{name}_token_id"] = getattr(tokenizer, f"{mark}_token_id")
    if sizes.layer_pattern:
        if not hasattr(usual, "layer_pattern"):
            raise InputError(f"--layer-pattern: {kind} has no kinds of sub-layers; leave it away, or use lv_bert")
        named["layer_pattern"] = list(sizes.layer_pattern)
    if not hasattr(usual, "max_position_embeddings"):
        return config_class(**named)
    config = config_class(**named, max_position_embeddings=length)
    # RoBERTa's table holds rows that no token can use.
    config.max_position_embeddings += max(0, length - find_limit(outline(config), tokenizer))
    return config


def find_architecture(kind: str) -> Any:
    """The class of configurations of an architecture that has a head for masked tokens.

    Raises:
        InputError: there is none of that name; the message offers the nearest ones.
    """
    config_class = CONFIG_MAPPING[kind] if kind in CONFIG_MAPPING else None  # noqa: SIM401 - loads when asked
    if config_class is None or config_class not in MODEL_FOR_MASKED_LM_MAPPING:
        own = [str(one.model_type) for one in MODEL_FOR_MASKED_LM_MAPPING._extra_content]
        known = [*MODEL_FOR_MASKED_LM_MAPPING_NAMES, *own]
        raise InputError(f"--model {kind}: no architecture with a head for masked tokens: {suggest(kind, known)}")
    return config_class


def outline(config: PretrainedConfig) -> PreTrainedModel:
    """The encoder of a configuration without any numbers in it.

    Raises:
        InputError: the architecture cannot be made in these sizes.
    """
    try:
        with torch.device("meta"):
            return AutoModel.from_config(config)
    except MODEL_ERRORS as error:
        raise InputError(f"--model {config.model_type}: cannot be made in these sizes ({explain(error)})") from None


def shrink(config: PretrainedConfig, fraction: float) -> PretrainedConfig:
    """The configuration of a generator for a discriminator: its layers at a fraction of the width, its vocabulary.

    Both share the table of embeddings. Where an architecture has no embeddings narrower than its layers, the generator
    is an ELECTRA, which is BERT with a linear map between the two.

    Args:
        config: of the discriminator.
        fraction: of its width, heads and inner width.
    """
    given: Any = config
    heads = max(1, round(fraction * given.num_attention_heads))
    sizes = {
        "hidden_size": max(1, round(fraction * given.hidden_size / heads)) * heads,
        "num_attention_heads": heads,
        "intermediate_size": max(1, round(fraction * getattr(given, "intermediate_size", 4 * given.hidden_size))),
    }
    if hasattr(given, "embedding_size"):
        small = deepcopy(given)
        for name, value in sizes.items():
            setattr(small, name, value)
        return small
    same = ("vocab_size", "num_hidden_layers", "max_position_embeddings", "pad_token_id")
    kept = {name: getattr(given, name) for name in same}
    dropout = getattr(given, "hidden_dropout_prob", 0.1)
    return ElectraConfig(
        embedding_size=given.hidden_size, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout,
        **sizes, **kept,
    )  # fmt: skip
