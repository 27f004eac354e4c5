"""One linear probe fitted many times, each time on vectors from which something else has been erased.

An erasure takes u to u - L R u (see `probing.scores.leace`), which is standardised anew, D^-1 (u - L R u). A probe with
weights w on that has the weights

    v - R' (L' v),    v = D^-1 w

on the vectors as they were: so the vectors stay where they are, all erasures share each pass over them, and only
weights and slopes are mapped. The penalty is (lambda / 2) ||w||^2, as of any linear probe on the erased vectors. The
solver works in v: in the coordinates in which the vectors are white the erasure is nearly an orthogonal projection, and
the loss nearly as round as without it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from probing.probes.logistic import Labels
from probing.probes.logistic_problem import LogisticProblem

Erasure = tuple[Float[np.ndarray, "hidden _rank"], Float[np.ndarray, "_rank hidden"]]
"""L and R of the formula, on vectors as an encoder gives them."""
TOLERANCE = 5e-3
"""Share of the gradient at the even guess that may be left. Ours: looser than a probe's own, since accuracies settle
before weights do, and the probes begin where the one without erasure ended."""
_MOST_ITERATIONS = 300
_LEAST_VARIANCE = 1e-6
"""Variance of a feature, of 1 before, below which it counts as erased, and is not standardised again."""


@dataclass(frozen=True)
class Starting:
    """A fitted linear probe of one readout, which the others begin at."""

    mean: Float[np.ndarray, " hidden"]
    scale: Float[np.ndarray, " hidden"]
    coef: Float[np.ndarray, "classes hidden"]
    intercept: Float[np.ndarray, " classes"]
    strength: float


@dataclass(frozen=True)
class ErasedProbes:
    """Probes of one readout, one for each erasure."""

    start: Starting
    coef: Float[np.ndarray, "erasures classes hidden"]
    """On the vectors as they were, standardised."""
    intercept: Float[np.ndarray, "erasures classes"]
    converged: Bool[np.ndarray, " erasures"]

    def read(self, X: Float[np.ndarray, "sentences hidden"]) -> list[Float[np.ndarray, "sentences classes"]]:
        """Log probabilities (nats) of each class, erasure by erasure."""
        scaled = torch.from_numpy((X - self.start.mean) / self.start.scale)
        pairs = zip(torch.from_numpy(self.coef), torch.from_numpy(self.intercept), strict=True)
        return [torch.addmm(bias, scaled, weights.T).log_softmax(dim=1).numpy() for weights, bias in pairs]


def fit_erased(
    X: Float[np.ndarray, "sentences hidden"],
    y: Int[np.ndarray, " sentences"] | Float[np.ndarray, "sentences classes"],
    start: Starting,
    erasures: Sequence[Erasure],
    device: str = "cpu",
) -> ErasedProbes:
    """Fit the probe again on the vectors without each of some things, at the strength that it has.

    Args:
        X: the training vectors, with everything in them.
        y: their labels, as the probe was given them.
        start: the probe.
        erasures: what is taken away.
        device: where to compute.
    """
    mean, scale = (torch.as_tensor(part, device=device) for part in (start.mean, start.scale))
    vectors = torch.as_tensor(X, device=device).sub(mean).div_(scale)
    problem = _ErasedProblem(vectors, torch.as_tensor(y, device=device), start, erasures)
    coef, intercept = (torch.as_tensor(part, device=device) for part in (start.coef, start.intercept))
    begin = [part.expand(1, len(erasures), *part.shape) for part in (coef, intercept)]
    solution = problem.solve(TOLERANCE, _MOST_ITERATIONS, (begin[0], begin[1]))
    weights, intercepts = problem.unpack(solution)
    seen = problem.see(weights[0], torch.arange(len(erasures)))
    return ErasedProbes(start, seen.cpu().numpy(), intercepts[0].cpu().numpy(), solution.converged.cpu().numpy())


class _ErasedProblem(LogisticProblem):
    """The losses of one readout under each erasure; what `unpack` gives is v of the module's formula."""

    def __init__(self, vectors: Tensor, labels: Labels, start: Starting, erasures: Sequence[Erasure]):
        super().__init__(vectors[None], labels, [start.strength] * len(erasures), prepared=True)
        gram = (vectors.T.double() @ vectors.double() / len(vectors)).cpu().numpy()
        maps = [(left / start.scale[:, None], right * start.scale) for left, right in erasures]
        variances = np.stack([_measure_rest(gram, left, right) for left, right in maps])
        self.maps = [tuple(torch.as_tensor(part).to(vectors) for part in one) for one in maps]
        self.variances = torch.as_tensor(np.where(variances > _LEAST_VARIANCE, variances, 1.0)).to(vectors)

    def see(self, weights: Float[Tensor, "some classes hidden"], numbers: Int[Tensor, " some"]) -> Tensor:
        """Weights on the vectors as they were, from v."""
        pairs = zip(weights, numbers.tolist(), strict=True)
        return torch.stack([own - own @ self.maps[number][0] @ self.maps[number][1] for own, number in pairs])

    def _see_slopes(self, slopes: Float[Tensor, "some classes hidden"], numbers: Int[Tensor, " some"]) -> Tensor:
        pairs = zip(slopes, numbers.tolist(), strict=True)
        return torch.stack([own - own @ self.maps[number][1].T @ self.maps[number][0].T for own, number in pairs])

    def _pack(self, weights: Tensor, intercepts: Tensor) -> Float[Tensor, "problems parameters"]:
        """Points to begin at: the weights of the probe or, where their loss is higher, none."""
        points = super()._pack(weights, intercepts)
        nothing, numbers = torch.zeros_like(points), torch.arange(len(points))
        helps = self(points, numbers)[0] <= self(nothing, numbers)[0]
        return torch.where(helps.unsqueeze(1), points, nothing)

    def _measure_steepness(self, start: Float[Tensor, "problems parameters"]) -> Float[Tensor, " problems"]:
        """The steepest of all, for each: where a property is gone, its own gradient is 0 from the beginning."""
        own = super()._measure_steepness(start)
        return own.max().expand_as(own)

    def _evaluate(self, layer: int, strengths: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        n, hidden = self.vectors[layer].shape
        root, basis = self.root[layer, strengths].unsqueeze(1), self.basis[layer]
        points = points.view(len(points), self.n_classes, hidden + 1)
        weights = (points[..., :hidden] * root) @ basis.T
        flat = self.see(weights, strengths).reshape(-1, hidden)
        add_up = self._fused[layer] if self._fused else self._add_up_layer(layer)
        sums, slopes, intercept_slopes = add_up(flat, (points[..., hidden] * self._intercept_root).reshape(-1))
        pull = self.strengths[strengths].view(-1, 1, 1) * self.variances[strengths].unsqueeze(1) * weights
        losses = sums / n + 0.5 * (pull * weights).sum(dim=(1, 2))
        gradients = torch.empty_like(points)
        own = self._see_slopes(slopes.view_as(weights) / n, strengths) + pull
        gradients[..., :hidden] = (own @ basis) * root
        gradients[..., hidden] = intercept_slopes.view(len(points), -1) * (self._intercept_root / n)
        return losses, gradients.view(len(points), -1)

    def _add_up_layer(self, layer: int):
        return lambda flat, intercepts: self._add_up(layer, flat, intercepts)


def _measure_rest(gram: np.ndarray, left: np.ndarray, right: np.ndarray) -> Float[np.ndarray, " hidden"]:
    """The variance of each feature after erasure: the diagonal of (I - LR) S (I - LR)'."""
    crossed = gram @ right.T
    return np.diag(gram) - 2 * (left * crossed).sum(axis=1) + (left @ (right @ crossed) * left).sum(axis=1)
