"""Least-squares concept erasure: the least change of vectors after which no linear probe reads a property.

Belrose et al. 2023 (LEACE, arXiv 2306.03819, theorem 4.3). With vectors x, labels z (one column for each class, or one
for a number), their covariances S_xx and S_xz, and W = (S_xx^1/2)^+ the whitening map:

    r(x) = x - P (x - E[x]),    P = W^+ Q Q' W,    Q an orthonormal basis of the column space of W S_xz

After it the covariance with z is 0: the means of all classes are equal, and no affine probe with a convex loss does
better on these sentences than one that sees nothing. Of all affine maps for which that holds, it moves the vectors
least, in every norm ||x||_M of a positive definite M. The rank of P is that of S_xz: one less than there are classes,
or fewer.

The control is a random subspace of the same rank: Q drawn evenly in the whitened space, where all directions have
variance 1, so that it takes as much of what the vectors vary by.

Features are brought to deviation 1 before they are whitened, which changes nothing but the digits: an encoder has
units that vary by a millionth of others, and a probe that standardises reads them. All in float64.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

_LEAST_VARIANCE = 1e-11
"""Share of the largest eigenvalue of the correlations below which a direction counts as none: float64 gives them to
some 1e-13, and float32 rounding of copies of a feature is 1e-14."""
_LEAST_CORRELATION = 1e-8
"""Canonical correlation below which a direction has nothing of the labels."""


@dataclass(frozen=True)
class Eraser:
    """An affine map x -> x - left @ right @ (x - mean), which takes `rank` directions away."""

    mean: Float[np.ndarray, " hidden"]
    left: Float[np.ndarray, "hidden rank"]
    """W^+ Q."""
    right: Float[np.ndarray, "rank hidden"]
    """Q' W; right @ left is the identity."""

    @property
    def rank(self) -> int:
        """Directions that are taken away."""
        return len(self.right)

    @property
    def projection(self) -> Float[np.ndarray, "hidden hidden"]:
        """P, an oblique projection."""
        return self.left @ self.right

    def __call__(self, X: Float[np.ndarray, "*sentences hidden"]) -> Float[np.ndarray, "*sentences hidden"]:
        """The vectors without those directions: a copy, in the number format of `X`."""
        return (X - (X - self.mean) @ self.right.T @ self.left.T).astype(X.dtype)


class Moments:
    """Means and covariances of vectors and labels, added up block by block.

    Args:
        hidden: width of a vector.
        columns: of the labels: one for each class, or one for a number; those of several properties side by side.
    """

    def __init__(self, hidden: int, columns: int):
        self.hidden, self.columns = hidden, columns
        self.weight = 0.0
        """Sentences so far; the sum of their weights, where they have weights."""
        self._shift = np.zeros(hidden + columns)
        self._sums = np.zeros(hidden + columns)
        self._products = np.zeros((hidden, hidden + columns))
        self._squares = np.zeros(columns)

    def add(
        self,
        X: Float[np.ndarray, "block hidden"],
        Z: Float[np.ndarray, "block columns"],
        weights: Float[np.ndarray, " block"] | None = None,
    ) -> "Moments":
        """Add a block; each row counts as often as its weight says, or once."""
        counts = np.ones(len(X)) if weights is None else np.asarray(weights, dtype=np.float64)
        both = np.column_stack([X, Z]).astype(np.float64)
        if not self.weight and counts.sum() > 0:
            # Sums about a point near the mean: about 0, features far from it would lose their digits.
            self._shift = counts @ both / counts.sum()
        both -= self._shift
        weighted = both * counts[:, None]
        self.weight += float(counts.sum())
        self._sums += weighted.sum(axis=0)
        self._products += weighted[:, : self.hidden].T @ both
        self._squares += (weighted[:, self.hidden :] * both[:, self.hidden :]).sum(axis=0)
        self.__dict__.pop("whitening", None)
        return self

    @property
    def mean(self) -> Float[np.ndarray, " hidden"]:
        """Mean of the vectors."""
        return (self._shift + self._sums / self.weight)[: self.hidden]

    @property
    def covariance(self) -> Float[np.ndarray, "hidden hidden"]:
        """S_xx."""
        return self._centre()[:, : self.hidden]

    @property
    def cross_covariance(self) -> Float[np.ndarray, "hidden columns"]:
        """S_xz."""
        return self._centre()[:, self.hidden :]

    @property
    def label_variance(self) -> Float[np.ndarray, " columns"]:
        """Variance of each column of the labels."""
        return np.maximum(self._squares / self.weight - (self._sums[self.hidden :] / self.weight) ** 2, 0.0)

    def _centre(self) -> Float[np.ndarray, "hidden both"]:
        means = self._sums / self.weight
        return self._products / self.weight - np.outer(means[: self.hidden], means)

    @cached_property
    def whitening(self) -> "tuple[Float[np.ndarray, 'hidden support'], Float[np.ndarray, 'support hidden']]":
        """W^+ and W up to a rotation, within the directions in which the vectors vary (`support` of them)."""
        covariance = self.covariance
        variances = np.diag(covariance)
        scale = np.sqrt(np.where(variances > 0, variances, 1.0))
        values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
        kept = values > max(_LEAST_VARIANCE * values[-1], 0.0)
        roots, vectors = np.sqrt(values[kept]), vectors[:, kept]
        return scale[:, None] * vectors * roots, (vectors / roots).T / scale


def fit_eraser(moments: Moments, columns: slice = slice(None)) -> Eraser:
    """The least change that takes the property of some columns of the labels from the vectors (LEACE)."""
    back, whiten = moments.whitening
    deviations = np.sqrt(moments.label_variance[columns])
    # Columns at deviation 1: the singular values are then correlations, whatever the labels are measured in.
    cross = moments.cross_covariance[:, columns][:, deviations > 0] / deviations[deviations > 0]
    basis, correlations, _ = np.linalg.svd(whiten @ cross, full_matrices=False)
    basis = basis[:, correlations > _LEAST_CORRELATION]
    return Eraser(moments.mean, back @ basis, basis.T @ whiten)


def draw_eraser(moments: Moments, rank: int, rng: np.random.Generator) -> Eraser:
    """A random subspace of some rank, or of all that there is if that is less: the control of `fit_eraser`."""
    back, whiten = moments.whitening
    basis, _ = np.linalg.qr(rng.normal(size=(len(whiten), min(rank, len(whiten)))))
    return Eraser(moments.mean, back @ basis, basis.T @ whiten)
