"""The scalar-mix probe: layer weights, scale and classifier learned jointly on the cached stack.

For each strength lambda, with the states h_li of layer l and sentence i (BERMo, arXiv 2110.15802, after ELMo, arXiv
1802.05365, eq. 1):

    z_i = standardise( sum_l s_l h_li ),   s = softmax(w)
    min_{w, W, b}  (1/N) sum_i [ logsumexp_c(W_c . z_i + b_c) - (W_{y_i} . z_i + b_{y_i}) ]  +  (lambda / 2) ||W||^2

The states are mixed as they are, and the mix is standardised by its own training mean and deviation, which follow the
weights exactly (through the covariances between layers). So a mix with all its weight on one layer is that layer's
linear probe, to the letter: the mix can only lose to a single layer by optimisation or by overfitting. The weights w
are not penalised.

Behind a linear classifier, the scale of the mix and the length of the classifier's weights are one number: it is given
as gamma, the classifier taken at unit length, logits = gamma * V . (sum_l s_l h_l) + b', mean_c ||V_c||^2 = 1.

The loss is not convex in w. It starts at equal weights, moved a little by the seed, so that several seeds show how much
the start matters.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from probing.probes.linear import MANY_CLASSES, STRENGTHS, score_strengths
from probing.probes.logistic import Labels, block_rows, count_classes, curvature, eigenbasis, softmax_loss
from probing.probes.reading import Reader
from probing.probes.selection import choose_strength
from probing.probes.solver import Solution, minimise, minimise_in_turn
from probing.randomness import stream
from probing.scalar_mix import mix_layers

_START_NOISE = 0.1
_MIX_RATE = 3.0
"""How far the solver moves w where it would move a weight of the classifier by 1: the mix's own learning rate."""
_MIXED_SHARE = 4
"""A mixed vector counts as this share (1/4) of its width when blocks are cut."""
_SUMMED_ROWS = 1024
"""Sentences whose products are summed up at a time: they then stay in the caches, and take no memory."""


