"""Logits of a model for many texts, in eval mode, from batches sorted by length; processes share them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel

from probing.training.contracts import LabelledSplit
from probing.training.evaluation.fused_logits import FusedClassifier, can_fuse, name_precision

_TOKENS = {"cpu": 4096, "cuda": 65536}
"""In a batch, by the kind of device."""


def compute_logits(
    model: PreTrainedModel, split: LabelledSplit, accelerator: Accelerator
) -> Float[np.ndarray, "texts labels"]:
    """The logits of each text. The classifier's last products are in float32: in bfloat16 they would make ties."""
    was_training = model.training
    model.eval()
    batches = split.list_batches(_TOKENS.get(accelerator.device.type, _TOKENS["cpu"]))
    compute = choose_way(model, accelerator)
    with torch.inference_mode():
        found = [
            (rows, compute(split.collate(rows, str(accelerator.device)).inputs))
            for rows in batches[accelerator.process_index :: accelerator.num_processes]
        ]
    model.train(was_training)
    found = [(rows, logits.cpu().numpy()) for rows, logits in found]
    every = gather_object(found)
    logits = np.empty((len(split), every[0][1].shape[1]), dtype=np.float32)
    for rows, values in every:
        logits[rows] = values
    return logits


def choose_way(model: PreTrainedModel, accelerator: Accelerator) -> Callable[[Mapping[str, Tensor]], Tensor]:
    """The kernels where they can be had, else torch."""
    if can_fuse(model, accelerator):
        return FusedClassifier(model, name_precision(accelerator)).compute

    def compute(inputs: Mapping[str, Tensor]) -> Tensor:
        with _in_float32(getattr(model, "classifier", None)), accelerator.autocast():
            return model(**inputs).logits.float()

    return compute


@contextmanager
def _in_float32(module: nn.Module | None) -> Iterator[None]:
    """Compute what a module gives without the lower precision that is on around it."""
    if module is None:
        yield
        return

    def compute(part: Any, inputs: tuple[Any, ...], _: Any) -> Tensor:
        with torch.autocast(inputs[0].device.type, enabled=False):
            return type(part).forward(part, inputs[0].float(), *inputs[1:])

    handle = module.register_forward_hook(compute)
    try:
        yield
    finally:
        handle.remove()
