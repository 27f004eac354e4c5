"""Multinomial logistic regression on standardised vectors, for all layers and all L2 strengths together.

The linear probe of Alain & Bengio 2016 (arXiv 1610.01644), with a penalty. For each layer and strength lambda, with
standardised vectors x_i, labels y_i, weights W and intercepts b:

    min_{W, b}  (1/N) sum_i [ logsumexp_c(W_c . x_i + b_c) - (W_{y_i} . x_i + b_{y_i}) ]  +  (lambda / 2) ||W||^2

which is convex; scikit-learn's `C` is 1 / (lambda N) and, of two classes, 2 / (lambda N): it
penalises w = W_1 - W_0 there, and ||W_0||^2 + ||W_1||^2 = ||w||^2 / 2.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Float, Int

from probing.contracts.probe import Reader
from probing.probes.logistic import count_classes
from probing.probes.logistic_problem import LogisticProblem
from probing.probes.selection import STRENGTHS, choose_strength, score_strengths

_GROUP_BYTES = 2**30
"""Memory for the vectors that are fitted together: three times theirs, for what is made of them on the way."""
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

    def _solve(self, layers: slice, problem: LogisticProblem, X_dev, y_dev) -> None:
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


def share_layers(n_layers: int, layer_bytes: int, device: str) -> tuple[int, int]:
    """Number of groups of layers that are fitted side by side, and number of layers in each."""
    affordable = max(1, _GROUP_BYTES // (3 * layer_bytes))
    if torch.device(device).type != "cpu":
        return 1, affordable
    return min(torch.get_num_threads(), n_layers, affordable), min(_TOGETHER, affordable)
