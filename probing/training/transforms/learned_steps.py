"""Step sizes that are learned (LSQ, arXiv 1902.08153): of weights as parametrizations, of activations as modules.

The logarithm of a step is the parameter, so that a step is positive whatever is learned: s = exp(t), dL/dt = s dL/ds.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from probing.encoders.step_size import FixedStep, Rule, choose_step, count_levels, quantise

_SAMPLE = 2**14
"""Values that an observer keeps of each batch, and that a step of a whole matrix is chosen by, at the least."""


class LearnedStep(nn.Module):
    """q(x) with a step s that is learned.

    Args:
        step: the first one, of a shape that broadcasts with the values.
        bits: 2 to 8.
        n_values: N of LSQ's gradient scale 1 / sqrt(N n); 0: no scale, as in KDLSQ's code.
        clips: whether clipped values get no gradient.
    """

    def __init__(self, step: Float[Tensor, "..."], bits: int, *, n_values: int = 0, clips: bool = True):
        super().__init__()
        self.log_step = nn.Parameter(step.detach().log())
        self.bits, self.levels, self.clips = bits, count_levels(bits), clips
        self.scale = (n_values * self.levels) ** -0.5 if n_values else 1.0

    @property
    def step(self) -> Float[Tensor, "..."]:
        """s, above 0."""
        return self.log_step.exp()

    def forward(self, values: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """The quantised values."""
        return quantise(values, self.step, self.levels, scale=self.scale, clips=self.clips)

    def fix(self) -> FixedStep:
        """The same step, not learned any more."""
        return FixedStep(self.bits, self.step)


class Observer(nn.Module):
    """Lets values through as they are, and keeps what a step can be chosen by: a sample, and the largest."""

    def __init__(self):
        super().__init__()
        self.samples: list[Tensor] = []
        self.largest = 0.0
        self.n_features = 0

    def forward(self, values: Float[Tensor, "batch *tokens width"]) -> Float[Tensor, "batch *tokens width"]:
        """The values themselves."""
        seen = values.detach().flatten()
        self.samples.append(seen[:: max(1, len(seen) // _SAMPLE)].float())
        self.largest = max(self.largest, seen.abs().amax().item())
        # Of attention's operands, a token has as many as there are heads, each of a width.
        self.n_features = values.shape[-1] * (values.shape[1] if values.ndim == 4 else 1)
        return values

    def choose_step(self, bits: int, rule: Rule) -> Float[Tensor, "1"]:
        """A first step for what was seen."""
        largest = self.samples[0].new_tensor([self.largest])
        return choose_step(torch.cat([*self.samples, largest])[None], count_levels(bits), rule)[0]


def choose_weight_step(
    weight: Float[Tensor, "rows columns"], bits: int, rule: Rule, *, per_row: bool
) -> Float[Tensor, "steps 1"]:
    """A first step for a matrix, or one for each of its rows."""
    return choose_step(weight.detach() if per_row else _sample(weight.detach())[None], count_levels(bits), rule)


def _sample(weight: Tensor) -> Tensor:
    """Some of the values of a matrix, its largest among them."""
    values = weight.flatten()
    return torch.cat([values[:: max(1, len(values) // (8 * _SAMPLE))], values.abs().amax()[None]])
