"""Two readouts on the same test sentences: their difference, its interval, its test and its verdicts."""

from collections.abc import Sequence
from dataclasses import dataclass
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
    """Of each of the two that was fitted from several seeds: the variance of its mean over them, with its degrees of
    freedom."""

    @property
    def mean(self) -> float:
        """The difference of the two accuracies."""
        return float(self.differences.mean())

    def interval(self, level: float = 1 - ALPHA) -> tuple[float, float]:
        """The bounds over sentences (Bonett and Price 2012) and, with several seeds, over seeds too.

        What either source of error leaves to a side of the difference is added as errors are (Howe 1974).
        """
        low, high = map(float, interval_of_differences(self.differences, level))
        if not self.over_seeds:
            return low, high
        seeds = add_errors(0.0, self.over_seeds, level)[1]
        return self.mean - float(np.hypot(self.mean - low, seeds)), self.mean + float(np.hypot(high - self.mean, seeds))

    @cached_property
    def p(self) -> float:
        """McNemar's exact p over sentences; with several seeds that of the interval over both.

        A sign test of shares of seeds would be of another question than the mean difference is.
        """
        if not self.over_seeds:
            return mcnemar(self.differences)
        low, high = interval_of_differences(self.differences, 1 - ALPHA)
        over_sentences = (float(high - low) / (2 * norm.isf(ALPHA / 2))) ** 2
        return add_errors(self.mean, [(over_sentences, np.inf), *self.over_seeds])[2]

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
    errors = [error_over_seeds(_accuracy_by_seed(frame)) for frame in (first, second)]
    return Paired(paired_differences(first, second), [error for error in errors if error is not None])


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


def _accuracy_by_seed(frame: pd.DataFrame) -> np.ndarray:
    correct = (frame["label"] == frame["predicted"]).astype(float)
    return correct.groupby(frame["seed"]).mean().to_numpy()
