"""A layer stack as the mix reads it: some sentences at a time, each layer about its mean, the stack itself untouched.

A stack may be larger than memory: it is then mapped, and what has been read of it is given back on the way.
"""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from probing.store.mapped_arrays import HELD_BYTES, is_mapped, release

SUMMED_ROWS = 1024
"""Sentences whose products are summed up at a time: they then stay in the caches, and take no memory."""

_SELECTED_ROWS = 128
"""Sentences of one layer that are copied before what was read is given back."""


class StackBlocks:
    """The vectors of some sentences about the mean of each layer.

    Centred, since features far from 0 would lose their digits in every sum of squares and products.

    Args:
        X: vectors, in memory or mapped.
        norm: whether every vector is normalised before anything else: see `normalise`.
        device: where to compute.
    """

    def __init__(self, X: Float[np.ndarray, "layers sentences hidden"], norm: bool = False, device: str = "cpu"):
        self.norm, self.shape = norm, X.shape
        self._X, self._vectors = X, torch.as_tensor(X, device=device)
        self._room, self._held = self._vectors.new_empty(0), slice(0)
        self._centred: Tensor | None = None
        sums = self._vectors.new_zeros(len(X), 1, X.shape[2], dtype=torch.float64)
        self._mean = self._vectors.new_zeros(sums.shape)
        for _, block in self.read(SUMMED_ROWS):
            sums += block.sum(dim=1, keepdim=True, dtype=torch.float64)
        self._mean, self._held = (sums / X.shape[1]).to(self._vectors), slice(0)
        lengths = sums.new_zeros(len(X))
        for _, block in self.read(SUMMED_ROWS):
            lengths += torch.linalg.vector_norm(block, dim=2).sum(dim=1, dtype=torch.float64)
        self.lengths: Float[np.ndarray, " layers"] = (lengths / X.shape[1]).cpu().numpy()
        """The mean length of each layer's vectors about their mean m_l, mean_i ||h_li - m_l||."""

    @property
    def source(self) -> Float[np.ndarray, "layers sentences hidden"]:
        """The stack as it was given."""
        return self._X

    @property
    def in_memory(self) -> bool:
        """True where the stack is small enough to stand in memory, and so for a copy of it."""
        return not is_mapped(self._X)

    def select(self, rows: Int[np.ndarray, " some"]) -> "StackBlocks":
        """Copies of some sentences, about their own means."""
        copies = np.empty((len(self._X), len(rows), self._X.shape[2]), dtype=self._X.dtype)
        for layer, copied in zip(self._X, copies, strict=True):
            for first in range(0, len(rows), _SELECTED_ROWS):
                some = slice(first, first + _SELECTED_ROWS)
                copied[some] = layer[rows[some]]
                # Of a mapped stack, each row that lies alone brings its neighbours with it.
                release(self._X)
        return StackBlocks(copies, self.norm, str(self._vectors.device))

    def mix(self, weights: Float[Tensor, " layers"], size: int) -> Float[Tensor, "sentences hidden"]:
        """The weighted sum over layers of all sentences, made some at a time; several threads may do so at once."""
        mixed = self._vectors.new_zeros(self.shape[1:])
        # Layers that have no part in a mix need not be read.
        taken, touched = weights.nonzero().flatten().tolist(), 0
        for start in range(0, len(mixed), size):
            rows = slice(start, start + size)
            for layer in taken:
                mixed[rows].add_(self._centre(layer, rows), alpha=float(weights[layer]))
            touched += len(taken) * mixed[rows].nbytes
            # As in `read`.
            if touched > HELD_BYTES:
                release(self._X)
                touched = 0
        release(self._X)
        return mixed

    def _centre(self, layer: int, rows: slice) -> Float[Tensor, "block hidden"]:
        part = self._vectors[layer, rows]
        return (F.layer_norm(part, part.shape[-1:]) if self.norm else part) - self._mean[layer]

    @property
    def held(self) -> bool:
        """True where all vectors stand in memory about their means."""
        return self._centred is not None

    def hold(self) -> None:
        """Keep a centred copy, which spares every pass the subtraction, where the stack is small enough for one."""
        if self.in_memory and self._centred is None:
            vectors = F.layer_norm(self._vectors, self._vectors.shape[-1:]) if self.norm else self._vectors
            self._centred = vectors - self._mean

    @property
    def mean(self) -> Float[Tensor, "layers hidden"]:
        """Means that were taken off."""
        return self._mean.squeeze(1)

    def read(self, size: int) -> Iterator[tuple[slice, Float[Tensor, "layers block hidden"]]]:
        """Rows and their vectors, `size` sentences at a time; a block lasts until the next one is asked for."""
        n, touched = self.shape[1], 0
        if self.held:
            yield from self.view(0, n, size)
            return
        for start in range(0, n, size):
            rows = slice(start, min(start + size, n))
            block = self._fill(rows)
            touched += block.nbytes
            # A mapped stack counts as resident once read: given back in time, a run's memory does not grow with the
            # corpus.
            if touched > HELD_BYTES or rows.stop == n:
                release(self._X)
                touched = 0
            yield rows, block

    def view(self, start: int, stop: int, size: int) -> Iterator[tuple[slice, Float[Tensor, "layers block hidden"]]]:
        """Rows and their vectors, as `read` gives them, of some of the sentences of a stack that is held.

        Raises:
            RuntimeError: the stack is not held.
        """
        if self._centred is None:
            raise RuntimeError("expected a stack that is held, got one that is not: call `hold` first, or use `read`")
        for first in range(start, stop, size):
            rows = slice(first, min(first + size, stop))
            yield rows, self._centred[:, rows]

    def _fill(self, rows: slice) -> Float[Tensor, "layers block hidden"]:
        part = self._vectors[:, rows]
        if self._room.numel() < part.numel():
            self._room = part.new_empty(part.numel())
        block = self._room[: part.numel()].view(part.shape)
        # A stack of one block stays as it is from pass to pass.
        if rows != self._held:
            torch.sub(F.layer_norm(part, part.shape[-1:]) if self.norm else part, self._mean, out=block)
            self._held = rows
        return block


def normalise(X: Float[np.ndarray, "layers sentences hidden"]) -> Float[np.ndarray, "layers sentences hidden"]:
    """Every vector with mean 0 and variance 1 over its own dimensions, no parameters; one without variance is 0."""
    return F.layer_norm(torch.from_numpy(X), X.shape[-1:]).numpy()
