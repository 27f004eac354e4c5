"""The losses of mixed probes at several strengths, with their gradients: what the solver is given.

For each strength lambda, with the centred states h_li of layer l and sentence i, weights s = softmax(w) and the
standard deviation d of the mix over the training sentences,

    z_i = (sum_l s_l h_li) / d,   d_h^2 = sum_{l, k} s_l s_k Cov_lkh
    (1/N) sum_i [ logsumexp_c(W_c . z_i + b_c) - (W_{y_i} . z_i + b_{y_i}) ]  +  (lambda / 2) ||W||^2

in w, W and b. Every evaluation is one pass over the stack, shared by all strengths.

Where kernels do it, the mix is a linear probe on all layers side by side whose weights on layer l are s_l W / d: the
gradients by W and by s both follow from those weights' slopes, and no mixed vector is ever made.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from probing.probes.fused import Sums, can_fuse, fuse_loss, suits_mix
from probing.probes.linear import MANY_CLASSES
from probing.probes.logistic import Labels, block_rows, count_classes, curvature, eigenbasis, softmax_loss
from probing.probes.solver import Solution, minimise, minimise_in_turn
from probing.probes.stack_blocks import SUMMED_ROWS, StackBlocks
from probing.scalar_mix import mix_layers

_MIX_RATE = 3.0
"""How far the solver moves w where it would move a weight of the classifier by 1: the mix's own learning rate."""
_MIXED_SHARE = 4
"""A vector, mixed or of a layer, counts as this share (1/4) of its width when blocks are cut."""


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
    """

    def __init__(
        self,
        vectors: StackBlocks,
        labels: Labels,
        strengths: Sequence[float],
        counts: Float[Tensor, "problems sentences"] | None = None,
    ):
        self.vectors, self.labels, self.counts = vectors, labels, counts
        self.n_layers, self.n_classes, self.mean = vectors.shape[0], count_classes(labels), vectors.mean
        self.strengths = torch.tensor(strengths, dtype=self.mean.dtype, device=self.mean.device)
        even = torch.full_like(self.mean[:, 0], 1 / self.n_layers)
        self.covariance, gram = sum_products(vectors, even)
        _, deviation = self.moments(even.unsqueeze(0))
        eigenvalues, self.basis = eigenbasis(gram / (deviation.T * deviation))
        self.root = curvature(eigenvalues, self.strengths, self.n_classes).rsqrt()
        self._add_up: Sums | None = None

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
        start = torch.zeros(len(self.strengths), self.n_classes * (len(self.basis) + 1) + self.n_layers)
        start[:, -self.n_layers :] = torch.from_numpy(noise) / _MIX_RATE
        return start.to(self.root)

    def prepare(self, tolerance: float) -> None:
        """Give the vectors to the kernels, where those do what is wanted, and do it sooner.

        They multiply every layer by the classes' weights. With many classes, one product with the mix costs less.
        """
        few = self.n_classes < MANY_CLASSES and suits_mix(self.n_classes)
        if not (few and self.vectors.in_memory and can_fuse(self.mean, self.labels, tolerance)):
            self._add_up = None
        elif self._add_up is None:
            blocks = self.vectors.read(SUMMED_ROWS)
            side_by_side = ((rows, block.transpose(0, 1).flatten(1)) for rows, block in blocks)
            self._add_up = fuse_loss(side_by_side, self.mean.numel(), self.labels)

    def solve(self, noise: np.ndarray, tolerance: float, max_iterations: int) -> Solution:
        """Minimise from the even guess and nearly even weights."""
        start = self.start(noise)
        self.prepare(tolerance)
        if self.n_classes < MANY_CLASSES:
            return minimise(self, start, tolerance=tolerance, max_iterations=max_iterations)
        turns = list(torch.arange(len(start), device=start.device).split(1))
        return minimise_in_turn(self, start, turns, self._carry, tolerance=tolerance, max_iterations=max_iterations)

    def finish(
        self, solution: Solution, number: int, noise: np.ndarray, tolerance: float, max_iterations: int
    ) -> Solution:
        """The same solution with one problem taken further, to what would be `tolerance` in a solve from the start."""
        self.prepare(tolerance)
        chosen = torch.tensor([number], device=self.root.device)
        reference = self(self.start(noise)[chosen], chosen)[1].abs().amax(dim=1)
        options = {"tolerance": tolerance, "max_iterations": max_iterations, "reference": reference, "numbers": chosen}
        last = minimise(self, solution.points[chosen], **options)
        replaced = {
            name: getattr(solution, name).index_copy(0, chosen, getattr(last, name))
            for name in ("points", "losses", "gradient_norms", "converged")
        }
        return Solution(**replaced, n_iterations=solution.n_iterations + last.n_iterations)

    def _carry(self, points: Tensor, before: Tensor, numbers: Tensor) -> Tensor:
        """The same weights and the same mix in the coordinates of another strength."""
        carried = points.clone()
        slopes, _, _ = self._split(carried)
        slopes *= (self.root[before] / self.root[numbers]).unsqueeze(1)
        return carried

    def unpack(
        self, points: Float[Tensor, "chosen parameters"], numbers: slice | Int[Tensor, " chosen"] = slice(None)
    ) -> tuple[Float[Tensor, "chosen layers"], Float[Tensor, "chosen classes hidden"], Float[Tensor, "chosen classes"]]:
        """Layer weights before softmax, classifier weights on the standardised mix, intercepts; of some problems."""
        slopes, intercepts, logits = self._split(points)
        weights = slopes * self.root[numbers].unsqueeze(1)
        return logits * _MIX_RATE, weights @ self.basis.T, intercepts * self.n_classes**0.5

    def _split(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        classifier = points[:, : -self.n_layers].view(len(points), self.n_classes, -1)
        return classifier[..., :-1], classifier[..., -1], points[:, -self.n_layers :]

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
        """One pass over the stack: mean loss, and its gradient by raw weights, intercepts and mix."""
        if self._add_up is None:
            sums = self._read_blocks(numbers, mix, weights, intercepts)
        else:
            sums = self._read_fused(self._add_up, numbers, mix, weights, intercepts)
        losses, by_weights, by_intercepts, by_mix = (part / len(self.labels) for part in sums)
        return losses, by_weights, by_intercepts, by_mix

    def _read_fused(
        self, add_up: Sums, numbers: Tensor, mix: Tensor, weights: Tensor, intercepts: Tensor
    ) -> tuple[Tensor, ...]:
        by_layer = torch.einsum("ml,mch->mclh", mix, weights)
        arguments = [by_layer.view(-1, self.mean.numel()), intercepts.flatten()]
        if self.counts is not None:
            arguments.append(self.counts[numbers])
        losses, slopes, by_intercepts = add_up(*arguments)
        slopes = slopes.view_as(by_layer)
        by_weights, by_mix = torch.einsum("ml,mclh->mch", mix, slopes), torch.einsum("mch,mclh->ml", weights, slopes)
        return losses, by_weights, by_intercepts.view_as(intercepts), by_mix

    def _read_blocks(self, numbers: Tensor, mix: Tensor, weights: Tensor, intercepts: Tensor) -> tuple[Tensor, ...]:
        losses, by_mix = torch.zeros_like(mix[:, 0]), torch.zeros_like(mix)
        by_weights, by_intercepts = torch.zeros_like(weights), torch.zeros_like(intercepts)
        vectors = max(len(mix), self.n_layers) * weights.shape[2] // _MIXED_SHARE
        size = block_rows(max(len(mix) * self.n_classes, vectors))
        for rows, block in self.vectors.read(size):
            mixed = mix_layers(block, mix)
            logits = torch.baddbmm(intercepts.unsqueeze(1), mixed, weights.mT)
            counts = None if self.counts is None else self.counts[numbers, rows].T
            sums, residuals = softmax_loss(logits.transpose(0, 1), self.labels[rows], counts)
            residuals = residuals.transpose(0, 1)
            losses += sums
            by_weights.baddbmm_(residuals.mT, mixed)
            by_intercepts += residuals.sum(dim=1)
            by_mix.addmm_((residuals @ weights).flatten(1), block.flatten(1).T)
        return losses, by_weights, by_intercepts, by_mix


def sum_products(
    vectors: StackBlocks, weights: Float[Tensor, " layers"]
) -> tuple[Float[Tensor, "layers layers hidden"], Float[Tensor, "hidden hidden"]]:
    """Covariance between every two layers, for each hidden unit, and between every two units of one mix."""
    n_layers, n, hidden = vectors.shape
    between_layers = weights.new_zeros(n_layers, n_layers, hidden)
    between_units = weights.new_zeros(hidden, hidden)
    for _, block in vectors.read(SUMMED_ROWS):
        for number, layer in enumerate(block):
            between_layers[number, number:] += (block[number:] * layer).sum(dim=1)
        mixed = mix_layers(block, weights)
        between_units.addmm_(mixed.T, mixed)
    lower = torch.ones(n_layers, n_layers, device=weights.device).tril(-1).bool()
    between_layers[lower] = between_layers.transpose(0, 1)[lower]
    return between_layers / n, between_units / n
