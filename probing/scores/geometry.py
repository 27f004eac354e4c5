"""Shape of a layer's cloud of vectors, without any label: how many directions it fills, and how narrow a cone.

Effective rank (Roy & Vetterli 2007, EUSIPCO, eq. 3), with the singular values s_k of the n vectors about their mean:

    erank = exp(- sum_k p_k ln p_k),    p_k = s_k / sum_j s_j

between 1, one direction, and the width; at most n - 1, so that only equal numbers of sentences compare. Anisotropy
(Ethayarajh 2019, arXiv 1909.00512, section 3.4) is the mean cosine of the vectors u_i, at unit length, of different
sentences:

    A = mean_{i != j} u_i . u_j = (||sum_i u_i||^2 - n) / (n (n - 1))

0 where directions are even, 1 where all point one way. About the mean vector it would be near 0 by construction: what
it measures is how large that mean is.

Both have 95 % intervals over sentences. That of the rank is by the infinitesimal jackknife (Efron 1982, chapter 6):
with lambda_k = s_k^2 / n and its direction v_k, sentence i moves lambda_k by (v_k . x_i)^2 - lambda_k, and the rank by
sum_k of that times d erank / d lambda_k. That of the anisotropy is by the jackknife over sentences, with exact sums.
"""

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float
from scipy.stats import norm

from probing.bootstrap import LEVEL

Blocks = Callable[[], Iterator[Float[np.ndarray, "block hidden"]]]
"""The vectors of a layer in float64, some sentences at a time, from the first on each time that it is called."""

_LEAST = 1e-12
"""Share of the largest eigenvalue that counts as 0: rounding of float32 gives more directions than there are."""


def describe_cloud(blocks: Blocks) -> dict[str, Float[np.ndarray, "3"]]:
    """Effective rank and anisotropy of a layer, each with the bounds of its interval; two sentences or more."""
    return {"effective_rank": measure_rank(blocks), "anisotropy": measure_anisotropy(blocks)}


def measure_rank(blocks: Blocks) -> Float[np.ndarray, "3"]:
    """Effective rank with its bounds; 1 where the vectors do not differ."""
    sums = _add(np.append(block.sum(axis=0), len(block)) for block in blocks())
    n, mean = sums[-1], sums[:-1] / sums[-1]
    products = _add((block - mean).T @ (block - mean) for block in blocks()) / n
    values, directions = np.linalg.eigh(products)
    kept = values > _LEAST * max(values[-1], 0.0)
    values, directions = values[kept], directions[:, kept]
    if not len(values):
        return np.ones(3)
    lengths = np.sqrt(values)
    shares = lengths / lengths.sum()
    entropy = float(-(shares * np.log(shares)).sum())
    rank = np.exp(entropy)
    slopes = -rank * (np.log(shares) + entropy) / (2 * lengths.sum() * lengths)
    moves = [(np.square((block - mean) @ directions) - values) @ slopes for block in blocks()]
    error = np.sqrt(np.square(np.concatenate(moves)).sum()) / n
    return _bound(float(rank), float(error), 1.0, float(len(mean)))


def measure_anisotropy(blocks: Blocks) -> Float[np.ndarray, "3"]:
    """Mean cosine of different sentences with its bounds; a vector of length 0 has a cosine of 0 with all others."""
    total = _add(_normalise(block).sum(axis=0) for block in blocks())
    own, along = (np.concatenate(parts) for parts in zip(*(_project(block, total) for block in blocks()), strict=True))
    n, square, pairs = len(own), float(total @ total), own.sum()
    value = (square - pairs) / (n * (n - 1))
    if n < 3:
        return np.array([value, -1.0, 1.0])
    # Without sentence i: ||t - u_i||^2 = ||t||^2 - 2 t . u_i + ||u_i||^2.
    others = (square - 2 * along + own - (pairs - own)) / ((n - 1) * (n - 2))
    error = np.sqrt((n - 1) * others.var())
    return _bound(float(value), float(error), -1.0, 1.0)


def _project(block: np.ndarray, total: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squared length of each vector, once normalised, and its product with the sum of all."""
    units = _normalise(block)
    return np.square(units).sum(axis=1), units @ total


def _normalise(block: Float[np.ndarray, "block hidden"]) -> Float[np.ndarray, "block hidden"]:
    lengths = np.linalg.norm(block, axis=1, keepdims=True)
    return np.divide(block, lengths, out=np.zeros_like(block), where=lengths > 0)


def _bound(value: float, error: float, least: float, most: float) -> Float[np.ndarray, "3"]:
    half = float(norm.ppf((1 + LEVEL) / 2)) * error
    return np.array([value, max(value - half, least), min(value + half, most)])


def _add(parts: Iterator[np.ndarray]) -> np.ndarray:
    """Sum of arrays of one shape."""
    total = next(parts).copy()
    for part in parts:
        total += part
    return total
