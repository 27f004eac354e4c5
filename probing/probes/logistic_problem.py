"""The losses of linear probes at several strengths, with their gradients: what the solver is given.

The formula is that of `probing.probes.linear`. Points are in principal directions, each scaled by its curvature at the
start, so that the solver needs ten to a hundred passes over the vectors, for all strengths.
"""

from collections.abc import Sequence
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from probing.probes.fused import MANY_CLASSES, Sums, can_fuse, find_turn, fuse_loss
from probing.probes.logistic import (
    Labels,
    block_rows,
    count_classes,
    curvature,
    eigenbasis,
    multiply_by_itself,
    softmax_loss,
    standardise,
)
from probing.probes.solver import Solution, minimise, minimise_in_turn

_FEW_CLASSES = 2
"""Up to here a fit takes some fifteen evaluations; with more classes up to ten times as many."""
ENOUGH_ROWS = 8
"""Sentences for each dimension that give its principal directions well enough to solve in."""


class LogisticProblem:
    """The penalised losses of all layers and strengths, in the solver's coordinates.

    A point holds, for one layer and strength, `classes x (hidden + 1)` numbers: weights along the principal
    directions, each divided by the root of its curvature, and the intercept.

    Args:
        vectors: standardised in place, and with more than two classes turned into principal directions; left as they
            are where `prepared`.
        labels: class indices.
        strengths: L2 strengths.
        prepared: whether the vectors are standardised already.
    """

    def __init__(
        self,
        vectors: Float[Tensor, "layers sentences hidden"],
        labels: Labels,
        strengths: Sequence[float],
        prepared: bool = False,
    ):
        self.labels, self.n_classes = labels, count_classes(labels)
        self.strengths = torch.tensor(strengths, dtype=vectors.dtype, device=vectors.device)
        if not prepared:
            self.mean, self.scale = standardise(vectors)
        # Features of an encoder are correlated; along their principal directions the loss is nearly round, which spares
        # the solver many steps. The penalty does not mind a rotation, and some of the sentences give it well enough.
        some = vectors[:, :: max(1, len(labels) // (ENOUGH_ROWS * vectors.shape[2]))]
        gram = torch.stack([multiply_by_itself(layer) for layer in some]) / some.shape[1]
        self.eigenvalues, self.basis = eigenbasis(gram, exactly=False)
        # A fit of few evaluations costs less where weights are turned in each, in place of all vectors once.
        self.turns_weights = prepared or self.n_classes <= _FEW_CLASSES
        if not self.turns_weights:
            for layer, basis in zip(vectors, self.basis, strict=True):
                layer.copy_(layer @ basis)
        self.vectors = vectors
        # Each direction is stretched by the root of its curvature: a step of 1 then means the same in all of them.
        self.root = curvature(self.eigenvalues, self.strengths, self.n_classes).rsqrt()
        self._fused: list[Sums] = []
        """The kernels of each layer, where they can be had. Nothing here refers back to the problem: a circle of
        references would keep its vectors in memory until Python looks for circles."""

    def solve(self, tolerance: float, max_iterations: int, begin: tuple[Tensor, Tensor] | None = None) -> Solution:
        """Minimise from the even guess, or from weights and intercepts as `unpack` gives them."""
        n_problems = self.root.shape[0] * self.root.shape[1]
        n_parameters = self.n_classes * (self.root.shape[2] + 1)
        start = torch.zeros(n_problems, n_parameters, dtype=self.root.dtype, device=self.root.device)
        if not self._fused and can_fuse(self.vectors, self.labels, tolerance):
            everything = slice(0, len(self.labels))
            self._fused = [fuse_loss([(everything, layer)], layer.shape[1], self.labels) for layer in self.vectors]
        if begin is not None:
            reference = self._measure_steepness(start)
            options = {"tolerance": tolerance, "max_iterations": max_iterations, "reference": reference}
            return minimise(self, self._pack(*begin), **options)
        # With few classes a pass is bound by reading the vectors, which all strengths share.
        if self.n_classes < (find_turn() if self._fused else MANY_CLASSES):
            return minimise(self, start, tolerance=tolerance, max_iterations=max_iterations)
        turns = list(torch.arange(n_problems, device=start.device).view(-1, len(self.strengths)).unbind(1))
        return minimise_in_turn(self, start, turns, self._carry, tolerance=tolerance, max_iterations=max_iterations)

    def _measure_steepness(self, start: Float[Tensor, "problems parameters"]) -> Float[Tensor, " problems"]:
        """The largest component of each gradient at the even guess, which the tolerance is a share of."""
        return self(start, torch.arange(len(start)))[1].abs().amax(dim=1)

    def _carry(self, points: Tensor, before: Tensor, numbers: Tensor) -> Tensor:
        """The same weights in the coordinates of other strengths."""
        hidden = self.root.shape[2]
        roots = self.root.view(-1, hidden)
        carried = points.view(len(points), self.n_classes, hidden + 1).clone()
        carried[..., :hidden] *= (roots[before] / roots[numbers]).unsqueeze(1)
        return carried.view_as(points)

    def unpack(
        self, solution: Solution
    ) -> tuple[Float[Tensor, "layers strengths classes hidden"], Float[Tensor, "layers strengths classes"]]:
        """Weights on the standardised vectors, and intercepts."""
        n_layers, n_strengths, hidden = self.root.shape
        points = solution.points.view(n_layers, n_strengths, self.n_classes, hidden + 1)
        weights = points[..., :hidden] * self.root.unsqueeze(2)
        return torch.einsum("lkch,lgh->lkcg", weights, self.basis), points[..., hidden] * self._intercept_root

    def _pack(self, weights: Tensor, intercepts: Tensor) -> Float[Tensor, "problems parameters"]:
        turned = torch.einsum("lkcg,lgh->lkch", weights, self.basis) / self.root.unsqueeze(2)
        return torch.cat([turned, (intercepts / self._intercept_root).unsqueeze(3)], dim=3).flatten(2).flatten(0, 1)

    def __call__(
        self, points: Float[Tensor, "active parameters"], numbers: Int[Tensor, " active"]
    ) -> tuple[Float[Tensor, " active"], Float[Tensor, "active parameters"]]:
        """Loss and gradient of some of the problems; number = layer * strengths + strength."""
        layers, strengths = numbers // len(self.strengths), numbers % len(self.strengths)
        losses, gradients = torch.empty_like(points[:, 0]), torch.empty_like(points)
        # All strengths of a layer in one pass: its vectors are read once.
        for layer in layers.unique().tolist():
            chosen = (layers == layer).nonzero().squeeze(1)
            losses[chosen], gradients[chosen] = self._evaluate(layer, strengths[chosen], points[chosen])
        return losses, gradients

    @property
    def _intercept_root(self) -> float:
        return self.n_classes**0.5

    def _evaluate(self, layer: int, strengths: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        n, hidden = len(self.labels), self.root.shape[2]
        root, penalty = self.root[layer, strengths].unsqueeze(1), self.strengths[strengths]
        points = points.view(len(points), self.n_classes, hidden + 1)
        weights = points[..., :hidden] * root
        flat = weights.reshape(-1, hidden)
        flat, intercepts = (
            flat @ self.basis[layer].T if self.turns_weights else flat,
            (points[..., hidden] * self._intercept_root).reshape(-1),
        )
        add_up = self._fused[layer] if self._fused else partial(self._add_up, layer)
        sums, slopes, intercept_slopes = add_up(flat, intercepts)
        slopes = slopes @ self.basis[layer] if self.turns_weights else slopes
        losses = sums / n + 0.5 * penalty * weights.square().sum(dim=(1, 2))
        gradients = torch.empty_like(points)
        gradients[..., :hidden] = (slopes.view_as(weights) / n + penalty.view(-1, 1, 1) * weights) * root
        gradients[..., hidden] = intercept_slopes.view(len(points), -1) * (self._intercept_root / n)
        return losses, gradients.view(len(points), -1)

    def _add_up(self, layer: int, flat: Tensor, intercepts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Sums over sentences of the loss of each problem, and of its slopes by weights and by intercepts."""
        vectors = self.vectors[layer]
        losses = flat.new_zeros(len(flat) // self.n_classes)
        slopes, intercept_slopes = torch.zeros_like(flat), torch.zeros_like(intercepts)
        # Logits of a block stay in the caches until the slopes have used them.
        size = block_rows(len(flat))
        for start in range(0, len(vectors), size):
            block = vectors[start : start + size]
            logits = torch.addmm(intercepts.unsqueeze(1), flat, block.T).view(len(losses), -1, len(block))
            sums, residuals = softmax_loss(logits.permute(2, 0, 1), self.labels[start : start + size])
            residuals = residuals.permute(1, 2, 0).view(-1, len(block))
            losses += sums
            slopes.addmm_(residuals, block)
            intercept_slopes += residuals.sum(dim=1)
        return losses, slopes, intercept_slopes