class ScalarMixProbe(Reader):
    """One linear probe on the learned mix of all layers: a single reading.

    Args:
        strengths: L2 strengths (lambda above); the best on dev is kept, and of equals the strongest.
        tolerance: a probe has converged when the largest component of its gradient is this share of what it was.
        max_iterations: after which it is given up, and `converged_` says so.
        norm: whether every vector is brought to mean 0 and variance 1 over its units before it is mixed, so that no
            layer counts for more by being longer. Ours: no, as ELMo and BERMo's text have it.
        copy_X: whether `fit` leaves the training vectors as they are, at the price of a second set of them.
        seed: of the start.
        device: where to compute.
    """

    takes_scores = True
    """Whether it learns class probabilities too, as graded tasks have them."""

    def __init__(
        self,
        strengths: Sequence[float] = STRENGTHS,
        tolerance: float = 1e-3,
        max_iterations: int = 300,
        norm: bool = False,
        copy_X: bool = True,
        seed: int = 0,
        device: str = "cpu",
    ):
        self.strengths = strengths
        self.tolerance = tolerance
        self.max_iterations = max_iterations
        self.norm = norm
        self.copy_X = copy_X
        self.seed = seed
        self.device = device

    def fit(
        self,
        X: Float[np.ndarray, "layers sentences hidden"],
        y: Int[np.ndarray, " sentences"] | Float[np.ndarray, "sentences classes"],
        X_dev: Float[np.ndarray, "layers dev hidden"],
        y_dev: Int[np.ndarray, " dev"] | Float[np.ndarray, "dev classes"],
    ) -> "ScalarMixProbe":
        """Fit at every strength, and keep the strength that is best on dev.

        Labels are class indices 0 .. classes - 1 or, in a graded task, the probability of each class.
        """
        X = X.copy() if self.copy_X else X
        if self.norm:
            X_dev = normalise(X_dev)
            for layer in range(len(X)):
                X[layer : layer + 1] = normalise(X[layer : layer + 1])
        self.lengths_ = measure_lengths(X)
        vectors = torch.as_tensor(X, device=self.device)
        problem = MixProblem(vectors, torch.tensor(y, device=self.device), self.strengths)
        solution = problem.solve(draw_start(self.seed, len(X)), self.tolerance, self.max_iterations)
        logits, weights, intercepts = problem.unpack(solution.points)
        means, deviations = problem.moments(logits.softmax(dim=1))
        dev = torch.as_tensor(X_dev, device=self.device)
        labels = torch.tensor(y_dev, device=self.device)
        self.dev_scores_ = np.empty(len(self.strengths))
        for number, row in enumerate(logits.softmax(dim=1)):
            scaled = (mix_layers(dev, row) - means[number]) / deviations[number]
            one = slice(number, number + 1)
            self.dev_scores_[number] = score_strengths(scaled, weights[one], intercepts[one], labels)[0]
        self._keep(choose_strength(self.dev_scores_, self.strengths), problem, solution)
        return self

    def _keep(self, best: int, problem: "MixProblem", solution: Solution) -> None:
        logits, weights, intercepts = (part[best : best + 1] for part in problem.unpack(solution.points))
        means, deviations = problem.moments(logits.softmax(dim=1))
        self.classes_ = np.arange(problem.n_classes)
        self.strength_ = self.strengths[best]
        self.converged_ = bool(solution.converged[best])
        self.loss_ = float(solution.losses[best])
        self.n_iterations_ = solution.n_iterations
        raw = (weights / deviations.unsqueeze(1))[0]
        self.gamma_ = float(raw.square().sum(dim=1).mean().sqrt())
        self.logits_ = logits[0].cpu().numpy()
        self.weights_ = logits[0].softmax(dim=0).cpu().numpy()
        self.mean_, self.scale_ = means[0].cpu().numpy(), deviations[0].cpu().numpy()
        self.coef_, self.intercept_ = weights[0].cpu().numpy(), intercepts[0].cpu().numpy()
        self.contribution_ = compute_contribution(self.weights_, self.lengths_)

    def read(self, X: Float[np.ndarray, "layers sentences hidden"]) -> Iterator[Float[np.ndarray, "sentences classes"]]:
        """Log probabilities (nats) of each class: one reading."""
        mixed = np.tensordot(self.weights_, normalise(X) if self.norm else X, axes=1)
        logits = torch.from_numpy((mixed - self.mean_) / self.scale_ @ self.coef_.T + self.intercept_)
        yield logits.log_softmax(dim=1).numpy()


