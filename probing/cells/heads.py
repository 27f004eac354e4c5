"""Heads on frozen pooled vectors: a linear classifier on one layer, or on the scalar mix of several."""

from collections.abc import Sequence
from copy import deepcopy
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from probing.randomness import derived_seed
from probing.records import LayerStack, Split
from probing.scalar_mix import ScalarMix
from probing.scores.graded import spread_scores

Labels: TypeAlias = Int[np.ndarray, " sentences"] | Float[np.ndarray, "sentences classes"]
_BATCH, _RATE, _MIX_RATE = 64, 1e-3, 1e-2
"""Of training a head. The mix has a rate of its own: its scalars would hardly move at the classifier's."""
_START = 0.02
"""Standard deviation of the classifier's weights at step 0, as BERT's."""


class Head(nn.Module):
    """A linear classifier on the mix of some layers' pooled vectors; of one layer alone, on that layer.

    Args:
        layers: which layers are mixed.
        linear: the classifier, which is copied.
        norm: whether vectors are normalised before they are mixed.
    """

    def __init__(self, layers: Sequence[int], linear: nn.Linear, *, norm: bool = False):
        super().__init__()
        self.layers = list(layers)
        self.mix = ScalarMix(len(self.layers), scale=len(self.layers) > 1, norm=norm)
        self.linear = deepcopy(linear)

    def forward(self, stack: Float[Tensor, "layers sentences hidden"]) -> Float[Tensor, "sentences classes"]:
        """Logits, from the pooled vectors of its layers."""
        return self.linear(self.mix(stack))


def draw_classifier(hidden_size: int, n_classes: int, *purpose: str | int) -> nn.Linear:
    """A classifier as it is before training: random weights that depend on the purpose alone, biases 0."""
    generator = torch.Generator().manual_seed(derived_seed(*purpose))
    # Made without values, which would be drawn from the generator that all share.
    linear = nn.Linear(hidden_size, n_classes, device="meta").to_empty(device="cpu")
    nn.init.normal_(linear.weight, std=_START, generator=generator)
    nn.init.zeros_(linear.bias)
    return linear


def train_head(
    head: Head,
    stack: LayerStack,
    rows: Int[np.ndarray, " sentences"],
    split: Split,
    n_steps: int,
    rng: np.random.Generator,
) -> None:
    """Minimise the cross-entropy in place, by Adam on minibatches of pooled vectors.

    Args:
        head: to train.
        stack: pooled vectors.
        rows: where the training sentences stand among them.
        split: the training sentences, with their labels.
        n_steps: minibatches to see, drawn without replacement in every pass.
        rng: of the order.
    """
    labels = encode_labels(split, head.linear.out_features)
    rates = [{"params": head.linear.parameters()}, {"params": head.mix.parameters(), "lr": _MIX_RATE}]
    optimiser = torch.optim.Adam(rates, lr=_RATE)
    n_passes = 1 + n_steps * _BATCH // len(rows)
    order = np.concatenate([rng.permutation(len(rows)) for _ in range(n_passes)])
    for step in range(n_steps):
        chosen = order[step * _BATCH : (step + 1) * _BATCH]
        vectors = torch.from_numpy(stack.select(head.layers, rows[chosen])).to(head.linear.weight.device)
        targets = torch.from_numpy(labels[chosen]).to(vectors.device)
        optimiser.zero_grad()
        F.cross_entropy(head(vectors), targets).backward()
        optimiser.step()


def encode_labels(split: Split, n_classes: int) -> Labels:
    """Class indices or, in a graded task, class probabilities."""
    return split.labels if split.targets is None else spread_scores(split.targets, n_classes)
