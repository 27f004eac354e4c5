"""Uniform symmetric quantisation with a step size (LSQ, Esser et al. 2020, arXiv 1902.08153; KDLSQ, arXiv 2101.05938).

    n = 2^(bits - 1) - 1,    c(x) = round(clip(x / s, -n, n)),    q(x) = s c(x)
    dq/ds = c(x) - x/s where |x/s| <= n, else sign(x) n           (LSQ, eq. 3)
    dq/dx = 1 where |x/s| <= n, else 0

Two bits are ternary, {-s, 0, s}. KDLSQ learns the range a = s n in place of s; with a logarithm learned, both are one.
Its code lets the gradient of clipped weights through (`clips` false); that of clipped activations it stops.
"""

from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

LEAST_BITS, MOST_BITS = 2, 8
Rule = Literal["error", "lsq", "largest"]
"""Rules for a first step: `error` has the least squared error of 50 ranges, `lsq` is 2 mean|x| / sqrt(n) (LSQ, section
2.1), `largest` clips nothing (min-max)."""
_RANGES = 50
"""Ranges that `error` tries, the largest of them the largest value."""
_LEAST_STEP = 1e-8
"""Step of what holds zeros alone."""
_HALF = 0.5


def count_levels(bits: int) -> int:
    """The number n of levels on each side of 0."""
    return 2 ** (bits - 1) - 1


def quantise(
    values: Float[Tensor, "..."],
    step: Float[Tensor, "..."],
    levels: int,
    *,
    scale: float = 1.0,
    clips: bool = True,
) -> Float[Tensor, "..."]:
    """q(x), computed in float32 and given in the number format of the values.

    Args:
        values: x.
        step: s, positive, of a shape that broadcasts.
        levels: n.
        scale: of the step's gradient; LSQ's is 1 / sqrt(N n), N the number of values that have the step.
        clips: whether clipped values get no gradient.
    """
    return _Quantise.apply(values, step, levels, scale, clips)  # pyright: ignore


def encode(values: Float[Tensor, "..."], step: Float[Tensor, "..."], levels: int) -> Float[Tensor, "..."]:
    """The codes c(x), whole numbers from -n to n."""
    return (values.float() / step.float()).round_().clamp_(-levels, levels)


class _Quantise(torch.autograd.Function):
    """q(x). What is kept is dq/ds, which tells what was clipped: there it is n, and elsewhere 1/2 at most."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, step: Tensor, levels: int, scale: float, clips: bool) -> Tensor:
        # In place wherever it can be: tables of words are large, and memory is what takes time.
        step, slope = step.float(), values.float() / step.float()
        codes = slope.round().clamp_(-levels, levels)
        if any(ctx.needs_input_grad):
            clipped = (slope > levels).logical_or_(slope < -levels)
            torch.where(clipped, codes, slope.neg_().add_(codes), out=slope)
            ctx.save_for_backward(slope)
            ctx.options = values.dtype, step.shape, scale, clips
        return codes.mul_(step).to(values.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        [slope], [gradient, *_] = ctx.saved_tensors, gradients
        dtype, shape, scale, clips = ctx.options
        to_values, to_step, *_ = ctx.needs_input_grad
        passed, found = gradient, None
        if to_step:
            found = (gradient.float() * slope).sum_to_size(shape) * scale
        if to_values and clips:
            passed = gradient.where(slope.abs() <= _HALF, 0.0)
        return passed.to(dtype) if to_values else None, found, None, None, None


def choose_step(values: Float[Tensor, "rows columns"], levels: int, rule: Rule) -> Float[Tensor, "rows 1"]:
    """A first step for each row.

    Args:
        values: one row for each step that is wanted.
        levels: n.
        rule: by which it is chosen.
    """
    size = values.float().abs()
    largest = size.amax(dim=1, keepdim=True)
    if rule == "lsq":
        step = 2 * size.mean(dim=1, keepdim=True) / levels**0.5
    elif rule == "largest":
        step = largest / levels
    else:
        step = _find_least_error(size, largest / levels, levels)
    return step.clamp_min(_LEAST_STEP)


def _find_least_error(size: Tensor, widest: Tensor, levels: int) -> Tensor:
    best, least = widest, torch.full_like(widest, float("inf"))
    for share in range(_RANGES, 0, -1):
        step = (widest * (share / _RANGES)).clamp_min(_LEAST_STEP)
        error = (encode(size, step, levels) * step - size).square_().sum(dim=1, keepdim=True)
        best, least = best.where(error >= least, step), least.minimum(error)
    return best


class FixedStep(nn.Module):
    """Quantises with a step that is not learned.

    Args:
        bits: 2 to 8.
        step: s; a number that is loaded later, by default.
    """

    step: Tensor
    levels: Tensor

    def __init__(self, bits: int, step: Tensor | None = None):
        super().__init__()
        self.register_buffer("step", torch.ones(1) if step is None else step.detach().clone())
        # In the state, so that encoders that differ in it alone have another digest.
        self.register_buffer("levels", torch.tensor(count_levels(bits), dtype=torch.uint8))
        self._levels = count_levels(bits)

    def forward(self, values: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """q(x)."""
        return quantise(values, self.step, self._levels)
