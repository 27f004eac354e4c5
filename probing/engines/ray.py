"""The engine over Ray (docs.ray.io): units as tasks, in processes of this machine or of a cluster that works already.

Ray places tasks and finds out that a process or a machine has died. Order, retries and time limits are ours: what is
lost is computed again, what ends in an error is not, and the costliest unit that waits goes first.
"""

# Where the package is not installed, pyright takes this file for it.
# pyright: reportAttributeAccessIssue=false, reportMissingImports=false

import pickle
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from probing.engines.feed import Feed
from probing.engines.ray_cluster import Cluster, ray
from probing.engines.worker import Parcel, Setup, compute_announced, compute_parcel, describe_kind
from probing.records import InputError
from probing.work import Done, EngineOptions, Function, Lost, Unit

_LOOK_S = 0.1
"""Longest time until a new unit is noticed."""


@dataclass
class _Attempt:
    """A unit that a worker has, or that Ray has no room for yet."""

    unit: Unit
    number: int
    actor: Any = None
    """Worker that computes units of its kind only; none where any process does."""
    begun: float | None = None
    """Moment at which the worker said that it begins; kept where units have a time limit."""


class _Worker:
    """A process that computes unit after unit."""

    def compute(self, parcel: Parcel, shared: bytes) -> tuple[bytes, float]:
        return compute_parcel(parcel, shared)

    @ray.method(num_returns="streaming")
    def announce(self, parcel: Parcel, shared: bytes) -> Iterator[Any]:
        yield from compute_announced(parcel, shared)


