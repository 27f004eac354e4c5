"""The engine over Ray (docs.ray.io): units as tasks, in processes of this machine or of a cluster that works already.

Ray places tasks and finds out that a process or a machine has died. Order and retries are ours: what is lost is
computed again, what ends in an error is not, and the costliest unit that waits goes first.
"""

# Where the package is not installed, pyright takes this file for it.
# pyright: reportAttributeAccessIssue=false, reportMissingImports=false

import os
import pickle
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from functools import lru_cache
from heapq import heappop, heappush
from itertools import count
from threading import Lock, Thread
from typing import Any
from uuid import uuid4

_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",  # it reports to its makers otherwise
    "RAY_AUTH_MODE": "token",  # anyone on the network could run code otherwise
    "RAY_task_oom_retries": "0",  # retries are ours
    "RAY_worker_num_grpc_internal_threads": "1",  # clusters cap the threads of a user
}
for _name, _value in _SETTINGS.items():
    os.environ.setdefault(_name, _value)  # Ray reads them when it is imported, and not again

import ray
import torch
from ray.exceptions import RayError, RayTaskError

from probing import __version__
from probing.records import InputError
from probing.store.environment import describe_machine
from probing.work import Done, EngineOptions, Function, Lost, Unit

_OBJECTS_BYTES = 512 * 2**20
"""Room for tasks and indices: the default, 30 % of memory in /dev/shm, is more than a container has."""
_STARTS = 4
"""Attempts to start: Ray gives a node half a minute, which a busy machine may exceed."""
_LOOK_S = 0.1
"""Longest time until a new unit is noticed."""
_SHARED: dict[str, Any] = {}
"""In a worker: the last thing that its units shared, by name."""


