"""Device, precision and processes of a training."""

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs

from probing.encoders.placement import choose_dtype
from probing.records import InputError
from probing.settings.checks import check_device
from probing.settings.training import RecipeSettings


def make_accelerator(settings: RecipeSettings) -> Accelerator:
    """Device, precision and processes, as `accelerate launch` or the settings say."""
    AcceleratorState._reset_state(reset_partial_state=True)  # a second run in one process may want another precision
    device = "cuda" if settings.device == "auto" and torch.cuda.is_available() else settings.device
    dtype = choose_dtype(settings.dtype, "cpu" if device == "auto" else device)
    if device.startswith("cuda:"):
        torch.cuda.set_device(torch.device(device))
    return Accelerator(
        cpu=not device.startswith("cuda"),
        mixed_precision="bf16" if dtype == "bfloat16" else "no",
        # Several processes add up the gradients of parameters that a loss may not reach, such as a pooler's.
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )


def check_training_device(device: str) -> None:
    """Refuse a device that training does not run on.

    Raises:
        InputError: naming it.
    """
    check_device(device)
    if device != "auto" and torch.device(device).type not in {"cpu", "cuda"}:
        raise InputError(f"--device {device}: training runs on cpu and on cuda alone; use one of them, or auto")
