"""A probe with one hidden layer, for all layers and strengths together, without minibatches.

For each layer and strength lambda, with standardised vectors x_i of width d, hidden units h_i = tanh(U x_i + a) and
weights W, b on them:

    (1/N) sum_i [ logsumexp_c(W_c . h_i + b_c) - (W_{y_i} . h_i + b_{y_i}) ]  +  (lambda / 2) (||U||^2 + ||W||^2)

from U drawn with variance 1/d and W = 0, so that the start favours no class. The whole training set is one batch:
order does not matter and the same seed gives the same probe. The loss is not convex: several seeds show how much the
start matters. Training is cut off after `max_iterations`, by design and before the minimum, which spares the probe
some overfitting; `converged_` says whether it came further.
"""

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from probing.contracts.probe import Reader
from probing.probes.logistic import standardise
from probing.probes.selection import choose_strength
from probing.probes.solver import minimise
from probing.randomness import stream

STRENGTHS = (0.03, 0.003, 0.0003)
"""L2 strengths that dev chooses among. Ours."""
_BLOCK = 2048


class MLPProbe(Reader):
    """One hidden layer on each layer's vectors: one readout for each.

    Args:
        n_hidden: hidden units. 50 as in SentEval's probing tasks (arXiv 1805.01070).
        strengths: L2 strengths (lambda above); the best on dev is kept, and of equals the strongest.
        tolerance: as in the linear probe.
        max_iterations: after which training is cut off.
        seed: of the start.
        device: where to compute.
    """

    takes_scores = False
    has_strength = True
    order_free = True
    by_request = True
    reads = "each layer"
    choices = ("strength_", "n_hidden_")
    tiny: ClassVar = {"n_hidden": 6}

    def __init__(
        self,
        n_hidden: int = 50,
        strengths: Sequence[float] = STRENGTHS,
        tolerance: float = 1e-3,
        max_iterations: int = 150,
        seed: int = 0,
        device: str = "cpu",
    ):
        self.n_hidden, self.strengths, self.tolerance = n_hidden, strengths, tolerance
        self.max_iterations, self.seed, self.device = max_iterations, seed, device

    def fit(
        self,
        X: Float[np.ndarray, "layers sentences hidden"],
        y: Int[np.ndarray, " sentences"],
        X_dev: Float[np.ndarray, "layers dev hidden"],
        y_dev: Int[np.ndarray, " dev"],
    ) -> "MLPProbe":
        """Fit every layer at every strength, and keep for each layer the strength that is best on dev.

        Labels are class indices 0 .. classes - 1.
        """
        self.classes_ = np.arange(int(y.max()) + 1)
        vectors = torch.tensor(X, device=self.device)
        mean, scale = standardise(vectors)
        problem = NetworkProblem(vectors, torch.tensor(y, device=self.device), self.strengths, self.n_hidden)
        solution = minimise(
            problem, problem.start(self.seed), tolerance=self.tolerance, max_iterations=self.max_iterations
        )
        dev = (torch.tensor(X_dev, device=self.device) - mean.unsqueeze(1)) / scale.unsqueeze(1)
        truth = torch.tensor(y_dev, device=self.device)
        n_layers, n_strengths = len(X), len(self.strengths)
        points = solution.points.view(n_layers, n_strengths, -1)
        hits = [(problem.run(points[layer], dev[layer]).argmax(dim=2) == truth) for layer in range(n_layers)]
        self.dev_scores_ = torch.stack(hits).double().mean(dim=2).cpu().numpy()
        chosen = [choose_strength(row, self.strengths) for row in self.dev_scores_]
        self.strength_ = np.array([self.strengths[number] for number in chosen])
        self.n_hidden_ = np.full(n_layers, self.n_hidden)
        self.converged_ = solution.converged.view(n_layers, -1).cpu().numpy()[np.arange(n_layers), chosen]
        self.points_ = points[torch.arange(n_layers), torch.tensor(chosen)]
        self.mean_, self.scale_ = mean.cpu().numpy(), scale.cpu().numpy()
        self._shape = (X.shape[2], self.n_hidden, len(self.classes_))
        return self

    def read(self, X: Float[np.ndarray, "layers sentences hidden"]) -> Iterator[Float[np.ndarray, "sentences classes"]]:
        """Log probabilities (nats) of each class, layer by layer."""
        for layer, vectors in enumerate(X):
            scaled = torch.tensor((vectors - self.mean_[layer]) / self.scale_[layer], device=self.device)
            parts = split_point(self.points_[layer : layer + 1], *self._shape)
            yield run_network(parts, scaled)[0].log_softmax(dim=1).cpu().numpy()


