"""Scores with a property erased, and what is lost by that, as rows of a run's table."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from probing.bootstrap import interval_of_differences
from probing.cells.amnesic_states import PROPERTY
from probing.scores.uncertainty import find_wilson, means_with_intervals
from probing.tables import AmnesicScore

NOTHING = "nothing"
"""In the column `against`: the encoder without an erasure."""
_COSTS = ("bits_per_token",)
"""Metrics that are better where they are lower."""

Values = Float[np.ndarray, " _test"] | Bool[np.ndarray, " _test"]
"""Of each test sentence: right or wrong, a share of tokens, or bits."""


@dataclass(frozen=True)
class Erasure:
    """One place at which something is erased, and one readout of what is left."""

    block: int
    """Index of the layer; -1 for no erasure at all."""
    block_name: str
    ranks: Mapping[str, int]
    """Directions erased, by erasure."""
    facts: Mapping[str, Any]
    """Further columns: those that say whose score it is."""


def score_erasures(at: Erasure, metric: str, plain: Values, found: Mapping[str, Values]) -> Iterator[AmnesicScore]:
    """The rows of one place and readout.

    Args:
        at: the place and the readout.
        metric: of the values.
        plain: of each test sentence, nothing being erased; scored itself where that is the place.
        found: the same by erasure; empty where nothing is erased.
    """
    if not found:
        yield _row(at, PROPERTY, metric, _score(plain, metric))
        return
    sign = -1.0 if metric in _COSTS else 1.0
    for control, values in found.items():
        yield _row(at, control, metric, _score(values, metric))
        yield _lose(at, control, metric, NOTHING, sign * (plain.astype(float) - values))
    for control in found:
        if control != PROPERTY:
            yield _lose(at, PROPERTY, metric, control, sign * (found[control].astype(float) - found[PROPERTY]))


def _lose(at: Erasure, control: str, metric: str, against: str, lost: Float[np.ndarray, " test"]) -> AmnesicScore:
    if metric in _COSTS:
        numbers = means_with_intervals(lost[None])[0]
    else:
        numbers = np.array([lost.mean(), *interval_of_differences(lost)])
    counts = {"worse": int((lost > 0).sum()), "better": int((lost < 0).sum())}
    return _row(at, control, metric, numbers, against=against, n=len(lost), **counts)


def _score(values: Values, metric: str) -> tuple[float, float, float, int]:
    if values.dtype == bool:
        return (float(values.mean()), *find_wilson(int(values.sum()), len(values)), len(values))
    value, low, high = means_with_intervals(values[None].astype(float))[0].tolist()
    return value, low, high, len(values)


def _row(at: Erasure, control: str, metric: str, numbers: Any, **others: Any) -> AmnesicScore:
    value, low, high, *n = (float(number) for number in numbers)
    counted: dict[str, Any] = {"against": "", "worse": 0, "better": 0} | ({"n": int(n[0])} if n else {}) | others
    return AmnesicScore(
        **at.facts,
        control=control,
        block=at.block,
        block_name=at.block_name,
        rank=at.ranks.get(control, 0),
        metric=metric,
        value=value,
        ci_low=low,
        ci_high=high,
        **counted,
    )
