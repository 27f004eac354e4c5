"""Several ways of doing one thing, side by side: a warm-up of each, then rounds in which each has its turn."""

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Rounds:
    """How often everything is measured."""

    least: int = 3
    most: int = 7
    budget_s: float = 40.0
    """After the least, rounds follow one another until this is spent."""

    def go_on(self, done: int, spent_s: float) -> bool:
        """Whether another round follows."""
        return done < self.least or (done < self.most and spent_s * (done + 1) / done < self.budget_s)


@dataclass(frozen=True)
class Way:
    """One way of doing it."""

    name: str
    run: Callable[[], Any]
    amount: float = 1.0
    """How much it does, in the comparison's unit."""
    warm_up: Callable[[], Any] | None = None
    """Done first, and not counted; by default the work itself."""
    read_seconds: Callable[[Any], float] | None = None
    """Takes the seconds from what the work gave, where a part of it is not to count."""
    most: int | None = None
    """Rounds after which it is let go, where it takes far longer than the others."""

    def goes_on(self, done: int) -> bool:
        """Whether it has its turn in another round."""
        return self.most is None or done < self.most


@dataclass
class Comparison:
    """What was measured."""

    title: str
    unit: str
    reference: str
    """The way that all are held against."""
    amounts: dict[str, float]
    seconds: dict[str, list[float]]
    """Of each way, round by round."""
    results: dict[str, Any] = field(default_factory=dict)
    """What each way gave in the last round."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What else is to be said, by its name in plain words."""
    cut_short: bool = False
    """True where the work was ended before it was done."""

    def ratios(self, name: str) -> np.ndarray:
        """How many times as long as the reference a way took for the same amount, in each round that it had."""
        own, other = (np.array(self.seconds[way]) / self.amounts[way] for way in (name, self.reference))
        return own / other[: len(own)]

    def add_up(self, name: str, pieces: Mapping[str, int]) -> None:
        """Add a way that is made of others, in the rounds that all of them had.

        Args:
            name: of the way.
            pieces: how many times over each is done, counted by the reference's amount.
        """
        rounds = zip(*(self.seconds[piece] for piece in pieces), strict=False)
        amount = self.amounts[self.reference]
        times = [amount * times / self.amounts[piece] for piece, times in pieces.items()]
        self.seconds[name] = [float(np.dot(times, seconds)) for seconds in rounds]
        self.amounts[name] = self.amounts[self.reference]

    def summarise(self) -> dict[str, Any]:
        """For a JSON file."""
        ways = {
            name: {
                "amount": self.amounts[name],
                "seconds": seconds,
                "rate": spread(self.amounts[name] / np.array(seconds)),
                "ratio": spread(self.ratios(name)),
            }
            for name, seconds in self.seconds.items()
        }
        return {"title": self.title, "unit": self.unit, "reference": self.reference, "ways": ways, "facts": self.facts}


def compare(title: str, unit: str, ways: Sequence[Way], rounds: Rounds, reference: str = "") -> Comparison:
    """Time some ways of doing one thing.

    The reference has its turn in every round.

    Args:
        title: of the comparison.
        unit: of the amounts.
        ways: in the order in which they have their turns.
        rounds: how many.
        reference: the way that all are held against; by default the first.
    """
    for way in ways:
        (way.warm_up or way.run)()
    amounts, seconds = {way.name: way.amount for way in ways}, {way.name: [] for way in ways}
    comparison = Comparison(title, unit, reference or ways[0].name, amounts, seconds)
    start, done = time.perf_counter(), 0
    while rounds.go_on(done, time.perf_counter() - start):
        for way in (one for one in ways if one.goes_on(done)):
            comparison.results[way.name], taken = measure(way)
            seconds[way.name].append(taken)
        done += 1
    return comparison


def measure(way: Way) -> tuple[Any, float]:
    """What one way gives, and the seconds it took."""
    gc.collect()
    start = time.perf_counter()
    result = way.run()
    taken = time.perf_counter() - start
    return result, way.read_seconds(result) if way.read_seconds else taken


def spread(values: np.ndarray) -> dict[str, float]:
    """Median and quartiles."""
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75]).tolist()
    return {"median": median, "low": low, "high": high}