class NetworkProblem:
    """The penalised losses of all layers and strengths; problem number = layer * strengths + strength.

    Args:
        vectors: standardised.
        labels: class indices.
        strengths: L2 strengths.
        n_hidden: hidden units.
    """

    def __init__(
        self,
        vectors: Float[Tensor, "layers sentences hidden"],
        labels: Int[Tensor, " sentences"],
        strengths: Sequence[float],
        n_hidden: int,
    ):
        self.vectors, self.labels = vectors, labels
        self.strengths = torch.tensor(strengths, dtype=vectors.dtype, device=vectors.device)
        self.shape = (vectors.shape[2], n_hidden, int(labels.max()) + 1)

    def start(self, seed: int) -> Float[Tensor, "problems parameters"]:
        """The same start for every problem."""
        width, n_hidden, n_classes = self.shape
        inner = stream(seed, "mlp").normal(scale=width**-0.5, size=width * n_hidden)
        outer = np.zeros(n_hidden + (n_hidden + 1) * n_classes)
        point = torch.from_numpy(np.concatenate([inner, outer])).to(self.vectors)
        return point.repeat(len(self.vectors) * len(self.strengths), 1)

    def run(
        self, points: Float[Tensor, "strengths parameters"], vectors: Float[Tensor, "sentences hidden"]
    ) -> Float[Tensor, "strengths sentences classes"]:
        """Logits of one layer's networks."""
        return run_network(split_point(points, *self.shape), vectors)

    def __call__(
        self, points: Float[Tensor, "active parameters"], numbers: Int[Tensor, " active"]
    ) -> tuple[Float[Tensor, " active"], Float[Tensor, "active parameters"]]:
        """Loss and gradient of some of the problems."""
        losses, gradients = torch.empty_like(points[:, 0]), torch.empty_like(points)
        layers, strengths = numbers // len(self.strengths), numbers % len(self.strengths)
        for layer in layers.unique().tolist():
            chosen = (layers == layer).nonzero().squeeze(1)
            losses[chosen], gradients[chosen] = self._evaluate(layer, strengths[chosen], points[chosen])
        return losses, gradients

    def _evaluate(self, layer: int, strengths: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        points = points.detach().requires_grad_(True)
        parts = split_point(points, *self.shape)
        squares = sum(part.square().sum(dim=(1, 2)) for part in (parts[0], parts[2]))
        losses = 0.5 * self.strengths[strengths] * squares
        (gradients,) = torch.autograd.grad(losses.sum(), points)
        losses = losses.detach()
        n = len(self.labels)
        for start in range(0, n, _BLOCK):
            rows = slice(start, start + _BLOCK)
            logits = run_network(split_point(points, *self.shape), self.vectors[layer, rows])
            labels = self.labels[rows].expand(len(points), -1)
            part = F.cross_entropy(logits.transpose(1, 2), labels, reduction="none").sum(dim=1) / n
            gradients = gradients + torch.autograd.grad(part.sum(), points)[0]
            losses = losses + part.detach()
        return losses, gradients


def split_point(points: Float[Tensor, "problems parameters"], width: int, n_hidden: int, n_classes: int):
    """Weights and offsets of the hidden layer, then of the classes, as views of the points."""
    sizes = [width * n_hidden, n_hidden, n_hidden * n_classes, n_classes]
    inner, offset, outer, intercept = points.split(sizes, dim=1)
    return (
        inner.view(-1, width, n_hidden),
        offset.unsqueeze(1),
        outer.view(-1, n_hidden, n_classes),
        intercept.unsqueeze(1),
    )


def run_network(
    parts: tuple[Tensor, Tensor, Tensor, Tensor], vectors: Float[Tensor, "sentences hidden"]
) -> Float[Tensor, "problems sentences classes"]:
    """Logits of several networks that read the same vectors."""
    inner, offset, outer, intercept = parts
    hidden = torch.tanh(vectors @ inner + offset)
    return torch.baddbmm(intercept, hidden, outer)
