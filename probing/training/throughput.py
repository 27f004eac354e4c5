"""The rate of a training's products beside the rate of a plain one: how near it comes to what the machine can do."""

from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from probing.representations.peak_rate import measure_peak_rate
from probing.training.loop import Job

_EXAMPLES = 2
"""Of the batch whose operations are counted: they are proportional to their number."""


def share_of_peak(job: Job, accelerator: Accelerator, tokens_per_s: float) -> float:
    """The products of forward and backward pass in a second, as a share of those of the largest plain product.

    The plain one has the width of the encoder, and the number format and threads of the training.

    Args:
        job: that has been trained; its gradients are thrown away, its weights and torch's generators stay.
        accelerator: device and precision.
        tokens_per_s: of the training, in all processes.
    """
    dtype = "bfloat16" if accelerator.mixed_precision == "bf16" else "float32"
    width = int(job.model.config.hidden_size)
    peak = measure_peak_rate(width, dtype, str(accelerator.device)) * accelerator.num_processes
    return count_per_token(job, accelerator) * tokens_per_s / peak


def count_per_token(job: Job, accelerator: Accelerator) -> float:
    """Floating-point operations of the products of a forward and a backward pass, for each token of a batch."""
    batch: Any = job.data.batch(0)
    rows = np.arange(min(_EXAMPLES, len(batch)))
    examples = batch.collate(rows, str(accelerator.device))
    generator = torch.Generator(accelerator.device).manual_seed(0)
    devices = [accelerator.device] if accelerator.device.type == "cuda" else []
    counter = FlopCounterMode(display=False)
    # Attention in one piece is not counted on a CPU; made of products, it is.
    with torch.random.fork_rng(devices), sdpa_kernel(SDPBackend.MATH), counter, accelerator.autocast():
        losses = job.objective.losses(job.model, examples, generator)
        torch.stack(list(losses.values())).sum().backward()
    job.model.zero_grad()
    return counter.get_total_flops() * len(batch) / len(rows) / batch.n_tokens
