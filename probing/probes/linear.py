"""Multinomial logistic regression on standardised vectors, for all layers and all L2 strengths together.

The linear probe of Alain & Bengio 2016 (arXiv 1610.01644), with a penalty. For each layer and strength lambda, with
standardised vectors x_i, labels y_i, weights W and intercepts b:

    min_{W, b}  (1/N) sum_i [ logsumexp_c(W_c . x_i + b_c) - (W_{y_i} . x_i + b_{y_i}) ]  +  (lambda / 2) ||W||^2

which is convex; scikit-learn's `C` is 1 / (lambda N) and, of two classes, 2 / (lambda N): it
penalises w = W_1 - W_0 there, and ||W_0||^2 + ||W_1||^2 = ||w||^2 / 2. The solver works in principal directions, each
scaled by its curvature at the start, so that it needs ten to a hundred passes over the vectors, for all strengths.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from probing.contracts.probe import Reader
from probing.probes.fused import MANY_CLASSES, Sums, can_fuse, find_turn, fuse_loss
from probing.probes.logistic import (
    Labels,
    block_rows,
    count_classes,
    curvature,
    eigenbasis,
    multiply_by_itself,
    softmax_loss,
)
from probing.probes.selection import choose_strength
from probing.probes.solver import Solution, minimise, minimise_in_turn

STRENGTHS = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001)
"""L2 strengths that dev chooses among, from strong to weak. Ours: on the tasks of 2,000 to 20,000 sentences that they
were tried on, dev scores fall towards both ends."""
_GROUP_BYTES = 2**30
"""Memory for the vectors that are fitted together: three times theirs, for what is made of them on the way."""
_FEW_CLASSES = 2
"""Up to here a fit takes some fifteen evaluations; with more classes up to ten times as many."""
ENOUGH_ROWS = 8
"""Sentences for each dimension that give its principal directions well enough to solve in."""
_TOGETHER = 2
"""Layers that one thread fits at once: more wait for the slowest, fewer are not worth the solver's own work."""


class LinearProbe(Reader):
    """One linear probe per layer: one readout for each.

    Args:
        strengths: L2 strengths (lambda above); the best on dev is kept, and of equals the strongest.
        tolerance: a probe has converged when the largest component of its gradient is this share of what it was.
        max_iterations: after which it is given up, and `converged_` says so.
        device: where to compute.
    """

    takes_scores = True
    has_strength = True
    order_free = True
    by_request = True
    reads = "each layer"
    choices = ("strength_",)

    def __init__(
        self,
        strengths: Sequence[float] = STRENGTHS,
        tolerance: float = 5e-4,
        max_iterations: int = 300,
        device: str = "cpu",
    ):
        self.strengths = strengths
        self.tolerance = tolerance
        self.max_iterations = max_iterations
        self.device = device

    def fit(
        self,
        X: Float[np.ndarray, "layers sentences hidden"],
        y: Int[np.ndarray, " sentences"] | Float[np.ndarray, "sentences classes"],
        X_dev: Float[np.ndarray, "layers dev hidden"],
        y_dev: Int[np.ndarray, " dev"] | Float[np.ndarray, "dev classes"],
    ) -> "LinearProbe":
        """Fit every layer at every strength, and keep for each layer the strength that is best on dev.

        Labels are class indices 0 .. classes - 1 or, in a graded task, the probability of each class.
        """
        n_layers, _, hidden = X.shape
        self._make_room(n_layers, y, hidden)
        workers, size = share_layers(n_layers, X[0].nbytes, self.device)
        groups = [slice(first, first + size) for first in range(0, n_layers, size)]
        # Groups on a thread each wait for one another once; products on all threads would, each time.
        threads = torch.get_num_threads() // workers
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(threads,)) as pool:
            list(pool.map(lambda layers: self._fit_group(layers, X, y, X_dev, y_dev), groups))
        return self

    def _make_room(self, n_layers: int, y: np.ndarray, hidden: int) -> None:
        self.classes_ = np.arange(count_classes(torch.from_numpy(y)))
        self.coef_ = np.empty((n_layers, len(self.classes_), hidden), dtype=np.float32)
        self.intercept_ = np.empty((n_layers, len(self.classes_)), dtype=np.float32)
        self.mean_, self.scale_ = np.empty((2, n_layers, hidden), dtype=np.float32)
        self.strength_, self.loss_ = np.empty((2, n_layers))
        self.dev_scores_ = np.empty((n_layers, len(self.strengths)))
        self.converged_ = np.empty(n_layers, dtype=bool)

    def _fit_group(self, layers: slice, X, y, X_dev, y_dev) -> None:
        vectors = torch.tensor(X[layers], device=self.device)
        problem = LogisticProblem(vectors, torch.tensor(y, device=self.device), self.strengths)
        self._solve(layers, problem, X_dev, y_dev)

    def _solve(self, layers: slice, problem: "LogisticProblem", X_dev, y_dev) -> None:
        solution = problem.solve(self.tolerance, self.max_iterations)
        coef, intercept = problem.unpack(solution)
        self.mean_[layers], self.scale_[layers] = problem.mean.cpu(), problem.scale.cpu()
        for number, layer in enumerate(range(*layers.indices(len(self.coef_)))):
            scaled = torch.tensor((X_dev[layer] - self.mean_[layer]) / self.scale_[layer], device=self.device)
            scores = score_strengths(scaled, coef[number], intercept[number], torch.tensor(y_dev, device=self.device))
            best = choose_strength(scores, self.strengths)
            self.dev_scores_[layer] = scores
            self.coef_[layer], self.intercept_[layer] = coef[number, best].cpu(), intercept[number, best].cpu()
            self.strength_[layer] = self.strengths[best]
            self.loss_[layer] = solution.losses.view(len(coef), -1)[number, best].item()
            self.converged_[layer] = solution.converged.view(len(coef), -1)[number, best].item()

    def read(self, X: Float[np.ndarray, "layers sentences hidden"]) -> Iterator[Float[np.ndarray, "sentences classes"]]:
        """Log probabilities (nats) of each class, layer by layer."""
        for layer, vectors in enumerate(X):
            scaled = (vectors - self.mean_[layer]) / self.scale_[layer]
            logits = torch.from_numpy(scaled @ self.coef_[layer].T + self.intercept_[layer])
            yield logits.log_softmax(dim=1).numpy()


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


