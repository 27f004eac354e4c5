"""Costs of a classifier for whoever uses it: parameters, bytes, operations and sentences in a second."""

import time
from typing import Any

import torch
from accelerate import Accelerator
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import PreTrainedModel

from probing.encoders.blocks import find_backbone
from probing.encoders.packing import count_packed
from probing.training.contracts import LabelledSplit
from probing.training.evaluation.logits import choose_way

_LENGTH = 128
"""Tokens of the text whose operations are counted, as in TinyBERT's table."""
_TOKENS = 4096
"""In a batch."""
_PASSES = 3


def measure_costs(model: PreTrainedModel, split: LabelledSplit, accelerator: Accelerator) -> dict[str, float]:
    """Costs of a model, by the names of columns of `TrainedModel`.

    Args:
        model: a classifier, on the accelerator's device.
        split: sentences that are answered.
        accelerator: device and precision.
    """
    return count_costs(model) | {"sentences_per_s": measure_rate(model, split, accelerator)}


def count_costs(model: PreTrainedModel) -> dict[str, float]:
    """Costs that need no clock, of any model that reads tokens."""
    # Tied weights are one tensor under two names.
    tensors = {one.data_ptr(): one for one in model.state_dict().values()}.values()
    return {
        "parameters": sum(one.numel() for one in model.parameters()) + count_packed(model),
        "weight_bytes": sum(one.numel() * one.element_size() for one in tensors),
        "flops": count_flops(model),
    }


def count_flops(model: PreTrainedModel) -> float:
    """Operations of the products of a forward pass over one text, two for each multiplication and addition."""
    config = find_backbone(model).config
    length = min(_LENGTH, int(getattr(config, "max_position_embeddings", None) or _LENGTH))
    ids = torch.zeros(1, length, dtype=torch.long, device=model.device)
    counter, was_training = FlopCounterMode(display=False), model.training
    model.eval()
    # Attention in one piece is not counted on a CPU; made of products, it is.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        model(input_ids=ids, attention_mask=torch.ones_like(ids))
    model.train(was_training)
    return float(counter.get_total_flops())


def measure_rate(model: PreTrainedModel, split: LabelledSplit, accelerator: Accelerator) -> float:
    """Sentences that are answered in a second, tokenised before: the fastest of a few passes after one to warm up."""
    was_training = model.training
    batches: list[Any] = [split.collate(rows, str(accelerator.device)).inputs for rows in split.list_batches(_TOKENS)]
    compute = choose_way(model.eval(), accelerator)  # pyright: ignore
    seconds = []
    with torch.inference_mode():
        for _ in range(1 + _PASSES):
            start = time.perf_counter()
            for inputs in batches:
                compute(inputs)
            if accelerator.device.type == "cuda":
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
    model.train(was_training)
    return len(split) / min(seconds[1:])
