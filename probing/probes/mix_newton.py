"""One mixed probe by variable projection: Newton steps in the few layer weights, the classifier solved in between.

For given layer weights s the probe is convex; its minimum F(s) = min_{W, b} f(s, W, b) is a function of a few numbers
(Golub & Pereyra 1973). With V = W / d, where d is the deviation of the mix, logits are linear in s and in V,

    f(s, V, b) = (1/N) sum_i loss_i( sum_l s_l V h_li + b )  +  (lambda / 2) sum_h d_h(s)^2 ||V_h||^2

and at the minimum in V and b, F' = f_s and F'' = f_ss - f_sV X with X = f_VV^-1 f_Vs, by conjugate gradients, which
also tells how the classifier follows the weights. A step goes to the minimum of the quadratic model over weights that
are not negative and sum to 1. So the stack is read twice a step, for the mix and for its derivatives; all else is read
from the mix, which is as many times smaller as there are layers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from probing.probes.mix_classifier import ROWS, MixClassifier
from probing.probes.mix_problem import MixProblem
from probing.probes.simplex import minimise_quadratic
from probing.scalar_mix import mix_layers

_MOST_STEPS = 20
_MOST_TRIALS = 3
_SHRINK = 0.3
_TIGHTEN = 6.0
"""How many times tighter it is solved to where steps gain nothing."""
_ROUGHLY = 30.0
"""How many times the tolerance the classifier is solved to, as long as the weights still move."""
_FARTHEST = 0.6
"""Most that layer weights move in a step, added up over layers."""
_STILL = 0.02
"""A step that moves them by no more than this, and promises next to nothing, is the last."""
_NEARLY_STILL = 0.05
"""The same where the minimum ahead is higher than a known one: it is counted, and no more."""
_SLACK = 1e-6
"""By this share the loss may rise in a step: float32 is no surer."""
_CLOSE = 0.3
"""A step no longer than this may be trusted to tell which minimum is ahead."""
_HIGHER = 2e-3
"""A minimum that lies above a known one by more than this share is not taken to its end."""
_NO_LOWER = 1e-4
"""A minimum ahead is a known one if it is near and promises no less than this share below it."""
APART = 0.2
"""Two minima are one where their layer weights differ by less, added up over layers."""


@dataclass(frozen=True)
class Place:
    """Layer weights, and the classifier that is best for them."""

    mix: Float[np.ndarray, " layers"]
    weights: Float[Tensor, "classes hidden"]
    """On the standardised mix."""
    intercepts: Float[Tensor, " classes"]
    loss: float = float("inf")
    converged: bool = False
    n_iterations: int = 0
    """Of the classifier's solver, added up over steps."""

    def is_near(self, others: Sequence["Place"]) -> bool:
        """Whether one of the others is the same minimum, and no higher."""
        return any(
            np.abs(self.mix - other.mix).sum() < APART and other.loss <= self.loss * (1 + _NO_LOWER) for other in others
        )


@dataclass(frozen=True)
class Model:
    """F around a place: slope and curvature, and how V and intercepts follow."""

    slope: Float[np.ndarray, " layers"]
    curvature: Float[np.ndarray, "layers layers"]
    weights: Float[Tensor, "layers classes hidden"]
    intercepts: Float[Tensor, "layers classes"]

    def promise(self, moves: Float[np.ndarray, " layers"]) -> float:
        """By how much the loss should fall."""
        return -float(self.slope @ moves + 0.5 * moves @ self.curvature @ moves)


