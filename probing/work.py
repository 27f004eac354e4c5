"""Units of work, and what an engine is: something that computes them, here, in other processes or on other machines."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True)
class Unit:
    """A piece of work that depends on nothing but its payload and on what it shares with others."""

    name: str
    """Name that no other unit of a run has."""
    cost: float
    """Rough cost, in any unit of work: those that cost most are begun first where several are computed at a time."""
    payload: Any
    """Small and its own; it can be pickled."""
    shared: Any
    """Handle of what several units need, from `Engine.share`."""
    gpus: float = 0.0
    """Part of a GPU that it takes; units of one `Engine.run` take as much as each other."""


@dataclass(frozen=True)
class Done:
    """A unit that was computed."""

    unit: Unit
    result: Any
    elsewhere_s: float = 0.0
    """Seconds that another process spent on it; 0 where it was computed in this one, which has seen them pass."""


@dataclass(frozen=True)
class Lost:
    """A unit that could not be computed for no fault of its own: a worker died, a file system did not answer."""

    unit: Unit
    reason: str
    attempts: int = 1


Function = Callable[[Any, Any], Any]
"""Takes the payload of a unit and what it shares. A function of a module, for it may have to be found elsewhere."""


@runtime_checkable
class Engine(Protocol):
    """Computes units. An error that would happen again is a value, given back by the function."""

    workers: int
    """Units that are computed at a time."""

    def share(self, value: Any) -> Any:
        """A handle of something that several units need, so that it is sent about once."""
        ...

    def run(self, function: Function, units: Iterable[Unit]) -> Iterator[Done | Lost]:
        """Compute units, which are asked for one by one as there is room for them; outcomes come in any order.

        What the system refuses (`OSError`) costs the unit, after as many attempts as the engine makes.

        Raises:
            Exception: any other that the function raises.
        """
        ...

    def close(self) -> None:
        """Give back what the engine holds; nothing is computed any more."""
        ...


@dataclass(frozen=True)
class EngineOptions:
    """Wishes of the user on how units are computed; an engine takes those that it knows."""

    address: str = ""
    """Address of a cluster that works already; empty: one is started, and ended."""
    workers: int = 0
    """Units that are computed at a time; 0: as many as there is room for."""
    threads: int = 1
    """CPU threads of each worker."""
    retries: int = 3
    """Times that a unit is tried again after its worker was lost."""
    unit_timeout_s: float = 0.0
    """Longest time that a unit may take before its worker counts as lost; 0 for any."""
    mixed_hardware: bool = False
    """True where workers may have another kind of processor or GPU than this process."""


class OpenEngine(Protocol):
    """Function that starts an engine."""

    def __call__(self, options: EngineOptions, /) -> Engine:
        """Start it.

        Raises:
            InputError: what it needs is not there.
        """
        ...