class MixProblem:
    """The penalised losses of all strengths, in the solver's coordinates.

    A point holds `classes x (hidden + 1)` numbers as in the linear probe, the principal directions being those of the
    even mix, and then one number per layer.

    Args:
        vectors: centred in place.
        labels: class indices, or probabilities.
        strengths: L2 strengths, one for each problem.
        counts: how often each sentence counts in each problem's loss; none: once. The deviations that the mix is
            brought to stay those of all sentences once.
    """

    def __init__(
        self,
        vectors: Float[Tensor, "layers sentences hidden"],
        labels: Labels,
        strengths: Sequence[float],
        counts: Float[Tensor, "problems sentences"] | None = None,
    ):
        self.vectors, self.labels, self.counts = vectors, labels, counts
        self.n_classes = count_classes(labels)
        self.strengths = torch.tensor(strengths, dtype=vectors.dtype, device=vectors.device)
        # Centred first: features far from 0 would lose their digits in every sum of squares and products.
        self.mean = vectors.mean(dim=1)
        vectors -= self.mean.unsqueeze(1)
        self.covariance = compute_covariance(vectors)
        even = torch.full((1, len(vectors)), 1 / len(vectors), dtype=vectors.dtype, device=vectors.device)
        _, deviation = self.moments(even)
        gram = vectors.new_zeros(vectors.shape[2], vectors.shape[2])
        for block in vectors.split(_SUMMED_ROWS, dim=1):
            mixed = mix_layers(block, even[0]) / deviation
            gram.addmm_(mixed.T, mixed)
        eigenvalues, self.basis = eigenbasis(gram / len(labels))
        self.root = curvature(eigenvalues, self.strengths, self.n_classes).rsqrt()

    def moments(
        self, weights: Float[Tensor, "mixes layers"]
    ) -> tuple[Float[Tensor, "mixes hidden"], Float[Tensor, "mixes hidden"]]:
        """Mean and standard deviation of some mixes over the training sentences; a deviation of 0 is given as 1."""
        variance = torch.einsum("ml,mk,lkh->mh", weights, weights, self.covariance)
        mean = weights @ self.mean
        varies = variance > 1e-12 * (1 + mean.abs()).square()
        return mean, torch.where(varies, variance, torch.ones_like(variance)).sqrt()

    def start(self, noise: Float[np.ndarray, " layers"]) -> Float[Tensor, "problems parameters"]:
        """The even guess and nearly even weights."""
        start = torch.zeros(len(self.strengths), self.n_classes * (len(self.basis) + 1) + len(self.vectors))
        start[:, -len(self.vectors) :] = torch.from_numpy(noise) / _MIX_RATE
        return start.to(self.root)

    def solve(self, noise: np.ndarray, tolerance: float, max_iterations: int) -> Solution:
        """Minimise from the even guess and nearly even weights."""
        start = self.start(noise)
        if self.n_classes < MANY_CLASSES:
            return minimise(self, start, tolerance=tolerance, max_iterations=max_iterations)
        turns = list(torch.arange(len(start), device=start.device).split(1))
        return minimise_in_turn(self, start, turns, self._carry, tolerance=tolerance, max_iterations=max_iterations)

    def _carry(self, points: Tensor, before: Tensor, numbers: Tensor) -> Tensor:
        """The same weights and the same mix in the coordinates of another strength."""
        carried = points.clone()
        slopes, _, _ = self._split(carried)
        slopes *= (self.root[before] / self.root[numbers]).unsqueeze(1)
        return carried

    def unpack(
        self, points: Float[Tensor, "problems parameters"]
    ) -> tuple[
        Float[Tensor, "problems layers"], Float[Tensor, "problems classes hidden"], Float[Tensor, "problems classes"]
    ]:
        """Layer weights before softmax, classifier weights on the standardised mix, intercepts."""
        slopes, intercepts, logits = self._split(points)
        weights = slopes * self.root[: len(points)].unsqueeze(1)
        return logits * _MIX_RATE, weights @ self.basis.T, intercepts * self.n_classes**0.5

    def _split(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        classifier = points[:, : -len(self.vectors)].view(len(points), self.n_classes, -1)
        return classifier[..., :-1], classifier[..., -1], points[:, -len(self.vectors) :]

    def __call__(
        self, points: Float[Tensor, "active parameters"], numbers: Int[Tensor, " active"]
    ) -> tuple[Float[Tensor, " active"], Float[Tensor, "active parameters"]]:
        """Loss and gradient of the problems of some strengths."""
        root, penalty = self.root[numbers].unsqueeze(1), self.strengths[numbers].view(-1, 1, 1)
        slopes, intercepts, logits = self._split(points)
        weights = slopes * root @ self.basis.T
        mix = (logits * _MIX_RATE).softmax(dim=1)
        _, deviation = self.moments(mix)
        scaled = weights / deviation.unsqueeze(1)
        losses, by_scaled, by_intercepts, by_mix = self._pass(numbers, mix, scaled, intercepts * self.n_classes**0.5)
        losses += 0.5 * (penalty * weights.square()).sum(dim=(1, 2))
        # The deviation follows the mix: d deviation_h / d s_l = (sum_k s_k Cov_lkh) / deviation_h.
        by_deviation = -(by_scaled * scaled).sum(dim=1) / deviation.square()
        by_mix += torch.einsum("mh,mk,lkh->ml", by_deviation, mix, self.covariance)
        by_logits = mix * (by_mix - (mix * by_mix).sum(dim=1, keepdim=True))
        gradients = torch.empty_like(points)
        by_slopes, into_intercepts, into_logits = self._split(gradients)
        by_slopes.copy_((by_scaled / deviation.unsqueeze(1) + penalty * weights) @ self.basis * root)
        into_intercepts.copy_(by_intercepts * self.n_classes**0.5)
        into_logits.copy_(by_logits * _MIX_RATE)
        return losses, gradients

    def _pass(
        self, numbers: Tensor, mix: Tensor, weights: Tensor, intercepts: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """One pass over the stack: mean loss, and its gradients by raw weights, intercepts and mix."""
        n, n_layers = len(self.labels), len(self.vectors)
        losses, by_mix = torch.zeros_like(mix[:, 0]), torch.zeros_like(mix)
        by_weights, by_intercepts = torch.zeros_like(weights), torch.zeros_like(intercepts)
        size = block_rows(len(mix) * max(self.n_classes, weights.shape[2] // _MIXED_SHARE))
        for start in range(0, n, size):
            block = self.vectors[:, start : start + size]
            mixed = mix_layers(block, mix)
            logits = torch.baddbmm(intercepts.unsqueeze(1), mixed, weights.mT)
            counts = None if self.counts is None else self.counts[numbers, start : start + size].T
            sums, residuals = softmax_loss(logits.transpose(0, 1), self.labels[start : start + size], counts)
            residuals = residuals.transpose(0, 1)
            losses += sums
            by_weights.baddbmm_(residuals.mT, mixed)
            by_intercepts += residuals.sum(dim=1)
            by_mix.addmm_((residuals @ weights).flatten(1), block.reshape(n_layers, -1).T)
        return losses / n, by_weights / n, by_intercepts / n, by_mix / n


def draw_start(seed: int, n_layers: int) -> Float[np.ndarray, " layers"]:
    """The weights before softmax that the solver starts from: nearly even."""
    return stream(seed, "scalar_mix").normal(scale=_START_NOISE, size=n_layers)


def normalise(X: Float[np.ndarray, "layers sentences hidden"]) -> Float[np.ndarray, "layers sentences hidden"]:
    """Every vector with mean 0 and variance 1 over its own units, with no parameters; one without variance is 0."""
    return F.layer_norm(torch.from_numpy(X), X.shape[-1:]).numpy()


def compute_covariance(vectors: Float[Tensor, "layers sentences hidden"]) -> Float[Tensor, "layers layers hidden"]:
    """Covariance between every two layers of centred vectors, for each hidden unit."""
    sums = vectors.new_zeros(len(vectors), len(vectors), vectors.shape[2])
    for block in vectors.split(_SUMMED_ROWS, dim=1):
        for number, layer in enumerate(block):
            sums[number] += (block * layer).sum(dim=1)
    return sums / vectors.shape[1]


def measure_lengths(X: Float[np.ndarray, "layers sentences hidden"]) -> Float[np.ndarray, " layers"]:
    """The mean length of each layer's vectors, mean_i ||h_li||."""
    # Not by numpy's norm, which makes two copies of a layer on the way.
    return np.array([np.sqrt(np.einsum("nh,nh->n", vectors, vectors)).mean() for vectors in X])


def compute_contribution(
    weights: Float[np.ndarray, " layers"], lengths: Float[np.ndarray, " layers"]
) -> Float[np.ndarray, " layers"]:
    """What each layer adds to the mix: `weight_l * mean_i ||h_li||`, normalised to sum 1 (gamma cancels)."""
    sizes = weights * lengths
    return sizes / sizes.sum()
