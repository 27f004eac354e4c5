"""The losses of mixed probes at several strengths, with their gradients: what the solver is given.

For each strength lambda, with the centred states h_li of layer l and sentence i, layer weights s and the standard
deviation d of the mix over the training sentences,

    z_i = (sum_l s_l h_li) / d,   d_h^2 = sum_{l, k} s_l s_k Cov_lkh,   s_l = c_l^2 / sum_k c_k^2
    (1/N) sum_i [ logsumexp_c(W_c . z_i + b_c) - (W_{y_i} . z_i + b_{y_i}) ]  +  (lambda / 2) ||W||^2

in c, W and b. Every evaluation is one pass over the stack, shared by all problems.

Weights are squares, and no softmax: those that end at 0, as most do, then have a minimum there like any other, where
softmax leads off to infinity, ever more slowly, and comes to rest, all weight on one layer, where nothing is minimal.
"""

from collections.abc import Sequence
from copy import copy
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from probing.probes.fused import MANY_CLASSES
from probing.probes.logistic import Labels, count_classes, curvature, eigenbasis
from probing.probes.logistic_problem import ENOUGH_ROWS
from probing.probes.mix_loss import MixLoss
from probing.probes.solver import Solution, minimise, minimise_in_turn
from probing.probes.stack_blocks import SUMMED_ROWS, StackBlocks
from probing.scalar_mix import mix_layers

_MIX_RATE = 3.0
"""Step of c where the solver would move a weight of the classifier by 1: the mix's own learning rate."""


