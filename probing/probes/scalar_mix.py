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
fit then costs what a layer costs. So each strength begins where its own loss is lowest: at the even mix, or at one
layer. At the strength that dev chooses there, wide starts look for the lowest minimum (`mix_search`), which is offered
to all strengths; those that dev likes best then learn mixes of their own, and dev chooses among these. The minima found
are then taken to their ends at the strength that is chosen. `n_minima_` and
`loss_spread_` tell how many minima the starts end in, and by how much the highest lies above the lowest.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from probing.contracts.probe import Reader
from probing.probes.linear import STRENGTHS, score_strengths
from probing.probes.logistic import Labels
from probing.probes.mix_descent import Fits, fix_mix, go_downhill, guess_evenly, join_fits, map_mixes
from probing.probes.mix_problem import MixProblem
from probing.probes.mix_search import draw_starts, find_minima
from probing.probes.selection import choose_strength
from probing.probes.solver import alone
from probing.probes.stack_blocks import StackBlocks, normalise
from probing.scalar_mix import mix_layers

_CHOOSING_TOLERANCE = 3e-3
"""Tolerance of the fits that dev chooses among: scores settle long before weights do."""
_CANDIDATE_TOLERANCE = 5e-3
"""Of fits with a mix that stands still, which say where to begin."""
_CONTENDERS = 3
"""Strengths that learn a mix of their own before dev chooses: those that it likes best where they begin."""
_CONTENDING_ITERATIONS = 20
"""Most steps of those: scores settle long before weights do."""
_EXPLORING_ITERATIONS = 40
"""Most steps of wide starts before dev chooses: what they end in goes on at the strength that is chosen."""
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
        choice = _Choice(problem, dev, torch.tensor(y_dev, device=self.device), self)
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


class _Choice:
    """The strength that dev chooses, and the minima there.

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
        n, n_layers, n_classes = len(probe.strengths), problem.n_layers, problem.n_classes
        self.scores = np.full(n, -np.inf)
        self.losses = problem.root.new_full((n,), torch.inf)
        self.mixes = problem.root.new_zeros(n, n_layers)
        self.weights = problem.root.new_zeros(n, n_classes, len(problem.basis))
        self.intercepts = problem.root.new_zeros(n, n_classes)

    def settle(self) -> tuple[int, Fits]:
        """The strength and its minima, the lowest taken to its end, the others loosely."""
        problem, starts = self.problem, torch.from_numpy(draw_starts(self.probe.seed, self.problem.n_layers))
        # What is best at one strength need not be at another: each begins where its own loss is lowest.
        self._try_candidates(torch.cat([starts[:1], torch.eye(problem.n_layers)]).to(problem.root))
        number = choose_strength(self.scores, self.probe.strengths)
        guesses, tolerance = guess_evenly(problem, number, starts), self.probe.tolerance
        found = find_minima(problem, guesses, tolerance, _EXPLORING_ITERATIONS)
        self._try_candidates(found.mixes)
        contender = self._contend(found)
        best = int(contender.numbers[0])
        minima = found if best == number else self._carry(found, contender)
        minima = find_minima(problem, minima, tolerance, self.probe.max_iterations)
        # The score that is shown must be of the fit that is kept, not of the looser one that was compared.
        self._score_at(minima.pick([0]))
        return best, minima

    def _try_candidates(self, mixes: Float[Tensor, "mixes layers"]) -> None:
        """Fit all strengths with each mix; those whose loss it lowers take it, and are scored with it."""
        for mix, fits in zip(mixes, map_mixes(self.problem, self._fit_strengths, list(mixes)), strict=True):
            for number, loss, *fit in zip(range(len(self.scores)), *fits, strict=True):
                if loss < self.losses[number]:
                    self.losses[number], self.mixes[number] = loss, mix
                    self.weights[number], self.intercepts[number] = fit
                    self.scores[number] = self._score(mix, *fit)

    def _fit_strengths(self, mix: Float[Tensor, " layers"]) -> tuple[Tensor, Tensor, Tensor]:
        """Losses, weights and intercepts of all strengths for one mix."""
        convex = fix_mix(self.problem, mix, self.probe.strengths)
        solution = convex.solve(_CANDIDATE_TOLERANCE, self.probe.max_iterations)
        weights, intercepts = convex.unpack(solution)
        return solution.losses, weights[0], intercepts[0]

    def _contend(self, found: Fits) -> Fits:
        """The strength that dev chooses once the best have learned mixes of their own, and where it has come to.

        Args:
            found: minima of one strength, which has learned its mix with them.
        """
        searched = int(found.numbers[0])
        liked = np.sort(np.argsort(-self.scores, kind="stable")[:_CONTENDERS])
        numbers = torch.from_numpy(liked[liked != searched]).to(self.mixes.device)
        ends = found.pick([0])
        if len(numbers):
            losses = self.losses[numbers]
            fits = self.mixes[numbers], self.weights[numbers], self.intercepts[numbers]
            starts = Fits(numbers, *fits, losses, torch.full_like(losses, torch.inf))
            loosely = torch.full_like(starts.losses, self.loosely)
            ends = join_fits([ends, go_downhill(self.problem, starts, loosely, _CONTENDING_ITERATIONS)])
        self._score_at(ends)
        compared = ends.numbers.tolist()
        best = choose_strength(self.scores[compared], [self.probe.strengths[number] for number in compared])
        return ends.pick([best])

    def _carry(self, found: Fits, contender: Fits) -> Fits:
        """The minima of one strength as starts at another, whose contender has gone on from one of them."""
        best = int(contender.numbers[0])
        others = (found.mixes != self.mixes[best]).any(dim=1).nonzero().flatten().tolist()
        return join_fits([contender, found.pick(others).move(best)])

    def _score_at(self, fits: Fits) -> None:
        """Score some strengths with fits of their own."""
        for number, *fit in zip(fits.numbers.tolist(), fits.mixes, fits.weights, fits.intercepts, strict=True):
            self.scores[number] = self._score(*fit)

    def _score(
        self, mix: Float[Tensor, " layers"], weights: Float[Tensor, "classes hidden"], intercepts: Tensor
    ) -> float:
        """Score of a fit on dev."""
        mean, deviation = self.problem.moments(mix.unsqueeze(0))
        scaled = (mix_layers(self.vectors, mix) - mean) / deviation
        return float(score_strengths(scaled, weights[None], intercepts[None], self.labels)[0])


def compute_contribution(
    weights: Float[np.ndarray, " layers"], lengths: Float[np.ndarray, " layers"]
) -> Float[np.ndarray, " layers"]:
    """Share of each layer in the mix: `weight_l * mean_i ||h_li - m_l||`, normalised to sum 1 (gamma cancels).

    About the mean m_l of the layer's vectors, since the probe takes means off: a constant added to a layer changes
    neither its predictions nor its contribution. Where no vector differs from another, the weights themselves.
    """
    sizes = weights * lengths
    return sizes / sizes.sum() if sizes.sum() > 0 else weights
