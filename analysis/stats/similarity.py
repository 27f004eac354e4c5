"""Similarity of the layers of two encoders: linear CKA, without the bias that wide layers give it.

Of vectors X and Y of the same n sentences, with K = X X^T and L = Y Y^T (Kornblith et al. 2019, arXiv 1905.00414):

    CKA = HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L))

The usual estimate of HSIC is biased upwards, the more so the more dimensions there are for each sentence: of
independent noise as wide as there are sentences its CKA is near 1/2. The unbiased one (Song et al. 2012, J. Mach.
Learn. Res. 13, 1393, eq. 5) has K~ and L~, the matrices with a diagonal of zeros:

    HSIC = [tr(K~ L~) + (1'K~1)(1'L~1) / ((n - 1)(n - 2)) - 2 / (n - 2) 1'K~ L~ 1] / (n (n - 3))

It is near 0 where nothing is shared, and may fall below; of X with a rotated, scaled or shifted X it is 1.
"""

import numpy as np
from jaxtyping import Float

from probing.records import InputError

_FEWEST = 4
"""Sentences; of fewer there is no unbiased estimate."""

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
    counts = [stack.shape[1] for stack in (one, other)]
    if counts[0] != counts[1] or counts[0] < _FEWEST:
        raise InputError(f"CKA needs the same sentences, {_FEWEST} or more, of both; got {counts[0]} and {counts[1]}")
    first, second = ([_normalise(layer) for layer in stack] for stack in (one, other))
    return np.array([[float((k * l).sum()) for l in second] for k in first])  # noqa: E741 - the formula's letters


def debiased_cka(x: Float[np.ndarray, "sentences hidden"], y: Float[np.ndarray, "sentences other_hidden"]) -> float:
    """Debiased linear CKA of two layers' vectors of the same sentences."""
    return float(compare_stacks(x[None], y[None])[0, 0])


def _normalise(vectors: Float[np.ndarray, "sentences hidden"]) -> Float[np.ndarray, "sentences sentences"]:
    """U-centred matrix of inner products, of length 1.

    The sum of the products of two U-centred matrices is n (n - 3) times the estimate above (Szekely and Rizzo 2014,
    Ann. Stat. 42, 2382), and the factor cancels.
    """
    centred = np.asarray(vectors, dtype=float)
    # Inner products of vectors far from 0 would lose their digits; the estimate does not see a shift.
    centred = centred - centred.mean(axis=0)
    kernel = centred @ centred.T
    np.fill_diagonal(kernel, 0.0)
    n, rows = len(kernel), kernel.sum(axis=1)
    kernel -= (rows[:, None] + rows[None, :]) / (n - 2) - rows.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(kernel, 0.0)
    length = np.sqrt(np.square(kernel).sum())
    return kernel / length if length > 0 else np.full_like(kernel, np.nan)