class RayEngine:
    """Computes units in worker processes, which keep what they have loaded.

    Units on a processor are tasks: Ray gives one process after the other to them. Those on a GPU have actors, one for
    each share of a GPU, for Ray ends the process of a GPU's task with the task, and its encoder with it.

    Args:
        options: wishes of the user.

    Raises:
        InputError: no cluster answers, or it has no room for a worker.
    """

    def __init__(self, options: EngineOptions):
        self._options, self._cluster = options, Cluster(options)
        cpus = int(self._cluster.cpus)
        if cpus < options.threads:
            self.close()
            raise InputError(f"--worker-threads {options.threads}: more than the {cpus} CPUs that Ray has; take fewer")
        self.workers = options.workers or max(1, cpus // options.threads)
        timed: dict[str, Any] = {"num_returns": "streaming"} if options.unit_timeout_s else {}
        compute: Any = compute_announced if timed else compute_parcel
        self._task: Any = ray.remote(num_cpus=options.threads, max_retries=0, **timed)(compute)
        self._actor: Any = ray.remote(num_cpus=options.threads, max_restarts=0)(_Worker)

    def share(self, value: Any) -> tuple[str, Any]:
        """A name, and the value in Ray's store of objects."""
        return uuid4().hex, ray.put(pickle.dumps(value))

    def run(self, function: Function, units: Iterable[Unit]) -> Iterator[Done | Lost]:
        """Compute units, as many at a time as there are workers; a lost one is begun again, on whatever worker."""
        feed, running, idle, room = Feed(units), dict[Any, _Attempt](), list[Any](), self.workers
        feed.start()
        try:
            while True:
                ended = feed.ended
                while len(running) < room and (item := feed.take()):
                    room = self._count_room(item[0])
                    ref, attempt = self._begin(function, *item, idle)
                    running[ref] = attempt
                if feed.error:
                    raise feed.error
                if not running:
                    if ended:
                        return
                    time.sleep(_LOOK_S)
                    continue
                for attempt, outcome in self._look(running):
                    if attempt.actor:
                        _dismiss(attempt.actor, idle, keep=isinstance(outcome, Done) and not feed.is_empty)
                    if isinstance(outcome, Lost) and attempt.number <= self._options.retries:
                        feed.put(attempt.unit, attempt.number + 1)
                    else:
                        yield outcome
        finally:
            feed.stopped = True
            _stop_all(running)
            for actor in idle:
                ray.kill(actor)

    def close(self) -> None:
        """End the cluster, if it was begun here."""
        self._cluster.close()

    def _count_room(self, unit: Unit) -> int:
        """Units like this one that there is room for at a time.

        Raises:
            InputError: there is none for any.
        """
        cards = self._cluster.gpus
        if unit.gpus > cards:
            raise InputError(f"a unit takes {unit.gpus:g} of a GPU, and Ray has {cards:g}; take --device cpu")
        if not unit.gpus:
            return self.workers
        # Shares of one unit are of one card.
        return min(self.workers, int(cards) * int(1 / unit.gpus) if unit.gpus < 1 else int(cards / unit.gpus))

    def _begin(self, function: Function, unit: Unit, number: int, idle: list[Any]) -> tuple[Any, _Attempt]:
        name, blob = unit.shared
        kind = {} if self._options.mixed_hardware else describe_kind(gpu=unit.gpus > 0)
        setup = Setup(self._options.threads, tuple(kind.items()), str(Path.cwd()))
        parcel = Parcel(setup, pickle.dumps((function, unit.payload)), name)
        if not unit.gpus:
            return self._task.options(name=unit.name).remote(parcel, blob), _Attempt(unit, number)
        actor = idle.pop() if idle else self._actor.options(num_gpus=unit.gpus).remote()
        method = actor.announce if self._options.unit_timeout_s else actor.compute
        return method.options(name=unit.name).remote(parcel, blob), _Attempt(unit, number, actor)

    def _look(self, running: dict[Any, _Attempt]) -> Iterator[tuple[_Attempt, Done | Lost]]:
        """The attempts that have ended, which run no more; waits a little if there is none."""
        limit_s = self._options.unit_timeout_s
        ready, _ = ray.wait(list(running), timeout=_LOOK_S)
        for ref in ready:
            attempt = running.pop(ref)
            try:
                outcome = self._receive(attempt, next(ref) if limit_s else ref)
            except BaseException:
                if attempt.actor:
                    ray.kill(attempt.actor)
                raise
            if outcome:
                yield attempt, outcome
            else:
                running[ref] = attempt
        overdue = [ref for ref, one in running.items() if one.begun and time.monotonic() - one.begun > limit_s > 0]
        for ref in overdue:
            attempt = running.pop(ref)
            _stop(ref, attempt)
            yield attempt, Lost(attempt.unit, f"took longer than --unit-timeout {limit_s:g}", attempt.number)

    def _receive(self, attempt: _Attempt, ref: Any) -> Done | Lost | None:
        """The outcome of a unit; none where its worker has said that it begins.

        Raises:
            Exception: that its function has raised, unless the system had refused something.
        """
        unit, number = attempt.unit, attempt.number
        try:
            answer = ray.get(ref)
        except ray.exceptions.RayTaskError as error:
            # A worker on a machine that is about to be lost cannot fetch what its unit shares.
            if isinstance(error.cause, ray.exceptions.RayError):
                return Lost(unit, f"lost its worker: {_name_loss(error.cause)}", number)
            if not isinstance(error.cause, OSError):
                raise error.cause from error
            return Lost(unit, f"{type(error.cause).__name__}: {error.cause}", number)
        except ray.exceptions.RayError as error:
            return Lost(unit, f"lost its worker: {_name_loss(error)}", number)
        if answer is None:
            attempt.begun = time.monotonic()
            return None
        result, seconds = answer
        return Done(unit, pickle.loads(result), seconds)


def _dismiss(actor: Any, idle: list[Any], *, keep: bool) -> None:
    """Keep a worker for the next unit, or give back what it has taken."""
    if keep:
        idle.append(actor)
    else:
        ray.kill(actor)


def _stop_all(running: dict[Any, _Attempt]) -> None:
    """End the processes of units that have not ended: Ray may end this one if it is asked to end what just has."""
    if running:
        _, working = ray.wait(list(running), num_returns=len(running), timeout=0)
        for ref in working:
            _stop(ref, running[ref])


def _stop(ref: Any, attempt: _Attempt) -> None:
    """End the process that computes a unit: nothing less ends one that hangs."""
    if attempt.actor:
        ray.kill(attempt.actor)
    else:
        ray.cancel(ref, force=True)


def _name_loss(error: ray.exceptions.RayError) -> str:
    if isinstance(error, ray.exceptions.OutOfMemoryError):
        return "its machine had no memory left"
    if isinstance(error, ray.exceptions.WorkerCrashedError | ray.exceptions.RayActorError):
        return "killed, perhaps for memory"
    return str(error).splitlines()[0]


def open_engine(options: EngineOptions) -> RayEngine:
    """Units as tasks of Ray, by a cluster that is started here or works already."""
    return RayEngine(options)
