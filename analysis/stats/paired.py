"""Two readouts on the same test sentences: their difference, its interval, its test and its verdicts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.stats import norm

from analysis.stats.significance import (
    ALPHA,
    MARGIN,
    Error,
    add_errors,
    error_over_seeds,
    is_equivalent,
    mcnemar,
    smallest_difference,
)
from probing.bootstrap import interval_of_differences
from probing.records import InputError


@dataclass(frozen=True)
class Paired:
    """Differences of accuracies of two readouts, over sentences and, where several seeds were fitted, over seeds."""

    differences: Float[np.ndarray, " sentences"]
    """Per test sentence, the share of seeds correct in the first minus that in the second."""
    over_seeds: Sequence[Error] = ()
    """Variance of the difference over seeds, with its degrees of freedom: of both in one where they are paired by seed
    or one of them has a single seed, else of each."""
    noise: float = 0.0
    """Part of the variance over sentences that is of single seeds on single sentences: in that over seeds it is too."""

    @property
    def mean(self) -> float:
        """The difference of the two accuracies."""
        return float(self.differences.mean())

    def interval(self, level: float = 1 - ALPHA) -> tuple[float, float]:
        """The bounds over sentences (Bonett and Price 2012) and, with several seeds, over seeds too.

        The two-way analysis of variance (Searle, Casella and McCulloch 1992, chapter 4): with mean squares of m seeds,
        n sentences and what is left, the mean has the variance (MS_seeds + MS_sentences - MS_left) / mn. The first is
        Student's; the others take the place of the variance in Bonett and Price's bounds. Both are added as errors are
        (Howe 1974).
        """
        bounds = map(float, interval_of_differences(self.differences, level))
        if not self.over_seeds:
            low, high = bounds
            return low, high
        known = norm.isf((1 - level) / 2) ** 2 * self.noise
        squares = [max(0.0, (self.mean - bound) ** 2 - known) for bound in bounds]
        _, seeds, _ = add_errors(0.0, self.over_seeds, level)
        below, above = (float(np.hypot(np.sqrt(square), np.nan_to_num(seeds))) for square in squares)
        return self.mean - below, self.mean + above

    @cached_property
    def p(self) -> float:
        """McNemar's exact p over sentences; with several seeds that of the interval over both.

        A sign test of shares of seeds would be of another question than the mean difference is.
        """
        if not self.over_seeds:
            return mcnemar(self.differences)
        low, high = interval_of_differences(self.differences, 1 - ALPHA)
        over_sentences = float((high - low) / (2 * norm.isf(ALPHA / 2))) ** 2 - self.noise
        return add_errors(self.mean, [(max(0.0, over_sentences), np.inf), *self.over_seeds])[2]

    def describe(self, margin: float = MARGIN) -> dict[str, Any]:
        """The numbers of a row of a table of comparisons, p not corrected yet."""
        low, high = self.interval()
        row = {"difference": self.mean, "ci_low": low, "ci_high": high, "p": self.p, "n": len(self.differences)}
        row |= {"equivalent": is_equivalent(*self.interval(1 - 2 * ALPHA), margin)}
        return row | {"smallest": smallest_difference(self.differences)}


def pair(first: pd.DataFrame, second: pd.DataFrame) -> Paired:
    """The first readout against the second.

    Args:
        first: columns `row label predicted seed`, one row per sentence and seed.
        second: likewise, of the same sentences.

    Raises:
        InputError: as `paired_differences`.
    """
    differences = paired_differences(first, second)
    tables = [_correct_by_seed(frame) for frame in (first, second)]
    by_seed = tables[0].index.equals(tables[1].index)
    return replace(pair_tables(*(table.to_numpy() for table in tables), by_seed=by_seed), differences=differences)


def pair_tables(
    first: Float[np.ndarray, "seeds sentences"], second: Float[np.ndarray, "others sentences"], by_seed: bool = True
) -> Paired:
    """The first readout against the second, of a number for each seed and sentence.

    Args:
        first: such as 1 where right, 0 elsewhere.
        second: likewise, of the same sentences.
        by_seed: whether row for row they are of the same seed.
    """
    several = [table for table in (first, second) if len(table) > 1]
    if by_seed and len(several) == 2:
        several = [first - second]
    errors = [error_over_seeds(table.mean(axis=1)) for table in several]
    noise = sum((measure_noise(table) for table in several), 0.0)
    differences = first.mean(axis=0) - second.mean(axis=0)
    return Paired(differences, [error for error in errors if error is not None], noise)


def paired_differences(first: pd.DataFrame, second: pd.DataFrame) -> np.ndarray:
    """Per test sentence, in their order, the share of seeds correct in the first minus that in the second.

    Args:
        first: columns `row label predicted`, one row per sentence and seed.
        second: likewise, of the same sentences.

    Raises:
        InputError: the two are not of the same sentences and labels.
    """
    one, other = (_correctness(frame) for frame in (first, second))
    if not one.index.equals(other.index):
        raise InputError(
            f"a paired comparison needs the same test sentences and labels, got sets of {len(one)} and {len(other)}"
        )
    return (one - other).to_numpy()


def _correctness(frame: pd.DataFrame) -> pd.Series:
    correct = (frame["label"] == frame["predicted"]).astype(float)
    return correct.groupby([frame["row"], frame["label"]]).mean()


def _correct_by_seed(frame: pd.DataFrame) -> pd.DataFrame:
    """Seeds x sentences: 1 where right, 0 elsewhere."""
    correct = (frame["label"] == frame["predicted"]).astype(float)
    return correct.groupby([frame["seed"], frame["row"]]).mean().unstack()


def measure_noise(table: Float[np.ndarray, "seeds sentences"]) -> float:
    """The mean square of what neither seed nor sentence explains, over the number of cells."""
    left = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
    seeds, sentences = table.shape
    return float(np.square(left).sum() / ((seeds - 1) * max(1, sentences - 1) * table.size))
