"""The linear probe on all layers side by side, read in blocks: a copy of all vectors in a row never stands in memory.

Beside the vectors as they are given, memory holds a matrix of layers x hidden squared (twice in float64, while its
principal directions are sought) and later the vectors in these directions, once.
"""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from scipy import linalg
from torch import Tensor

from probing.probes.fused import can_fuse, find_room, fuse_loss
from probing.probes.linear import LinearProbe
from probing.probes.logistic import count_classes, curvature, replace_dead
from probing.probes.logistic_problem import LogisticProblem
from probing.probes.stack_blocks import SUMMED_ROWS, StackBlocks

_Block = tuple[slice, Float[Tensor, "block width"]]


class ConcatProbe(LinearProbe):
    """A linear probe on the vectors of all layers in a row: one readout.

    It can use every layer for itself, with as many weights as layers times dimensions: the mix at its freest.
    """

    has_strength = False
    by_request = False
    reads = "all layers"

    def __init__(self, device: str = "cpu"):
        super().__init__(device=device)

    def fit(
        self,
        X: Float[np.ndarray, "layers sentences hidden"],
        y: Int[np.ndarray, " sentences"] | Float[np.ndarray, "sentences classes"],
        X_dev: Float[np.ndarray, "layers dev hidden"],
        y_dev: Int[np.ndarray, " dev"] | Float[np.ndarray, "dev classes"],
    ) -> "ConcatProbe":
        """Fit as the linear probe is."""
        self._make_room(1, y, len(X) * X.shape[2])
        problem = WideProblem(X, y, self)
        del X  # where whoever gave the vectors has given them up, they make room for the solver
        self._solve(slice(0, 1), problem, join_layers(X_dev), y_dev)
        return self

    def read(self, X: Float[np.ndarray, "layers sentences hidden"]) -> Iterator[Float[np.ndarray, "sentences classes"]]:
        """Log probabilities (nats) of each class: one readout."""
        starts = range(0, X.shape[1], SUMMED_ROWS)
        blocks = (join_layers(X[:, start : start + SUMMED_ROWS]) for start in starts)
        yield np.concatenate([part for block in blocks for part in LinearProbe.read(self, block)])


class WideProblem(LogisticProblem):
    """The penalised losses of all strengths on all layers in a row, in the coordinates of the linear probe's.

    Args:
        X: vectors, in memory or mapped; they stay as they are, and none is kept.
        y: class indices or probabilities.
        probe: whose strengths, tolerance and device are taken.
    """

    def __init__(self, X: Float[np.ndarray, "layers sentences hidden"], y: np.ndarray, probe: LinearProbe):
        self.labels, self.turns_weights = torch.tensor(y, device=probe.device), False
        self.n_classes = count_classes(self.labels)
        stack = StackBlocks(X, device=probe.device)
        self.mean = stack.mean.reshape(1, -1)
        self.strengths = torch.tensor(probe.strengths, dtype=self.mean.dtype, device=self.mean.device)
        self.scale = torch.ones_like(self.mean)
        self.scale = replace_dead(self._measure(stack), self.mean)
        eigenvalues, self.basis = self._find_basis(stack)
        self.root = curvature(eigenvalues, self.strengths, self.n_classes).rsqrt()
        self._turn(stack, probe.tolerance)

    def _measure(self, stack: StackBlocks) -> Float[Tensor, "1 width"]:
        """Standard deviations, from sums in float64."""
        squares = torch.zeros_like(self.mean[0], dtype=torch.float64)
        for _, block in self._read(stack):
            squares += block.square().sum(dim=0, dtype=torch.float64)
        return (squares / len(self.labels)).sqrt().to(self.mean)[None]

    def _find_basis(self, stack: StackBlocks) -> tuple[Float[Tensor, "1 width"], Float[Tensor, "1 width width"]]:
        """Eigenvalues and principal directions of the standardised vectors."""
        gram = self.mean.new_zeros(self.mean.shape[1], self.mean.shape[1])
        for _, block in self._read(stack):
            gram.addmm_(block.T, block)
        # The matrix in float32 is gone before the one in float64 is overwritten.
        gram = (gram / len(self.labels)).cpu().double().numpy()
        eigenvalues, basis = find_directions(gram)
        del gram
        return torch.from_numpy(eigenvalues).to(self.mean)[None], torch.from_numpy(basis).to(self.mean)[None]

    def _turn(self, stack: StackBlocks, tolerance: float) -> None:
        """Give the vectors in principal directions to the kernels, or keep them where torch computes the loss."""
        turned = ((rows, block @ self.basis[0]) for rows, block in self._read(stack))
        width, self._fused = self.mean.shape[1], []
        room = find_room(stack.source, len(self.labels), width)
        if room is not None and can_fuse(self.mean, self.labels, tolerance):
            self._fused = [fuse_loss(turned, width, self.labels, room=room)]
            self.vectors = self.mean.new_empty(1, 0, width)
            return
        self.vectors = self.mean.new_empty(1, len(self.labels), width)
        for rows, block in turned:
            self.vectors[0, rows] = block

    def _read(self, stack: StackBlocks) -> Iterator[_Block]:
        """Standardised vectors of some sentences after the other, all layers in a row."""
        for rows, block in stack.read(SUMMED_ROWS):
            yield rows, block.transpose(0, 1).reshape(block.shape[1], -1) / self.scale


def find_directions(
    gram: Float64[np.ndarray, "width width"],
) -> tuple[Float64[np.ndarray, " width"], Float64[np.ndarray, "width width"]]:
    """Eigenvalues, none negative, and eigenvectors in columns; the matrix given is spoilt.

    By LAPACK's relatively robust representations, which need no room but for the vectors; divide and conquer, which
    torch calls, takes two matrices more.
    """
    values, vectors = linalg.eigh(gram.T, driver="evr", overwrite_a=True, check_finite=False)
    return values.clip(min=0), vectors


def join_layers(X: Float[np.ndarray, "layers sentences hidden"]) -> Float[np.ndarray, "1 sentences width"]:
    """All layers of a sentence in a row."""
    return X.transpose(1, 0, 2).reshape(1, X.shape[1], -1)
