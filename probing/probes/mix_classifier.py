"""The classifier of a mixed probe for layer weights that are given: convex, and read from the mixed vectors alone."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from probing.probes.logistic import softmax_loss
from probing.probes.mix_problem import MixProblem
from probing.probes.solver import Solution, minimise

ROWS = 1024
"""Sentences of a block."""
_MOST_SOLVED = 25
_SOLVED = 0.2
"""Conjugate gradients end when what is left of the right-hand sides is this share."""
_LEAST = 1e-30


class MixClassifier:
    """Loss, gradient and Hessian by the classifier of one strength, in the solver's coordinates.

    A classifier is `classes x (hidden + 1)` numbers: weights along the principal directions of the even mix, each
    divided by the root of its curvature, and the intercept.

    Args:
        problem: that has the labels, coordinates and strengths.
        number: of the strength.
        mixed: the standardised mix.
    """

    def __init__(self, problem: MixProblem, number: int, mixed: Float[Tensor, "sentences hidden"]):
        self.mixed, self.labels, self.n_classes = mixed, problem.labels, problem.n_classes
        self.basis, self.root, self.strength = problem.basis, problem.root[number], float(problem.strengths[number])
        self.reference = problem.steepness[number].reshape(1)
        self.counts = None if problem.counts is None else problem.counts[number]
        self._scale = self.n_classes**0.5

    def pack(self, weights: Float[Tensor, "*many hidden"], intercepts: Float[Tensor, " *many"]) -> Tensor:
        """A gradient by weights and intercepts in the solver's coordinates."""
        return torch.cat([weights @ self.basis * self.root, intercepts.unsqueeze(-1) * self._scale], dim=-1)

    def unpack(self, classifiers: Float[Tensor, "*many width"]) -> tuple[Tensor, Tensor]:
        """Weights on the standardised mix, and intercepts."""
        return classifiers[..., :-1] * self.root @ self.basis.T, classifiers[..., -1] * self._scale

    def solve(
        self,
        weights: Float[Tensor, "classes hidden"],
        intercepts: Float[Tensor, " classes"],
        tolerance: float,
        max_iterations: int,
    ) -> Solution:
        """The minimum, from a classifier on; points as `unpack` takes them."""
        slopes = weights @ self.basis / self.root
        point = torch.cat([slopes, intercepts.unsqueeze(1) / self._scale], dim=1).view(1, -1)
        options = {"tolerance": tolerance, "max_iterations": max_iterations, "reference": self.reference}
        return minimise(self._evaluate, point, **options)

    def compare(self, rows: slice, logits: Float[Tensor, "classes block"]) -> tuple[Tensor, Tensor]:
        """The loss of some sentences, summed up, and its gradient by their logits."""
        counts = None if self.counts is None else self.counts[rows].unsqueeze(1)
        sums, residuals = softmax_loss(logits.T.unsqueeze(1), self.labels[rows], counts)
        return sums, residuals.squeeze(1).T

    def bend(
        self, rows: slice, shares: Float[Tensor, "classes block"], logits: Float[Tensor, "many classes block"]
    ) -> Float[Tensor, "many classes block"]:
        """The Hessian of the loss by the logits, where the classes have these shares, times some logits."""
        weighed = shares * logits
        bent = torch.addcmul(weighed, shares, weighed.sum(dim=1, keepdim=True), value=-1)
        return bent if self.counts is None else bent * self.counts[rows]

    def invert(
        self,
        shares: Float[Tensor, "classes sentences"],
        weights: Float[Tensor, "many classes hidden"],
        intercepts: Float[Tensor, "many classes"],
    ) -> tuple[Float[Tensor, "many classes hidden"], Float[Tensor, "many classes"]]:
        """The inverse of the Hessian, times some gradients: by conjugate gradients, all side by side."""
        left = self.pack(weights, intercepts)
        solved, direction, size = torch.zeros_like(left), left.clone(), left.square().sum(dim=(1, 2))
        enough = _SOLVED**2 * size
        for _ in range(_MOST_SOLVED):
            applied = self._apply(shares, direction)
            length = size / (direction * applied).sum(dim=(1, 2)).clamp_min(_LEAST)
            solved += length.view(-1, 1, 1) * direction
            left -= length.view(-1, 1, 1) * applied
            before, size = size, left.square().sum(dim=(1, 2))
            if bool((size <= enough).all()):
                break
            direction = left + (size / before.clamp_min(_LEAST)).view(-1, 1, 1) * direction
        return self.unpack(solved)

    def _evaluate(self, points: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
        weights, intercepts = self.unpack(points.view(self.n_classes, -1))
        losses, slopes, by_intercepts = points.new_zeros(1), torch.zeros_like(weights), torch.zeros_like(intercepts)
        for rows, mixed in self._blocks():
            sums, residuals = self.compare(rows, torch.addmm(intercepts.unsqueeze(1), weights, mixed.T))
            losses += sums
            slopes.addmm_(residuals, mixed)
            by_intercepts += residuals.sum(dim=1)
        n = len(self.labels)
        losses = losses / n + 0.5 * self.strength * weights.square().sum()
        return losses, self.pack(slopes / n + self.strength * weights, by_intercepts / n).view(1, -1)

    def _apply(self, shares: Tensor, classifiers: Float[Tensor, "many classes width"]) -> Tensor:
        weights, intercepts = self.unpack(classifiers)
        flat, sums, by_intercepts = weights.flatten(0, 1), torch.zeros_like(weights), torch.zeros_like(intercepts)
        for rows, mixed in self._blocks():
            logits = torch.addmm(intercepts.reshape(-1, 1), flat, mixed.T)
            bent = self.bend(rows, shares[:, rows], logits.view(*intercepts.shape, -1))
            sums.view_as(flat).addmm_(bent.flatten(0, 1), mixed)
            by_intercepts += bent.sum(dim=2)
        n = len(self.labels)
        return self.pack(sums / n + self.strength * weights, by_intercepts / n)

    def _blocks(self) -> Iterator[tuple[slice, Float[Tensor, "block hidden"]]]:
        for start in range(0, len(self.mixed), ROWS):
            rows = slice(start, start + ROWS)
            yield rows, self.mixed[rows]
