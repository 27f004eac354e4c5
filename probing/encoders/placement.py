"""Choice of the device, the number format and the engine of the kernels that an encoder computes with."""

from collections.abc import Mapping
from typing import Any

import torch
from torch.func import functional_call
from transformers import PreTrainedModel

from probing.encoders.checkpoint_files import MODEL_ERRORS
from probing.encoders.fused import find_obstacle
from probing.kernels import find_engine, why_not
from probing.records import InputError


def choose_device(device: str) -> str:
    """The device to compute on: the one asked for, or with `auto` the accelerator that torch finds.

    Probes sum in float64: an accelerator without it (MPS, some of XPU) computes only where it is asked for by name.
    """
    if device != "auto":
        return device
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return found.type if found is not None and _sums_in_float64(found) else "cpu"


def _sums_in_float64(device: torch.device) -> bool:
    try:
        return torch.ones(2, dtype=torch.float64, device=device).sum().item() == 2
    except (RuntimeError, TypeError):
        return False


def choose_dtype(dtype: str, device: str) -> str:
    """The number format to compute in; `auto` is bfloat16 where the device multiplies it natively, else float32."""
    if dtype != "auto":
        return dtype
    if device.startswith("cuda"):
        return "bfloat16" if torch.cuda.get_device_capability(device)[0] >= 8 else "float32"
    capabilities = torch.cpu.get_capabilities()
    native = any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return "bfloat16" if device == "cpu" and native else "float32"


def choose_engine(backend: str, model: PreTrainedModel, dtype: str, device: str) -> tuple[str, str]:
    """The kernels' engine that computes pooled vectors, empty where torch does; and why.

    Raises:
        InputError: `fused` was asked for, and cannot be.
    """
    if backend in ("torch", "unpadded"):
        return "", f"{backend}, as asked for"
    if device != "cpu" or dtype not in ("bfloat16", "float32"):
        obstacle = f"the kernels compute on a CPU in bfloat16 or float32, and this is {dtype} on {device}"
    else:
        obstacle = why_not(dtype) or find_obstacle(model)
    if backend == "fused" and obstacle:
        raise InputError(f"--backend fused: {obstacle}; use --backend auto")
    if obstacle:
        return "", f"torch: {obstacle}"
    engine = find_engine(dtype)
    return engine, f"{engine}, the fastest engine for {dtype} on this processor"


@torch.inference_mode()
def can_compute(model: PreTrainedModel, inputs: Mapping[str, Any], dtype: torch.dtype) -> bool:
    """True where the operations of a model exist in a number format, on the device of its inputs.

    Every tensor is a single zero, repeated: this takes no memory, and the model need not be converted.
    """
    device = inputs["input_ids"].device
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    zeros = {
        name: torch.zeros((), dtype=dtype, device=device).expand(tensor.shape)
        if tensor.is_floating_point()
        else tensor.to(device)
        for name, tensor in tensors.items()
    }
    try:
        functional_call(model, zeros, (), dict(inputs))
    except MODEL_ERRORS:
        return False
    return True
