"""Logits of BERT's and BERMo's classifiers on a CPU, whose encoder the compiled kernels compute.

Their heads read the first token alone, and so does the mix for it: the kernels pool that token of every layer.
"""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from accelerate import Accelerator
from jaxtyping import Float
from torch import Tensor
from transformers import BertForSequenceClassification, PreTrainedModel

from probing.contracts.encoder import Tokens
from probing.encoders.bermo_model import BermoForSequenceClassification
from probing.encoders.blocks import find_backbone
from probing.encoders.fused import FusedModel, find_obstacle
from probing.kernels import find_engine, why_not


class FusedClassifier:
    """A classifier in eval mode whose weights stay as they are now.

    Args:
        model: one that `can_fuse` has nothing against.
        dtype: `bfloat16` or `float32`.
    """

    def __init__(self, model: PreTrainedModel, dtype: str):
        self._model = cast(Any, model)
        self._encoder = FusedModel(find_backbone(model), find_engine(dtype))

    def compute(self, inputs: Mapping[str, Tensor]) -> Float[Tensor, "batch labels"]:
        """The logits of a batch, in float32."""
        tokens = _unpad(inputs)
        first = np.concatenate([np.arange(len(ids)) == 0 for ids in tokens.ids]).astype(np.float32)
        rows = np.arange(len(tokens.ids))
        pooled = self._encoder.pool(tokens, rows, first, False, torch.get_num_threads())
        return self._read(torch.from_numpy(pooled))

    def _read(self, states: Float[Tensor, "layers batch hidden"]) -> Float[Tensor, "batch labels"]:
        model = self._model
        if isinstance(model, BermoForSequenceClassification):
            body = model.bermo
            mixed = body.mix(states[0 if model.config.mix_embeddings else 1 :, :, None])[:, 0]
            return model.classifier(torch.tanh(body.pooler(mixed)))
        return model.classifier(model.bert.pooler(states[-1][:, None]))


def can_fuse(model: PreTrainedModel, accelerator: Accelerator) -> bool:
    """True where the kernels can compute a classifier on the device, in the precision that is on."""
    if accelerator.device.type != "cpu" or why_not(name_precision(accelerator)):
        return False
    known = isinstance(model, BertForSequenceClassification | BermoForSequenceClassification)
    return known and not find_obstacle(find_backbone(model))


def name_precision(accelerator: Accelerator) -> str:
    """The number format of the products."""
    return "bfloat16" if accelerator.mixed_precision == "bf16" else "float32"


def _unpad(inputs: Mapping[str, Tensor]) -> Tokens:
    """The tokens of a batch, each text with its own number of them."""
    ids = inputs["input_ids"].numpy()
    types = inputs["token_type_ids"].numpy() if "token_type_ids" in inputs else np.zeros_like(ids)
    mask = inputs["attention_mask"].numpy() if "attention_mask" in inputs else np.ones_like(ids)
    lengths = mask.sum(axis=1)
    return Tokens(
        ids=tuple(row[:length] for row, length in zip(ids, lengths, strict=True)),
        types=tuple(row[:length] for row, length in zip(types, lengths, strict=True)),
        special=tuple(np.zeros(length, dtype=bool) for length in lengths),
        truncated=np.zeros(len(ids), dtype=bool),
    )
