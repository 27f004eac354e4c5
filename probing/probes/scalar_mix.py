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

from probing.contracts.probe import Reader
from probing.probes.linear import STRENGTHS, score_strengths
from probing.probes.logistic import Labels
from probing.probes.mix_problem import MixProblem
from probing.probes.selection import choose_strength
from probing.probes.solver import Solution
from probing.probes.stack_blocks import StackBlocks, normalise
from probing.randomness import stream
from probing.scalar_mix import mix_layers

_START_NOISE = 0.1
_CHOOSING_TOLERANCE = 1e-3
"""What the fits at all strengths end with, before dev chooses one of them: scores settle long before weights do."""


class ScalarMixProbe(Reader):
    """One linear probe on the learned mix of all layers: a single reading.

    Args:
        strengths: L2 strengths (lambda above); the best on dev is kept, and of equals the strongest.
        tolerance: a probe has converged when the largest component of its gradient is this share of what it was; the
            strengths that are not chosen are held to 1e-3 alone.
        max_iterations: after which a fit is given up, and `converged_` says so; the chosen one has twice as many more.
        norm: whether every vector is brought to mean 0 and variance 1 over its units before it is mixed, so that no
            layer counts for more by being longer. Ours: no, as ELMo and BERMo's text have it.
        seed: of the start.
        device: where to compute.
    """

    takes_scores = True
    has_strength = True
    order_free = True
    by_request = False
    reads = "all layers"
    choices = ("strength_", "gamma_")

    def __init__(
        self,
        strengths: Sequence[float] = STRENGTHS,
        tolerance: float = 3e-4,
        max_iterations: int = 300,
        norm: bool = False,
        seed: int = 0,
        device: str = "cpu",
    ):
        self.strengths = strengths
        self.tolerance = tolerance
        self.max_iterations = max_iterations
        self.norm = norm
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
        vectors = StackBlocks(X, self.norm, self.device)
        self.lengths_ = vectors.lengths
        problem = MixProblem(vectors, torch.tensor(y, device=self.device), self.strengths)
        noise = draw_start(self.seed, len(X))
        solution = problem.solve(noise, max(self.tolerance, _CHOOSING_TOLERANCE), self.max_iterations)
        dev = torch.as_tensor(normalise(X_dev) if self.norm else X_dev, device=self.device)
        labels = torch.tensor(y_dev, device=self.device)
        scores = [score_on(problem, solution, number, dev, labels) for number in range(len(self.strengths))]
        self.dev_scores_ = np.array(scores)
        best = choose_strength(self.dev_scores_, self.strengths)
        if self.tolerance < _CHOOSING_TOLERANCE:
            solution = problem.finish(solution, best, noise, self.tolerance, 2 * self.max_iterations)
            self.dev_scores_[best] = score_on(problem, solution, best, dev, labels)
        self._keep(best, problem, solution)
        return self

    def _keep(self, best: int, problem: MixProblem, solution: Solution) -> None:
        one = slice(best, best + 1)
        logits, weights, intercepts = problem.unpack(solution.points[one], one)
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


def score_on(
    problem: MixProblem, solution: Solution, number: int, vectors: Float[Tensor, "layers dev hidden"], labels: Labels
) -> float:
    """What one of the fitted probes scores on some sentences."""
    one = slice(number, number + 1)
    logits, weights, intercepts = problem.unpack(solution.points[one], one)
    mix = logits.softmax(dim=1)
    mean, deviation = problem.moments(mix)
    return float(score_strengths((mix_layers(vectors, mix[0]) - mean) / deviation, weights, intercepts, labels)[0])


def draw_start(seed: int, n_layers: int) -> Float[np.ndarray, " layers"]:
    """The weights before softmax that the solver starts from: nearly even."""
    return stream(seed, "scalar_mix").normal(scale=_START_NOISE, size=n_layers)


def compute_contribution(
    weights: Float[np.ndarray, " layers"], lengths: Float[np.ndarray, " layers"]
) -> Float[np.ndarray, " layers"]:
    """What each layer adds to the mix: `weight_l * mean_i ||h_li||`, normalised to sum 1 (gamma cancels)."""
    sizes = weights * lengths
    return sizes / sizes.sum()