class RayEngine:
    """Computes units in worker processes, which keep what they have loaded.

    Args:
        options: wishes of the user.

    Raises:
        InputError: no cluster answers, or it has no room for a worker.
    """

    def __init__(self, options: EngineOptions):
        self._retries, self._temporary, self._joined = options.retries, "", ray.is_initialized()
        if not self._joined:
            self._start(options)
        cpus = int(ray.cluster_resources().get("CPU", 0))
        if cpus < options.threads:
            self.close()
            raise InputError(f"--worker-threads {options.threads}: more than the {cpus} CPUs that Ray has; take fewer")
        self.workers = options.workers or max(1, cpus // options.threads)
        expected = {} if options.mixed_hardware else describe_kind()
        self._setup = options.threads, tuple(expected.items()), __version__
        self._task: Any = ray.remote(num_cpus=options.threads, num_gpus=options.gpu_share, max_retries=0)(compute_unit)

    def share(self, value: Any) -> tuple[str, Any]:
        """A name, and the value in Ray's store of objects: as bytes, for arrays would come out of it read-only."""
        return uuid4().hex, ray.put(pickle.dumps(value))

    def run(self, function: Function, units: Iterable[Unit]) -> Iterator[Done | Lost]:
        """Compute units, as many at a time as there are workers; a lost one is begun again, on whatever worker."""
        feed, running = _Feed(units), {}
        feed.start()
        try:
            while True:
                ended = feed.ended
                while len(running) < self.workers and (item := feed.take()):
                    running[self._begin(function, item[0])] = item
                if feed.error:
                    raise feed.error
                if not running:
                    if ended:
                        return
                    time.sleep(_LOOK_S)
                    continue
                ready, _ = ray.wait(list(running), timeout=_LOOK_S)
                for unit, attempt, ref in [(*running.pop(ref), ref) for ref in ready]:
                    outcome = self._receive(unit, attempt, ref)
                    if isinstance(outcome, Lost) and attempt <= self._retries:
                        feed.put(unit, attempt + 1)
                    else:
                        yield outcome
        finally:
            feed.stopped = True
            for ref in running:
                ray.cancel(ref, force=True)

    def close(self) -> None:
        """End the cluster, if it was begun here."""
        if not self._joined:
            ray.shutdown()
        shutil.rmtree(self._temporary, ignore_errors=True)

    def _start(self, options: EngineOptions) -> None:
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        if options.address:
            where: dict[str, Any] = {"address": options.address}
        else:
            # A socket's path may have 107 letters, and /tmp/ray may be another user's.
            self._temporary = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
            cpus = options.workers * options.threads or len(os.sched_getaffinity(0))
            where = {"address": "local", "num_cpus": cpus, "include_dashboard": False}
            where |= {"object_store_memory": _OBJECTS_BYTES, "_temp_dir": self._temporary}
        for left in reversed(range(_STARTS)):
            try:
                ray.init(**where, **quiet)
                return
            except Exception as error:  # noqa: BLE001 - it throws plain ones, such as of a node that was slow to start
                ray.shutdown()
                if not left:
                    self.close()
                    raise InputError(_explain(options.address, error)) from None

    def _begin(self, function: Function, unit: Unit) -> Any:
        name, blob = unit.shared
        return self._task.options(name=unit.name).remote(
            self._setup, pickle.dumps((function, unit.payload)), name, blob
        )

    def _receive(self, unit: Unit, attempt: int, ref: Any) -> Done | Lost:
        """The outcome of a unit.

        Raises:
            Exception: that its function has raised, unless the system had refused something.
        """
        try:
            result, seconds = ray.get(ref)
        except RayTaskError as error:
            if not isinstance(error.cause, OSError):
                raise error.cause from error
            return Lost(unit, f"{type(error.cause).__name__}: {error.cause}", attempt)
        except RayError as error:
            return Lost(unit, f"lost its worker: {str(error).splitlines()[0]}", attempt)
        return Done(unit, pickle.loads(result), seconds)


def _explain(address: str, error: Exception) -> str:
    reason = " ".join(str(error).split())[:200]
    if address:
        return f"--engine-address {address}: no cluster answers ({reason}); start one by `ray start --head`"
    return f"--engine ray: cannot be started here ({reason}); take --engine local, or a cluster by --engine-address"


class _Feed(Thread):
    """Asks for units in a thread of its own, for making one may take long, and has the costliest ready first."""

    def __init__(self, units: Iterable[Unit]):
        super().__init__(daemon=True)
        self._units, self._waiting, self._lock, self._count = units, [], Lock(), count()
        self.ended = self.stopped = False
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            for unit in self._units:
                self.put(unit, 1)
                if self.stopped:
                    break
        except BaseException as error:  # noqa: BLE001 - raised where the outcomes are asked for
            self.error = error
        self.ended = True

    def put(self, unit: Unit, attempt: int) -> None:
        """Have a unit wait."""
        with self._lock:
            heappush(self._waiting, (-unit.cost, next(self._count), unit, attempt))

    def take(self) -> tuple[Unit, int] | None:
        """The costliest unit that waits, and the number of the attempt; none where none waits."""
        with self._lock:
            return heappop(self._waiting)[2:] if self._waiting else None


def compute_unit(setup: tuple[Any, ...], work: bytes, name: str, blob: bytes) -> tuple[bytes, float]:
    """Compute a unit in a worker: its result, and the seconds that it took."""
    prepare_worker(*setup)
    start = time.perf_counter()
    function, payload = pickle.loads(work)
    if name not in _SHARED:
        # The last one stays: the next unit is likely of the same task, whose digest is kept with it.
        _SHARED.clear()
        _SHARED[name] = pickle.loads(blob)
    result = function(payload, _SHARED[name])
    return pickle.dumps(result), time.perf_counter() - start


@lru_cache(maxsize=1)
def prepare_worker(threads: int, kind: tuple[tuple[str, str], ...], version: str) -> None:
    """Make a worker like the process that sends it units.

    Raises:
        InputError: it cannot be made so.
    """
    host = describe_machine()["host"]
    if version != __version__:
        raise InputError(f"host {host}: has bermo-probing {__version__}, and the run {version}; install the same")
    found = describe_kind()
    for name, value in kind:
        if found[name] != value:
            raise InputError(
                f"host {host}: {name.replace('_', ' ')} {found[name]}, where the run has {value}: last digits would "
                "depend on who computes what; leave that host out, or take --mixed-hardware"
            )
    torch.set_num_threads(threads)
    # A hundred workers would ask the hub at once; the run has fetched what they need.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def describe_kind() -> dict[str, str]:
    """The facts of a machine that last digits depend on."""
    machine = describe_machine()
    return {name: machine[name] for name in ("processor", "instruction_set")}


def open_engine(options: EngineOptions) -> RayEngine:
    """Units as tasks of Ray, by a cluster that is started here or works already."""
    return RayEngine(options)