class MixProblem:
    """The penalised losses of all strengths, in the solver's coordinates.

    A point holds `classes x (hidden + 1)` numbers as in the linear probe, the principal directions being those of the
    even mix, and then one number per layer.

    Args:
        vectors: of the training sentences.
        labels: class indices, or probabilities.
        strengths: L2 strengths, one for each problem.
        counts: how often each sentence counts in each problem's loss; none: once. The deviations that the mix is
            brought to stay those of all sentences once.
        threads: for passes over the stack; 0: as many as torch takes.
    """

    def __init__(
        self,
        vectors: StackBlocks,
        labels: Labels,
        strengths: Sequence[float],
        counts: Float[Tensor, "problems sentences"] | None = None,
        threads: int = 0,
    ):
        self.vectors, self.labels, self.counts = vectors, labels, counts
        self.n_layers, self.n_classes, self.mean = vectors.shape[0], count_classes(labels), vectors.mean
        self.strengths = torch.tensor(strengths, dtype=self.mean.dtype, device=self.mean.device)
        # The coordinates must be the same for every mix, or the solver's memory of past steps would mean nothing: so
        # the principal directions are those of one mix, and the even one is the nearest to all others.
        even = torch.full_like(self.mean[:, 0], 1 / self.n_layers)
        self.covariance, gram = sum_products(vectors, even)
        _, deviation = self.moments(even.unsqueeze(0))
        self.eigenvalues, self.basis = eigenbasis(gram / (deviation.T * deviation))
        self.root = curvature(self.eigenvalues, self.strengths, self.n_classes).rsqrt()
        self.threads = threads or torch.get_num_threads()
        self.loss = MixLoss(vectors, labels, counts, threads)

    def moments(
        self, weights: Float[Tensor, "mixes layers"]
    ) -> tuple[Float[Tensor, "mixes hidden"], Float[Tensor, "mixes hidden"]]:
        """Mean and standard deviation of some mixes over the training sentences; a deviation of 0 is given as 1."""
        variance = torch.einsum("ml,mk,lkh->mh", weights, weights, self.covariance)
        mean = weights @ self.mean
        # A dimension that is dead in the mix has a variance of rounding errors; divided by its root, they would be a
        # feature.
        varies = variance > 1e-12 * (1 + mean.abs()).square()
        return mean, torch.where(varies, variance, torch.ones_like(variance)).sqrt()

    def on_some(self, rows: Int[np.ndarray, " some"]) -> "MixProblem":
        """The losses of some sentences alone, in the same coordinates, the mix brought to the deviations of all."""
        some = copy(self)
        some.vectors, some.labels = self.vectors.select(rows), self.labels[torch.from_numpy(rows)]
        some.loss = MixLoss(some.vectors, some.labels, threads=self.threads)
        some.__dict__.pop("steepness", None)
        return some

    def start(
        self, weights: Float[Tensor, "problems layers"], rate: float = _MIX_RATE
    ) -> Float[Tensor, "problems parameters"]:
        """The even guess, and some layer weights; a weight of 0 would stay there."""
        start = weights.new_zeros(len(weights), self.n_classes * (len(self.basis) + 1) + self.n_layers)
        # In units of the solver a step of 1 is then a step of `rate`: `square` does not mind the common factor.
        start[:, -self.n_layers :] = weights.sqrt() / rate
        return start.to(self.root)

    def solve(self, tolerance: float, max_iterations: int) -> Solution:
        """Minimise all problems from the even guess and even weights."""
        start = self.start(torch.full((len(self.strengths), self.n_layers), 1 / self.n_layers))
        # Where classes are many, a pass is bound by products and not by memory: problems side by side save nothing,
        # while each can begin where its neighbour ended.
        self.loss.prepare(tolerance)
        if self.n_classes < MANY_CLASSES:
            return minimise(self, start, tolerance=tolerance, max_iterations=max_iterations)
        turns = list(torch.arange(len(start), device=start.device).split(1))
        return minimise_in_turn(self, start, turns, self._carry, tolerance=tolerance, max_iterations=max_iterations)

    @cached_property
    def steepness(self) -> Float[Tensor, " problems"]:
        """The largest component of the gradient at the start of `solve`, where it is the same but for the root."""
        even = torch.full((1, self.n_layers), 1 / self.n_layers)
        first = torch.arange(1, device=self.root.device)
        slopes, intercepts, _ = self.split(self(self.start(even), first)[1])
        # At 0 the loss has the same slope whatever the strength, so that one pass gives it for all; only the
        # coordinates differ.
        by_weights = (slopes[0].abs().amax(dim=0) / self.root[0] * self.root).amax(dim=1)
        return by_weights.maximum(intercepts.abs().max())

    def _carry(self, points: Tensor, before: Tensor, numbers: Tensor) -> Tensor:
        """The same weights and the same mix in the coordinates of another strength."""
        carried = points.clone()
        slopes, _, _ = self.split(carried)
        slopes *= (self.root[before] / self.root[numbers]).unsqueeze(1)
        return carried

    def unpack(
        self,
        points: Float[Tensor, "chosen parameters"],
        roots: Float[Tensor, "chosen hidden"] | None = None,
        bases: Float[Tensor, "*chosen hidden hidden"] | None = None,
    ) -> tuple[Float[Tensor, "chosen layers"], Float[Tensor, "chosen classes hidden"], Float[Tensor, "chosen classes"]]:
        """Layer weights, classifier weights on the standardised mix, intercepts; of all problems, or elsewhere."""
        slopes, intercepts, by_root = self.split(points)
        weights = slopes * (self.root if roots is None else roots).unsqueeze(1)
        basis = self.basis if bases is None else bases
        return square(by_root), weights @ basis.mT, intercepts * self.n_classes**0.5

    def split(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Views of the parts of some points: slopes, intercepts, roots of layer weights."""
        classifier = points[:, : -self.n_layers].view(len(points), self.n_classes, len(self.basis) + 1)
        return classifier[..., :-1], classifier[..., -1], points[:, -self.n_layers :]

    def __call__(
        self, points: Float[Tensor, "active parameters"], numbers: Int[Tensor, " active"]
    ) -> tuple[Float[Tensor, " active"], Float[Tensor, "active parameters"]]:
        """Loss and gradient of the problems of some strengths."""
        return self.evaluate(points, numbers, self.root[numbers], self.basis)

    def measure(
        self,
        numbers: Int[Tensor, " fits"],
        mixes: Float[Tensor, "fits layers"],
        weights: Float[Tensor, "fits classes hidden"],
        intercepts: Float[Tensor, "fits classes"],
    ) -> Float[Tensor, " fits"]:
        """Losses of some strengths at layer weights and classifiers on what those make."""
        _, deviation = self.moments(mixes)
        sums = self.loss(numbers, mixes, weights / deviation.unsqueeze(1), intercepts)[0]
        return sums / len(self.labels) + 0.5 * self.strengths[numbers] * weights.square().sum(dim=(1, 2))

    def evaluate(
        self,
        points: Float[Tensor, "active parameters"],
        numbers: Int[Tensor, " active"],
        roots_of: Float[Tensor, "active hidden"],
        basis: Float[Tensor, "*active hidden hidden"],
    ) -> tuple[Float[Tensor, " active"], Float[Tensor, "active parameters"]]:
        """Loss and gradient in some coordinates: directions, and the root of each one's curvature."""
        root, penalty = roots_of.unsqueeze(1), self.strengths[numbers].view(-1, 1, 1)
        slopes, intercepts, roots = self.split(points)
        weights, mix = slopes * root @ basis.mT, square(roots)
        _, deviation = self.moments(mix)
        scaled = weights / deviation.unsqueeze(1)
        sums = self.loss(numbers, mix, scaled, intercepts * self.n_classes**0.5)
        losses, by_scaled, by_intercepts, by_mix = (part / len(self.labels) for part in sums)
        # The penalty is on weights of the standardised mix, so that a layer of small numbers is not punished for its
        # scale.
        losses += 0.5 * (penalty * weights.square()).sum(dim=(1, 2))
        # d s_k / d c_l = 2 c_l (delta_kl - s_k) / |c|^2.
        by_roots = 2 * roots * self._project(mix, scaled, deviation, by_scaled, by_mix)
        gradients = torch.empty_like(points)
        by_slopes, into_intercepts, into_roots = self.split(gradients)
        by_slopes.copy_((by_scaled / deviation.unsqueeze(1) + penalty * weights) @ basis * root)
        into_intercepts.copy_(by_intercepts * self.n_classes**0.5)
        into_roots.copy_(by_roots / roots.square().sum(dim=1, keepdim=True))
        return losses, gradients

    def pull(
        self,
        numbers: Int[Tensor, " fits"],
        mixes: Float[Tensor, "fits layers"],
        weights: Float[Tensor, "fits classes hidden"],
        intercepts: Float[Tensor, "fits classes"],
    ) -> Float[Tensor, "fits layers"]:
        """Slopes of the losses by layer weights that keep their sum; a weight of 0 with a slope above 0 is minimal."""
        _, deviation = self.moments(mixes)
        scaled = weights / deviation.unsqueeze(1)
        _, by_scaled, _, by_mix = self.loss(numbers, mixes, scaled, intercepts, everything=True)
        return self._project(mixes, scaled, deviation, by_scaled, by_mix) / len(self.labels)

    def _project(
        self, mix: Tensor, scaled: Tensor, deviation: Tensor, by_scaled: Tensor, by_mix: Tensor
    ) -> Float[Tensor, "fits layers"]:
        """Slopes by layer weights, with what follows them, less the part along the weights, as these sum to 1."""
        # The deviation follows the mix: d deviation_h / d s_l = (sum_k s_k Cov_lkh) / deviation_h.
        by_deviation = -(by_scaled * scaled).sum(dim=1) / deviation.square()
        by_mix = by_mix + torch.einsum("mh,mk,lkh->ml", by_deviation, mix, self.covariance)
        return by_mix - (mix * by_mix).sum(dim=1, keepdim=True)


def square(roots: Float[Tensor, "problems layers"]) -> Float[Tensor, "problems layers"]:
    """Layer weights from their roots, whose common length has no meaning."""
    squares = roots.square()
    return squares / squares.sum(dim=1, keepdim=True)


def sum_products(
    vectors: StackBlocks, weights: Float[Tensor, " layers"]
) -> tuple[Float[Tensor, "layers layers hidden"], Float[Tensor, "hidden hidden"]]:
    """Covariance between every two layers, for each dimension, and between every two dimensions of one mix."""
    n_layers, n, hidden = vectors.shape
    between_layers = weights.new_zeros(n_layers, n_layers, hidden)
    between_units = weights.new_zeros(hidden, hidden)
    # The dimensions' are for coordinates to solve in alone: some sentences are enough.
    step, taken = max(1, n // (ENOUGH_ROWS * hidden)), 0
    for _, block in vectors.read(SUMMED_ROWS):
        for number, layer in enumerate(block):
            # The covariance is symmetric: half of the products are enough.
            between_layers[number, number:] += (block[number:] * layer).sum(dim=1)
        mixed = mix_layers(block[:, ::step], weights)
        between_units.addmm_(mixed.T, mixed)
        taken += len(mixed)
    lower = torch.ones(n_layers, n_layers, device=weights.device).tril(-1).bool()
    between_layers[lower] = between_layers.transpose(0, 1)[lower]
    return between_layers / n, between_units / taken
