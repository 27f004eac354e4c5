"""The loss of mixed probes summed over sentences, and its slopes: one pass over the stack for all problems.

With raw weights V_p (classes x hidden) of problem p, its layer weights s_p and centred states h_li, the logits are
V_p . sum_l s_pl h_li + b_p. There are three ways to the same sums:

* by kernels, and side by side without them: the mix is a linear probe on all layers in a row whose weights on layer l
  are s_pl V_p, so that products are few and large and no mixed vector is made;
* by mixed vectors, where classes are many: the products are then as many times smaller as there are layers.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from probing.probes.fused import MANY_CLASSES, Sums, can_fuse, find_room, fuse_loss, suits_mix
from probing.probes.logistic import Labels, block_rows, count_classes, softmax_loss
from probing.probes.stack_blocks import SUMMED_ROWS, StackBlocks
from probing.scalar_mix import mix_layers

_MIXED_FROM = 5
"""Classes from which on mixed vectors cost less than all layers side by side."""
_PARTS = 8
"""Parts of the sentences that threads take: the sums are the same whatever the number of threads."""
_ROWS = 256
"""Sentences of a block: all their layers stay in the caches from one product to the next."""
Blocks = Iterable[tuple[slice, Float[Tensor, "layers block hidden"]]]
Slopes = tuple[Tensor, Tensor, Tensor, Tensor]
"""Losses of the problems, and their slopes by raw weights, intercepts and layer weights."""


class MixLoss:
    """Sums over sentences of cross-entropy (nats) and of its slopes.

    Args:
        vectors: of the sentences.
        labels: class indices, or probabilities.
        counts: how often each sentence counts in each problem; none: once.
        threads: most that are taken; 0: as many as torch takes.
    """

    def __init__(
        self,
        vectors: StackBlocks,
        labels: Labels,
        counts: Float[Tensor, "problems sentences"] | None = None,
        threads: int = 0,
    ):
        self.vectors, self.labels, self.counts, self.n_classes = vectors, labels, counts, count_classes(labels)
        self._kernel: Sums | None = None
        self._threads = threads or torch.get_num_threads()

    def prepare(self, tolerance: float) -> None:
        """Give the vectors to the kernels, where those do what is wanted, and do it sooner; else hold them centred."""
        few = self.n_classes < MANY_CLASSES and suits_mix(self.n_classes)
        if not (few and can_fuse(self.vectors.mean, self.labels, tolerance)):
            self._kernel = None
        elif self._kernel is None:
            self._kernel = self._fill_kernel()
        if self._kernel is None:
            self.vectors.hold()

    def _fill_kernel(self) -> Sums | None:
        # The kernels hold a copy in blocks of their own: of a stack that is larger than memory, on its disk.
        width = self.vectors.mean.numel()
        room = find_room(self.vectors.source, len(self.labels), width)
        if room is None:
            return None
        # A mix of linear layers is linear: side by side, the linear probe's kernel serves without a line of its own.
        blocks = self.vectors.read(SUMMED_ROWS)
        side_by_side = ((rows, block.transpose(0, 1).flatten(1)) for rows, block in blocks)
        return fuse_loss(side_by_side, width, self.labels, self._threads, room)

    def __call__(
        self,
        numbers: Int[Tensor, " active"],
        mix: Float[Tensor, "active layers"],
        weights: Float[Tensor, "active classes hidden"],
        intercepts: Float[Tensor, "active classes"],
        everything: bool = False,
    ) -> Slopes:
        """Losses and slopes of some problems, by their numbers.

        Args:
            numbers: of the problems.
            mix: layer weights. A layer that has none in any problem is not read; its slopes then have no meaning.
            weights: of the classifiers.
            intercepts: of those.
            everything: whether to read such layers too.
        """
        taken = list(range(mix.shape[1])) if everything else (mix != 0).any(dim=0).nonzero().flatten().tolist()
        if self._kernel is not None:
            return self._by_kernel(self._kernel, taken, numbers, mix, weights, intercepts)
        add_up = partial(self._mixed if self.n_classes >= _MIXED_FROM else self._side_by_side, taken)
        size = min(_ROWS, block_rows(len(mix) * self.n_classes))
        if not self.vectors.held:
            return add_up(self.vectors.read(size), numbers, mix, weights, intercepts)
        # One product of a block is too small for two threads: each takes sentences of its own instead, its products on
        # one.
        with ThreadPoolExecutor(self._threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            parts = pool.map(lambda part: add_up(part, numbers, mix, weights, intercepts), self._share_out(size))
            first, *others = parts
        for other in others:
            for total, part in zip(first, other, strict=True):
                total.add_(part)
        return first

    def _share_out(self, size: int) -> Iterator[Blocks]:
        n = len(self.labels)
        for number in range(_PARTS):
            start, stop = n * number // _PARTS, n * (number + 1) // _PARTS
            yield list(self.vectors.view(start, stop, size))

    def _by_kernel(
        self, kernel: Sums, taken: list[int], numbers: Tensor, mix: Tensor, weights: Tensor, intercepts: Tensor
    ) -> Slopes:
        by_layer = torch.einsum("ml,mch->mclh", mix, weights)
        hidden, counts = weights.shape[2], {} if self.counts is None else {"counts": self.counts[numbers]}
        read = [(layer * hidden, (layer + 1) * hidden) for layer in taken]
        flat = by_layer.view(-1, by_layer[0, 0].numel())
        losses, slopes, by_intercepts = kernel(flat, intercepts.flatten(), read=read, **counts)
        slopes = slopes.view_as(by_layer)
        by_weights, by_mix = torch.einsum("ml,mclh->mch", mix, slopes), torch.einsum("mch,mclh->ml", weights, slopes)
        return losses, by_weights, by_intercepts.view_as(intercepts), by_mix

    def _side_by_side(
        self, taken: list[int], blocks: Blocks, numbers: Tensor, mix: Tensor, weights: Tensor, intercepts: Tensor
    ) -> Slopes:
        by_layer = torch.einsum("ml,mch->lmch", mix, weights).flatten(1, 2)
        losses, slopes, by_intercepts = torch.zeros_like(mix[:, 0]), torch.zeros_like(by_layer), 0.0
        for rows, block in blocks:
            logits = intercepts.reshape(-1, 1).repeat(1, block.shape[1])
            for layer in taken:
                logits.addmm_(by_layer[layer], block[layer].T)
            sums, residuals = self._compare(rows, numbers, logits.view(*intercepts.shape, -1))
            losses += sums
            by_intercepts = by_intercepts + residuals.sum(dim=2)
            for layer in taken:
                slopes[layer].addmm_(residuals.flatten(0, 1), block[layer])
        slopes = slopes.view(-1, *weights.shape)
        by_weights, by_mix = torch.einsum("ml,lmch->mch", mix, slopes), torch.einsum("mch,lmch->ml", weights, slopes)
        return losses, by_weights, torch.zeros_like(intercepts) + by_intercepts, by_mix

    def _mixed(
        self, taken: list[int], blocks: Blocks, numbers: Tensor, mix: Tensor, weights: Tensor, intercepts: Tensor
    ) -> Slopes:
        losses, by_mix = torch.zeros_like(mix[:, 0]), torch.zeros_like(mix)
        by_weights, by_intercepts = torch.zeros_like(weights), torch.zeros_like(intercepts)
        everything = len(taken) == mix.shape[1]
        for rows, every_layer in blocks:
            block = every_layer if everything else every_layer[taken]
            mixed, logits = mix_layers(block, mix[:, taken]), []
            for vectors, one, bias in zip(mixed, weights, intercepts, strict=True):
                logits.append(torch.addmm(bias.unsqueeze(1), one, vectors.T))
            sums, residuals = self._compare(rows, numbers, torch.stack(logits))
            losses += sums
            by_intercepts += residuals.sum(dim=2)
            for problem, residual in enumerate(residuals):
                by_weights[problem].addmm_(residual, mixed[problem])
                # The mixed vectors have done their part; their room takes the slopes, and no third array of this size
                # is made.
                torch.mm(residual.T, weights[problem], out=mixed[problem])
            by_mix[:, taken] += mixed.flatten(1) @ block.flatten(1).T
        return losses, by_weights, by_intercepts, by_mix

    def _compare(self, rows: slice, numbers: Tensor, logits: Float[Tensor, "active classes block"]) -> tuple:
        counts = None if self.counts is None else self.counts[numbers, rows].T
        sums, residuals = softmax_loss(logits.permute(2, 0, 1), self.labels[rows], counts)
        return sums, residuals.permute(1, 2, 0)
