"""Scores on held-out text with intervals over its blocks: tokens of one block depend on one another."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

from probing.bootstrap import percentile_interval, resample_counts
from probing.training.contracts import SplitScore

TOKENS = 8192
"""In a batch of an evaluation, which keeps nothing for a backward pass."""


def split_rows(n_blocks: int, length: int) -> list[Int[np.ndarray, " batch"]]:
    """The blocks of each batch for going once through a split."""
    return np.array_split(np.arange(n_blocks), max(1, -(-n_blocks * length // TOKENS)))


def mean_with_interval(
    values: Float[np.ndarray, " tokens"], blocks: Int[np.ndarray, " tokens"], rng: np.random.Generator
) -> Float[np.ndarray, "3"]:
    """The mean over tokens and the bounds of its 95 % percentile bootstrap interval over their blocks."""
    sums, counts = np.bincount(blocks, values), np.bincount(blocks)
    drawn = resample_counts(len(sums), rng)
    totals = drawn @ counts
    means = np.divide(drawn @ sums, totals, out=np.full(len(totals), values.mean()), where=totals > 0)
    return np.array([values.mean(), *percentile_interval(means)])


def write_score(
    split: str, metric: str, scored: Float[np.ndarray, "3"], n: int, majority: float, diverged: bool
) -> SplitScore:
    """A row of the table, `scored` being a value and the bounds of its interval."""
    value, low, high = scored.tolist()
    return SplitScore(split, metric, value, low, high, n, majority, diverged)


def score_with_interval(
    rule: Callable[[Float[np.ndarray, " blocks"]], float], n_blocks: int, rng: np.random.Generator
) -> Float[np.ndarray, "3"]:
    """A score of all blocks and the bounds of its interval, by a rule that takes how often each block counts."""
    drawn = np.array([rule(counts) for counts in resample_counts(n_blocks, rng)])
    # Of few blocks some resamples have no score.
    found = drawn[np.isfinite(drawn)]
    bounds = percentile_interval(found) if len(found) else (np.nan, np.nan)
    return np.array([rule(np.ones(n_blocks)), *bounds])
