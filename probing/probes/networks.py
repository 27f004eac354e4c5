"""Many small classifiers trained side by side on minibatches: each as if it were alone, all in one pass.

Every problem has its own parameters, L2 strength and stopping; they share the batches. In a batch the losses are
added up, so that each problem's gradient is that of its own mean loss.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from probing.scalar_mix import mix_layers

Parameters = dict[str, Float[Tensor, "problems *shape"]]

_UNDECAYED = ("mix", "gamma")
"""Decay would draw the layer weights towards the even mix: ours, since SentEval knows no mix."""


def start_networks(n_problems: int, width: int, n_hidden: int, n_classes: int, seed: int) -> Parameters:
    """The same start for every problem: that of `torch.nn.Linear` after `torch.manual_seed(seed)`.

    Args:
        n_problems: how many are trained side by side.
        width: of a vector.
        n_hidden: units of the hidden layer; 0 for none, which makes the classifier a logistic regression.
        n_classes: how many.
        seed: of the start.
    """
    generator = torch.Generator().manual_seed(seed)
    widths = [width, n_hidden, n_classes] if n_hidden else [width, n_classes]
    parameters: Parameters = {}
    for number, (n_in, n_out) in enumerate(pairwise(widths)):
        weight = nn.init.kaiming_uniform_(torch.empty(n_out, n_in), a=5**0.5, generator=generator)
        bias = torch.empty(n_out).uniform_(-(n_in**-0.5), n_in**-0.5, generator=generator)
        parameters[f"weight{number}"] = weight.T.expand(n_problems, n_in, n_out).clone()
        parameters[f"bias{number}"] = bias.expand(n_problems, 1, n_out).clone()
    return parameters


def add_mix(parameters: Parameters, n_layers: int) -> Parameters:
    """The networks with a scalar mix in front of each, even at the start."""
    n_problems = len(parameters["bias0"])
    return parameters | {"mix": torch.zeros(n_problems, n_layers), "gamma": torch.ones(n_problems, 1, 1)}


def run_networks(
    parameters: Mapping[str, Tensor], vectors: Float[Tensor, "layers batch hidden"], layers: Int[Tensor, " problems"]
) -> Float[Tensor, "problems batch classes"]:
    """Logits of every problem; each reads its own layer, or the mix of all where there is one.

    The hidden layer is a sigmoid, as in SentEval.
    """
    if "mix" in parameters:
        state = parameters["gamma"] * mix_layers(vectors, parameters["mix"].softmax(dim=1))
    else:
        state = vectors[layers]
    state = torch.baddbmm(parameters["bias0"], state, parameters["weight0"])
    if "weight1" in parameters:
        state = torch.baddbmm(parameters["bias1"], state.sigmoid(), parameters["weight1"])
    return state


@dataclass
class Adam:
    """Adam (Kingma & Ba 2015, arXiv 1412.6980, algorithm 1) with L2 in the gradient, a strength per problem."""

    strengths: Float[Tensor, " problems"]
    rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    step: int = 0

    def __post_init__(self):
        self.moments: dict[str, tuple[Tensor, Tensor]] = {}

    @torch.no_grad()
    def update(self, parameters: Parameters) -> None:
        """One step along the gradients that the parameters hold, in place."""
        self.step += 1
        first_correction, second_correction = (1 - beta**self.step for beta in self.betas)
        for name, value in parameters.items():
            slope = value.grad
            if slope is None:
                continue
            if name not in _UNDECAYED:
                slope = slope + self.strengths.view(-1, *[1] * (value.dim() - 1)) * value
            first, second = self.moments.setdefault(name, (torch.zeros_like(value), torch.zeros_like(value)))
            first.lerp_(slope, 1 - self.betas[0])
            second.mul_(self.betas[1]).addcmul_(slope, slope, value=1 - self.betas[1])
            scale = (second.sqrt() / second_correction**0.5).add_(self.eps)
            value.addcdiv_(first, scale, value=-self.rate / first_correction)
            value.grad = None

    def keep(self, chosen: Int[Tensor, " kept"]) -> None:
        """Go on with some of the problems."""
        self.strengths = self.strengths[chosen]
        self.moments = {name: (one[chosen], two[chosen]) for name, (one, two) in self.moments.items()}


def step_networks(
    parameters: Parameters,
    optimiser: Adam,
    vectors: Float[Tensor, "layers batch hidden"],
    labels: Int[Tensor, " batch"],
    layers: Int[Tensor, " problems"],
    dropped: Float[Tensor, " layers"] | None = None,
) -> None:
    """One minibatch; `dropped` is -inf for the layers that the mix leaves out of it, and 0 for the others."""
    for value in parameters.values():
        value.requires_grad_(True)
    used = parameters
    if dropped is not None:
        used = parameters | {"mix": parameters["mix"] + dropped.to(vectors.device)}
    logits = run_networks(used, vectors, layers)
    loss = F.cross_entropy(logits.flatten(0, 1), labels.repeat(len(logits)), reduction="sum") / len(labels)
    loss.backward()
    optimiser.update(parameters)