class MixNewton:
    """The mixed probe of one strength.

    Args:
        problem: that has the vectors, labels, coordinates and strengths.
        number: of the strength.
        tolerance: largest component of the classifier's gradient, as a share of what it was at the start.
        max_iterations: of the classifier's solver, for one mix.
    """

    def __init__(self, problem: MixProblem, number: int, tolerance: float, max_iterations: int):
        self.problem, self.number, self.tolerance, self.max_iterations = problem, number, tolerance, max_iterations
        self._goal = 0.1 * tolerance * float(problem.steepness[number])

    def part(self, rows: Int[np.ndarray, " chosen"]) -> "MixNewton":
        """The same of some of the sentences."""
        problem, strength = self.problem, float(self.problem.strengths[self.number])
        chosen = torch.from_numpy(rows).to(problem.labels.device)
        part = MixProblem(problem.vectors.pick(rows), problem.labels[chosen], [strength])
        return MixNewton(part, 0, self.tolerance, self.max_iterations)

    def minimise(self, place: Place, known: Sequence[Place] = ()) -> Place | None:
        """Go down from a place to a minimum; none where that is a known one."""
        roughly = _ROUGHLY
        place = self._solve(place, roughly)
        for _ in range(_MOST_STEPS):
            model = self._derive(place)
            moves = minimise_quadratic(place.mix, model.slope, model.curvature) - place.mix
            ahead = replace(place, mix=place.mix + moves, loss=place.loss - model.promise(moves))
            if np.abs(moves).sum() < _CLOSE and ahead.is_near(known):
                return None
            length, small = np.abs(moves).sum(), model.promise(moves) <= self._goal * roughly
            higher = any(ahead.loss > other.loss * (1 + _HIGHER) for other in known)
            if small and length <= (_NEARLY_STILL if higher else _STILL):
                if roughly == 1 or higher:
                    return place
                moved = None
            else:
                moved = self._step(place, moves * min(1, _FARTHEST / length), model, roughly)
            if moved is None and roughly == 1:
                return place
            if moved is None:
                # What the classifier lacks hides what a step would gain.
                roughly = max(1.0, roughly / _TIGHTEN)
                moved = self._solve(place, roughly)
            place = moved
        return replace(place, converged=False)

    def _step(self, place: Place, moves: Float[np.ndarray, " layers"], model: Model, roughly: float) -> Place | None:
        for _ in range(_MOST_TRIALS):
            moved = self._solve(self._follow(place, moves, model), roughly)
            if moved.loss <= place.loss + _SLACK * abs(place.loss):
                return moved
            moves = moves * _SHRINK
        return None

    def _follow(self, place: Place, moves: Float[np.ndarray, " layers"], model: Model) -> Place:
        """The mix a step further, with the classifier that the model has there."""
        step, mix = self._tensor(moves), np.maximum(place.mix + moves, 0)
        mix /= mix.sum()
        raw = place.weights / self._deviation(place.mix) - torch.tensordot(step, model.weights, dims=1)
        intercepts = place.intercepts - step @ model.intercepts
        return replace(place, mix=mix, weights=raw * self._deviation(mix), intercepts=intercepts)

    def _solve(self, place: Place, roughly: float) -> Place:
        """The classifier for the mix of a place."""
        weights = self._tensor(place.mix)
        mixed = torch.cat([mix_layers(block, weights) for _, block in self.problem.vectors.read(ROWS)])
        self._classifier = MixClassifier(self.problem, self.number, mixed.div_(self._deviation(place.mix)))
        solution = self._classifier.solve(
            place.weights, place.intercepts, roughly * self.tolerance, self.max_iterations
        )
        weights, intercepts = self._classifier.unpack(solution.points.view(len(place.weights), -1))
        n_iterations = place.n_iterations + solution.n_iterations
        return Place(place.mix, weights, intercepts, float(solution.losses), bool(solution.converged), n_iterations)

    def _derive(self, place: Place) -> Model:
        """One pass over the stack for derivatives by layer weights and by both; then their share of the classifier."""
        classifier, vectors, mix = self._classifier, self.problem.vectors, self._tensor(place.mix)
        n, deviation = vectors.shape[1], self._deviation(place.mix)
        raw = place.weights / deviation
        slope, curvature = torch.zeros_like(mix), mix.new_zeros(len(mix), len(mix))
        by_both, by_standardised = (mix.new_zeros(len(mix), *raw.shape) for _ in range(2))
        by_intercepts, shares = by_both[..., 0].clone(), raw.new_empty(len(raw), n)
        for rows, block in vectors.read(ROWS):
            by_layer = torch.matmul(raw, block.mT)
            logits = torch.tensordot(mix, by_layer, dims=1) + place.intercepts.unsqueeze(1)
            shares[:, rows] = logits.softmax(dim=0)
            residuals = classifier.compare(rows, logits)[1].contiguous()
            bent = classifier.bend(rows, shares[:, rows], by_layer)
            slope += by_layer.flatten(1) @ residuals.flatten()
            curvature += by_layer.flatten(1) @ bent.flatten(1).T
            by_both += torch.matmul(residuals, block)
            by_standardised.flatten(0, 1).addmm_(bent.flatten(0, 1), classifier.mixed[rows])
            by_intercepts += bent.sum(dim=2)
        # The penalty's part: d(deviation_h^2) / d s_l = 2 sum_k s_k Cov_lkh.
        sizes = classifier.strength * raw.square().sum(dim=0)
        towards = torch.einsum("lkh,k->lh", self.problem.covariance, mix)
        slope = slope / n + towards @ sizes
        curvature = curvature / n + torch.einsum("lkh,h->lk", self.problem.covariance, sizes)
        by_both = (by_both / deviation + by_standardised) / n
        by_both += 2 * classifier.strength * towards.unsqueeze(1) * (raw / deviation)
        by_intercepts /= n
        followed, following = classifier.invert(shares, by_both, by_intercepts)
        curvature -= by_both.flatten(1) @ followed.flatten(1).T + by_intercepts @ following.T
        arrays = (part.double().cpu().numpy() for part in (slope, (curvature + curvature.T) / 2))
        return Model(*arrays, followed / deviation, following)

    def _deviation(self, mix: Float[np.ndarray, " layers"]) -> Float[Tensor, " hidden"]:
        return self.problem.moments(self._tensor(mix).unsqueeze(0))[1][0]

    def _tensor(self, numbers: np.ndarray) -> Tensor:
        return torch.from_numpy(numbers).to(self.problem.root)
