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

The loss is not convex in w, and has several minima on some tasks. For given w it is the linear probe's, and convex. So
strengths are compared with one mix: first the even one, then the one that is best at the strength which dev chose. At
the strength that dev chooses then, wide starts look for the lowest minimum; if it is another one, strengths are
compared once more. `n_minima_` and `loss_spread_` tell how many minima the starts end in, and by how much
the highest lies above the lowest.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from probing.contracts.probe import Reader
from probing.probes.linear import STRENGTHS, score_strengths
from probing.probes.logistic import Labels
from probing.probes.mix_newton import APART, MixNewton, Place
from probing.probes.mix_problem import MixProblem
from probing.probes.mix_search import draw_starts, find_minima, go_down
from probing.probes.selection import choose_strength
from probing.probes.stack_blocks import StackBlocks, normalise
from probing.scalar_mix import mix_layers

_CHOOSING_TOLERANCE = 1e-3
"""What the fits that dev chooses among end with: scores settle long before weights do."""
_ROUGHLY = 10.0
"""How many times that tolerance the first mix is held to: a strength is chosen with it, no more."""
_LEAST_WEIGHT = 1e-10
"""Given in place of a weight of 0, which has no logarithm."""


class ScalarMixProbe(Reader):
    """One linear probe on the learned mix of all layers: a single readout.

    Args:
        strengths: L2 strengths (lambda above); the best on dev is kept, and of equals the strongest.
        tolerance: a probe has converged when the largest component of its gradient is this share of what it was; the
            strengths that are not chosen, and minima that are not the lowest, are held to 1e-3 alone.
        max_iterations: of the classifier's solver for one mix, after which it is given up, and `converged_` says so;
            the last one has three times as many.
        norm: whether every vector is brought to mean 0 and variance 1 over its units before it is mixed, so that no
            layer counts for more by being longer. Ours: no, as ELMo and BERMo's text have it.
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
        vectors.hold()
        self.lengths_ = vectors.lengths
        problem = MixProblem(vectors, torch.tensor(y, device=self.device), self.strengths)
        dev = torch.as_tensor(normalise(X_dev) if self.norm else X_dev, device=self.device)
        choice = _Choice(problem, dev, torch.tensor(y_dev, device=self.device), self)
        best, minima = choice.settle()
        self.dev_scores_ = choice.scores
        self._keep(best, problem, minima)
        return self

    def _keep(self, best: int, problem: MixProblem, minima: Sequence[Place]) -> None:
        place = minima[0]
        self.weights_ = np.maximum(place.mix, _LEAST_WEIGHT)
        self.weights_ = (self.weights_ / self.weights_.sum()).astype(np.float32)
        logits = np.log(self.weights_)
        self.logits_ = logits - logits.mean()
        means, deviations = problem.moments(torch.from_numpy(self.weights_).to(problem.root).unsqueeze(0))
        self.classes_ = np.arange(problem.n_classes)
        self.strength_ = self.strengths[best]
        self.converged_, self.loss_, self.n_iterations_ = place.converged, place.loss, place.n_iterations
        self.minima_ = np.stack([one.mix for one in minima])
        self.n_minima_ = len(minima)
        self.loss_spread_ = max(one.loss for one in minima) - place.loss
        self.gamma_ = float((place.weights / deviations).square().sum(dim=1).mean().sqrt())
        self.mean_, self.scale_ = means[0].cpu().numpy(), deviations[0].cpu().numpy()
        self.coef_, self.intercept_ = place.weights.cpu().numpy(), place.intercepts.cpu().numpy()
        self.contribution_ = compute_contribution(self.weights_, self.lengths_)

    def read(self, X: Float[np.ndarray, "layers sentences hidden"]) -> Iterator[Float[np.ndarray, "sentences classes"]]:
        """Log probabilities (nats) of each class: one readout."""
        mixed = np.tensordot(self.weights_, normalise(X) if self.norm else X, axes=1)
        logits = torch.from_numpy((mixed - self.mean_) / self.scale_ @ self.coef_.T + self.intercept_)
        yield logits.log_softmax(dim=1).numpy()


class _Choice:
    """Which strength dev chooses, and the minima there.

    Args:
        problem: of all strengths.
        vectors: of dev.
        labels: of dev.
        probe: whose options are followed.
    """

    def __init__(
        self, problem: MixProblem, vectors: Float[Tensor, "layers dev hidden"], labels: Labels, probe: ScalarMixProbe
    ):
        self.problem, self.vectors, self.labels, self.probe = problem, vectors, labels, probe
        self.loosely = max(probe.tolerance, _CHOOSING_TOLERANCE)
        self.starts = draw_starts(probe.seed, problem.n_layers)
        self.scores = np.zeros(len(probe.strengths))

    @property
    def best(self) -> int:
        """The strength that dev chooses."""
        return choose_strength(self.scores, self.probe.strengths)

    def settle(self) -> tuple[int, list[Place]]:
        """The strength and its minima, the lowest taken to its end, the others loosely."""
        n_layers = self.problem.n_layers
        self._compare(np.full(n_layers, 1 / n_layers))
        first = self._descend(self._place(self.best), self.best, _ROUGHLY * self.loosely)
        self._compare(first.mix)
        number, starts = self.best, self.starts
        minima = self._search(number, starts)
        self._compare(minima[0].mix, unless=APART)
        if self.best != number:
            number = self.best
            minima = self._search(number, np.stack([place.mix for place in minima]))
        lowest, *others = minima
        minima = [self._descend(lowest, number, self.probe.tolerance), *others]
        self.scores[number] = self._score(minima[0])
        return number, minima

    def _search(self, number: int, starts: Float[np.ndarray, "starts layers"]) -> list[Place]:
        newton = MixNewton(self.problem, number, self.loosely, self.probe.max_iterations)
        return find_minima(newton, self._place(number), starts, self.probe.seed)

    def _descend(self, place: Place, number: int, tolerance: float) -> Place:
        newton = MixNewton(self.problem, number, tolerance, 3 * self.probe.max_iterations)
        return go_down(newton, [place], [])[0]

    def _compare(self, mix: Float[np.ndarray, " layers"], unless: float = 0.0) -> None:
        """Fit and score all strengths with one mix, unless it is as near to the last one as that."""
        if unless and np.abs(self.mix - mix).sum() < unless:
            return
        self.mix = mix
        weights = torch.from_numpy(mix).to(self.problem.root)
        self.classifiers = self.problem.fit_at(weights, self.loosely, self.probe.max_iterations)
        self.scores = np.array([self._score(self._place(number)) for number in range(len(self.probe.strengths))])

    def _place(self, number: int) -> Place:
        weights, intercepts = self.classifiers
        return Place(self.mix, weights[number], intercepts[number])

    def _score(self, place: Place) -> float:
        """What dev says of a fit."""
        mix = torch.from_numpy(place.mix).to(self.problem.root)
        mean, deviation = self.problem.moments(mix.unsqueeze(0))
        scaled = (mix_layers(self.vectors, mix) - mean) / deviation
        return float(score_strengths(scaled, place.weights[None], place.intercepts[None], self.labels)[0])


def compute_contribution(
    weights: Float[np.ndarray, " layers"], lengths: Float[np.ndarray, " layers"]
) -> Float[np.ndarray, " layers"]:
    """What each layer adds to the mix: `weight_l * mean_i ||h_li||`, normalised to sum 1 (gamma cancels)."""
    sizes = weights * lengths
    return sizes / sizes.sum()
