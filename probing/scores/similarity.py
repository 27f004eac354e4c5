"""Similarity of layers, of one encoder or of two: linear CKA, without the bias that wide layers give it.

Of vectors X and Y of the same n sentences, with K = X X^T and L = Y Y^T (Kornblith et al. 2019, arXiv 1905.00414):

    CKA = HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L))

The usual estimate of HSIC is biased upwards, the more so the more dimensions there are for each sentence: of
independent noise as wide as there are sentences its CKA is near 1/2. The unbiased one (Song et al. 2012, J. Mach.
Learn. Res. 13, 1393, eq. 5) has K~ and L~, the matrices with a diagonal of zeros:

    HSIC = [tr(K~ L~) + (1'K~1)(1'L~1) / ((n - 1)(n - 2)) - 2 / (n - 2) 1'K~ L~ 1] / (n (n - 3))

It is near 0 where nothing is shared, and may fall below; of X with a rotated, scaled or shifted X it is 1. Its 95 %
interval over sentences is a jackknife's over G groups of them (Efron 1982, chapter 3): each sum of the formula without
a group is the whole sum less what the group has in it. Sentences drawn twice, as a bootstrap has them, would be alike.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import t as student

from probing.bootstrap import LEVEL
from probing.records import InputError

FEWEST = 4
"""Sentences; of fewer there is no unbiased estimate."""
_GROUPS = 20
_ROUNDING = 1e-12
"""Share of the largest number below which a difference from the mean is rounding."""

Stack = Float[np.ndarray, "layers sentences hidden"]
Other = Float[np.ndarray, "other_layers other_sentences other_hidden"]


def compare_stacks(one: Stack, other: Other) -> Float[np.ndarray, "layers other_layers"]:
    """Debiased linear CKA of every layer of one encoder with every layer of another, on the same sentences.

    Args:
        one: pooled vectors, such as `probing.encode(sentences, checkpoint).values`.
        other: those of the other encoder; depth and width may differ. What is filled up with zeros does not count.

    Returns:
        One row for each layer of the first; NaN where a layer says the same of all sentences.

    Raises:
        InputError: the two are not of equally many sentences, or of fewer than four.
    """
    return _leave_out(one, other, np.zeros(0, dtype=int))[..., 0]


def compare_with_intervals(one: Stack, other: Other) -> Float[np.ndarray, "layers other_layers 3"]:
    """The same with the bounds of 95 % intervals over sentences, which are taken in the order they stand in.

    Raises:
        InputError: the two are not of equally many sentences, or of fewer than eight.
    """
    n = one.shape[1]
    if n < 2 * FEWEST:
        raise InputError(f"an interval of CKA needs {2 * FEWEST} sentences or more, got {n}")
    n_groups = min(_GROUPS, n // 2)
    found = _leave_out(one, other, np.linspace(0, n, n_groups, endpoint=False).astype(int))
    value, others = found[..., :1], found[..., 1:]
    spread = np.sqrt((n_groups - 1) * others.var(axis=-1, keepdims=True))
    half = float(student.ppf((1 + LEVEL) / 2, n_groups - 1)) * spread
    return np.concatenate([value, np.maximum(value - half, -1.0), np.minimum(value + half, 1.0)], axis=-1)


@dataclass(frozen=True)
class _Products:
    """Inner products of a layer's vectors, and their sums over the sentences that are left, all and without a group."""

    kernel: Float[np.ndarray, "sentences sentences"]
    """K~."""
    rows: Float[np.ndarray, "sentences groups_and_all"]
    """Sum of each row over what is left, 0 where the row itself is left out; the first column leaves nothing out."""


def _leave_out(
    one: Stack, other: Other, starts: Int[np.ndarray, " groups"]
) -> Float[np.ndarray, "layers other_layers groups_and_all"]:
    """CKA of all sentences, then without each group of them; `starts` are the groups' first sentences."""
    counts = [stack.shape[1] for stack in (one, other)]
    if counts[0] != counts[1] or counts[0] < FEWEST:
        raise InputError(f"CKA needs the same sentences, {FEWEST} or more, of both; got {counts[0]} and {counts[1]}")
    first = [_multiply(layer, starts) for layer in one]
    second = first if other is one else [_multiply(layer, starts) for layer in other]
    lengths = [np.array([_estimate(own, own, starts) for own in side]) for side in (first, second)]
    shared = np.array([[_estimate(k, l, starts) for l in second] for k in first])  # noqa: E741 - the formula's letters
    with np.errstate(divide="ignore", invalid="ignore"):
        found = shared / np.sqrt(lengths[0][:, None] * lengths[1][None])
    return np.where(np.isfinite(found), found, np.nan)


def _multiply(vectors: Float[np.ndarray, "sentences hidden"], starts: Int[np.ndarray, " groups"]) -> _Products:
    wide = np.asarray(vectors, dtype=float)
    # Inner products of vectors far from 0 would lose their digits; the estimate does not see a shift.
    centred = wide - wide.mean(axis=0)
    centred[np.abs(centred) <= _ROUNDING * np.abs(wide).max()] = 0.0
    kernel = centred @ centred.T
    np.fill_diagonal(kernel, 0.0)
    whole = kernel.sum(axis=1, keepdims=True)
    if not len(starts):
        return _Products(kernel, whole)
    left = whole - np.add.reduceat(kernel, starts, axis=1)
    left[np.arange(len(left)), np.searchsorted(starts, np.arange(len(left)), side="right") - 1] = 0.0
    return _Products(kernel, np.hstack([whole, left]))


def _estimate(one: _Products, other: _Products, starts: Int[np.ndarray, " groups"]) -> Float[np.ndarray, " sums"]:
    """N (n - 3) HSIC of all sentences, then without each group."""
    n, shared = len(one.kernel), one.kernel * other.kernel
    traces, left = np.array([shared.sum()]), np.array([float(n)])
    if len(starts):
        by_group = np.add.reduceat(np.add.reduceat(shared, starts, axis=0), starts, axis=1)
        traces = np.append(traces, traces - 2 * by_group.sum(axis=1) + by_group.diagonal())
        left = np.append(left, n - np.diff(starts, append=n))
    sums = one.rows.sum(axis=0) * other.rows.sum(axis=0) / ((left - 1) * (left - 2))
    return traces + sums - 2 / (left - 2) * (one.rows * other.rows).sum(axis=0)
