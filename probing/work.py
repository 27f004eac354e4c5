"""Units of work, and what computes them: an engine, while one waits, or a queue, which takes commands for later."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
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


Command = Sequence[str]
"""Program and arguments."""


@runtime_checkable
class Queue(Protocol):
    """Has commands done some time, in arrays of which one begins when the one before has ended, however it ended.

    Commands find in folders what those before have left there. One that is broken off is given again.
    """

    def submit(self, arrays: Mapping[str, Sequence[Command]]) -> list[str]:
        """Queue arrays of commands: the numbers of their jobs.

        Args:
            arrays: by name, in order.

        Raises:
            InputError: the queue does not take them.
        """
        ...

    def count_open(self, jobs: Sequence[str]) -> int | None:
        """Number of commands of some jobs that have not ended; none where the queue does not answer."""
        ...


@dataclass(frozen=True)
class QueueOptions:
    """Wishes of the user on the jobs of a queue."""

    folder: Path
    """Place of its notes and of what jobs print."""
    workers: int
    """Jobs that work at a time."""
    threads: int = 1
    """CPU threads of each."""
    minutes: int = 240
    """Time that a job may take."""
    retries: int = 3
    """Times that a job which took longer is queued again."""
    setup: Sequence[str] = ()
    """Shell lines that each job begins with."""
    further: Mapping[str, Any] = field(default_factory=dict)
    """Further options, by the queue's names."""


class OpenQueue(Protocol):
    """Function that opens a queue."""

    def __call__(self, options: QueueOptions, /) -> Queue:
        """Open it.

        Raises:
            InputError: what it needs is not there.
        """
        ...
