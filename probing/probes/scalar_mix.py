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

The loss is not convex in w, and has several minima on some tasks. For given w it is the linear probe's, and convex; a
fit then costs what a layer costs. So each strength begins where its own loss is lowest, of some mixes that stand still.
At a strength that dev likes, wide starts look for the lowest minimum (`mix_search`), where sentences are many on some
of them, drawn at random, with a stronger penalty; it is offered to all strengths; those that dev likes best then learn
mixes of their own on all sentences, and dev chooses among these (`mix_choice`). The minima found are then taken to
their ends at the strength that is chosen, on all sentences. `n_minima_` and `loss_spread_` tell how many minima the
starts end in, and by how much the highest lies above the lowest.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int

from probing.contracts.probe import Reader
from probing.probes.mix_choice import Choice, Options
from probing.probes.mix_descent import Fits
from probing.probes.mix_problem import MixProblem
from probing.probes.selection import STRENGTHS
from probing.probes.solver import alone
from probing.probes.stack_blocks import StackBlocks, normalise

_LEAST_WEIGHT = 1e-10
"""Given in place of a weight of 0, which has no logarithm."""


class ScalarMixProbe(Reader):
    """One linear probe on the learned mix of all layers: a single readout.

    Args:
        strengths: L2 strengths (lambda above); the best on dev is kept, and of equals the strongest.
        tolerance: a probe has converged when the largest component of its gradient is this share of what it was.
        max_iterations: after which a fit is given up, and `converged_` says so.
        norm: whether every vector is brought to mean 0 and variance 1 over its dimensions before it is mixed, so that
            no layer counts for more by being longer. Ours: no, as ELMo and BERMo's text have it.
        seed: of the wide starts that are drawn.
        device: where to compute.
    """

    takes_scores = True
    has_strength = True
    order_free = True
    by_request = False
    reads = "all layers"
    choices = ("strength_", "gamma_", "n_minima_", "loss_spread_")

    def __init__(
        self,
        strengths: Sequence[float] = STRENGTHS,
        tolerance: float = 1e-4,
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
        threads = torch.get_num_threads()
        return alone(lambda: self._fit(X, y, X_dev, y_dev, threads))

    def _fit(
        self, X: np.ndarray, y: np.ndarray, X_dev: np.ndarray, y_dev: np.ndarray, threads: int
    ) -> "ScalarMixProbe":
        vectors = StackBlocks(X, self.norm, self.device)
        self.lengths_ = vectors.lengths
        problem = MixProblem(vectors, torch.tensor(y, device=self.device), self.strengths, threads=threads)
        dev = torch.as_tensor(normalise(X_dev) if self.norm else X_dev, device=self.device)
        options = Options(self.strengths, self.tolerance, self.max_iterations, self.seed)
        choice = Choice(problem, dev, torch.tensor(y_dev, device=self.device), options)
        best, minima = choice.settle()
        self.dev_scores_ = choice.scores
        self._keep(best, problem, minima)
        return self

    def _keep(self, best: int, problem: MixProblem, minima: Fits) -> None:
        # Weights are reported as logarithms too, and one that ended at exactly 0 would be minus infinity.
        mix = minima.mixes[:1].clamp_min(_LEAST_WEIGHT)
        mix /= mix.sum()
        means, deviations = problem.moments(mix)
        self.classes_ = np.arange(problem.n_classes)
        self.strength_ = self.strengths[best]
        self.converged_, self.n_iterations_ = bool(minima.slopes[0] <= self.tolerance), minima.n_iterations
        self.loss_ = float(minima.losses[0])
        self.minima_, self.n_minima_ = minima.mixes.cpu().numpy(), len(minima.mixes)
        self.loss_spread_ = float(minima.losses.max()) - self.loss_
        self.weights_ = mix[0].cpu().numpy()
        # The softmax does not mind a constant; without one, raw weights of two runs can be compared.
        logits = np.log(self.weights_)
        self.logits_ = logits - logits.mean()
        self.gamma_ = float((minima.weights[0] / deviations[0]).square().sum(dim=1).mean().sqrt())
        self.mean_, self.scale_ = means[0].cpu().numpy(), deviations[0].cpu().numpy()
        self.coef_, self.intercept_ = minima.weights[0].cpu().numpy(), minima.intercepts[0].cpu().numpy()
        self.contribution_ = compute_contribution(self.weights_, self.lengths_)

    def read(self, X: Float[np.ndarray, "layers sentences hidden"]) -> Iterator[Float[np.ndarray, "sentences classes"]]:
        """Log probabilities (nats) of each class: one readout."""
        yield self._answer(np.tensordot(self.weights_, normalise(X) if self.norm else X, axes=1))

    def read_without(
        self, X: Float[np.ndarray, "layers sentences hidden"], means: Float[np.ndarray, "layers hidden"]
    ) -> Iterator[Float[np.ndarray, "sentences classes"]]:
        """Log probabilities with one layer after the other at its training mean, weights and classifier as they are.

        Args:
            X: vectors.
            means: mean of each layer's training vectors, normalised ones where the mix has a norm.
        """
        vectors = normalise(X) if self.norm else X
        mixed = np.tensordot(self.weights_, vectors, axes=1)
        for weight, layer, mean in zip(self.weights_, vectors, means, strict=True):
            # A weight that ended at 0 is given as the least one: nothing of that layer is lost, not even in rounding.
            yield self._answer(mixed - weight * (layer - mean) if weight > 2 * _LEAST_WEIGHT else mixed)

    def _answer(self, mixed: Float[np.ndarray, "sentences hidden"]) -> Float[np.ndarray, "sentences classes"]:
        logits = torch.from_numpy((mixed - self.mean_) / self.scale_ @ self.coef_.T + self.intercept_)
        return logits.log_softmax(dim=1).numpy()


def compute_contribution(
    weights: Float[np.ndarray, " layers"], lengths: Float[np.ndarray, " layers"]
) -> Float[np.ndarray, " layers"]:
    """Share of each layer in the mix: `weight_l * mean_i ||h_li - m_l||`, normalised to sum 1 (gamma cancels).

    About the mean m_l of the layer's vectors, since the probe takes means off: a constant added to a layer changes
    neither its predictions nor its contribution. Where no vector differs from another, the weights themselves.
    """
    sizes = weights * lengths
    return sizes / sizes.sum() if sizes.sum() > 0 else weights