def share_layers(n_layers: int, layer_bytes: int, device: str) -> tuple[int, int]:
    """Number of groups of layers that are fitted side by side, and number of layers in each."""
    affordable = max(1, _GROUP_BYTES // (3 * layer_bytes))
    if torch.device(device).type != "cpu":
        return 1, affordable
    return min(torch.get_num_threads(), n_layers, affordable), min(_TOGETHER, affordable)


def standardise(
    vectors: Float[Tensor, "layers sentences hidden"],
) -> tuple[Float[Tensor, "layers hidden"], Float[Tensor, "layers hidden"]]:
    """Bring every feature of every layer to mean 0 and standard deviation 1, in place; return what they were.

    A feature that varies by less than a millionth of 1 + |mean| is dead or constant: it stays near 0, its scale is 1.
    """
    mean = vectors.mean(dim=1)
    # The mean first: squares of features far from 0 would lose the digits that their deviation is made of.
    vectors -= mean.unsqueeze(1)
    scale = replace_dead(vectors.square().mean(dim=1).sqrt(), mean)
    vectors /= scale.unsqueeze(1)
    return mean, scale


def replace_dead(
    scale: Float[Tensor, "layers hidden"], mean: Float[Tensor, "layers hidden"]
) -> Float[Tensor, "layers hidden"]:
    """Standard deviations, 1 in place of those of features that are dead or constant."""
    return torch.where(scale > 1e-6 * (1 + mean.abs()), scale, torch.ones_like(scale))


def score_strengths(
    vectors: Float[Tensor, "sentences hidden"],
    coef: Float[Tensor, "strengths classes hidden"],
    intercept: Float[Tensor, "strengths classes"],
    labels: Labels,
) -> Float[np.ndarray, " strengths"]:
    """Accuracy of each strength; in a graded task, the correlation of expected and true scores."""
    fitted = zip(coef, intercept, strict=True)
    return np.array([score_logits(torch.addmm(bias, vectors, weights.T), labels) for weights, bias in fitted])


def score_logits(logits: Float[Tensor, "sentences classes"], labels: Labels) -> float:
    """Accuracy of the likeliest classes; in a graded task, the correlation of expected and true scores."""
    if labels.ndim == 1:
        return (logits.argmax(dim=1) == labels).double().mean().item()
    scale = torch.arange(labels.shape[1], dtype=logits.dtype, device=logits.device)
    # The expected score, not the likeliest class: a correlation sees how near a guess is.
    pair = torch.stack([logits.softmax(dim=1) @ scale, labels.to(logits.dtype) @ scale]).double()
    return torch.corrcoef(pair)[0, 1].nan_to_num().item()
