"""Rate of encoding beside the machine's peak: its useful arithmetic, and the rate of a plain product."""

import time
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import nn

_COUNTED = ("bert", "distilbert", "electra", "roberta", "xlm-roberta")
"""Model types whose every linear map is used once for each token: others share maps or have more than these."""
_MEASURED_S = 0.2
_ROWS, _ACCELERATED_ROWS = 4096, 65536
"""Tokens in the measured product: many enough that starting it costs nothing beside it."""


def count_operations(encoder: Any, lengths: Int[np.ndarray, " sentences"]) -> float:
    """Floating-point operations that the products of a pass over some sentences need, padding not counted.

    sum_i  2 n_i P + 4 n_i^2 d L,   for n_i tokens, P weights in the linear maps of all L blocks, and width d

    Args:
        encoder: any; 0 comes back where its architecture is not one of the plain ones.
        lengths: tokens of each sentence.
    """
    model = getattr(encoder, "model", None)
    config = getattr(model, "config", None)
    if not isinstance(model, nn.Module) or getattr(config, "model_type", "") not in _COUNTED:
        return 0.0
    maps = [part for name, part in model.named_modules() if isinstance(part, nn.Linear) and "pooler" not in name]
    per_token = 2 * sum(part.weight.numel() for part in maps)
    per_pair = 4 * encoder.hidden_size * (len(encoder.layer_names) - 1)
    tokens = lengths.astype(float)
    return float(per_token * tokens.sum() + per_pair * (tokens**2).sum())


def measure_peak_rate(width: int, dtype: str, device: str) -> float:
    """Operations per second of tokens x width times width x 4 width, the largest product of a block, at its best."""
    rows = _ROWS if device.partition(":")[0] == "cpu" else _ACCELERATED_ROWS
    options: dict[str, Any] = {"dtype": getattr(torch, dtype), "device": device}
    # Processors multiply zeros and ones faster than what is to be multiplied.
    draw = partial(torch.randn, generator=torch.Generator(device).manual_seed(0), device=device)
    tokens, weights = (draw(shape).to(**options) for shape in ((rows, width), (width, 4 * width)))
    # Written to again and again: a fresh one each time would cost its pages.
    product = tokens @ weights
    best, end = float("inf"), time.perf_counter() + _MEASURED_S
    while best == float("inf") or time.perf_counter() < end:
        start = time.perf_counter()
        torch.mm(tokens, weights, out=product)
        if product.device.type != "cpu":
            torch.accelerator.synchronize(product.device)
        best = min(best, time.perf_counter() - start)
    return 2 * rows * width * 4 * width / best
