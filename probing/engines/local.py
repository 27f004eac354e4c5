"""The engine that needs nothing: this process, one unit after the other, in the order in which they come."""

from collections.abc import Iterable, Iterator
from typing import Any

from probing.work import Done, EngineOptions, Function, Lost, Unit


class LocalEngine:
    """Computes a unit when it is asked for the outcome; the next unit is asked for after that."""

    workers = 1

    def share(self, value: Any) -> Any:
        """The value itself."""
        return value

    def run(self, function: Function, units: Iterable[Unit]) -> Iterator[Done | Lost]:
        """Compute each unit once: what the system refuses here, it would refuse again."""
        for unit in units:
            try:
                result = function(unit.payload, unit.shared)
            except OSError as error:
                yield Lost(unit, f"{type(error).__name__}: {error}")
                continue
            yield Done(unit, result)

    def close(self) -> None:
        """Nothing is held."""


def open_engine(options: EngineOptions) -> LocalEngine:
    """This process, one unit after the other; no wish concerns it."""
    return LocalEngine()
