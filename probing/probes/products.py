"""Products of float32 matrices in short numbers, where the processor has units for them: several times as fast."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor

Split = Callable[[Float[Tensor, "rows hidden"]], tuple[Float[Tensor, "rows hidden"], ...]]
"""Takes a matrix apart, into a sum."""


def has_short_products(device: torch.device) -> bool:
    """Whether products of short numbers are worth it: twice the work must be less of it."""
    return device.type == "cuda" or (device.type == "cpu" and bool(torch.cpu.get_capabilities().get("amx_bf16")))


@contextmanager
def short_products() -> Iterator[None]:
    """Round the factors of every float32 product to bfloat16 (on a GPU to TensorFloat-32); sums stay float32."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def split_in_two(matrix: Float[Tensor, "rows hidden"]) -> tuple[Float[Tensor, "rows hidden"], ...]:
    """A matrix as its bfloat16 and what that lacks: rounding both to bfloat16 leaves 2^-17 of every number."""
    high = matrix.bfloat16().to(matrix.dtype)
    return high, matrix - high
