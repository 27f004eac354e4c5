"""A worker's part: it is made like the process that sends it units, and computes them; needs no engine's package."""

import os
import pickle
import time
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import torch

from probing import __version__
from probing.records import InputError
from probing.store.environment import describe_machine

_KEPT = 2
"""Things shared by units that a worker keeps: the next unit is likely of the same task, and of the same encoder."""
_SHARED: dict[str, Any] = {}
"""In a worker: the last things that its units shared, by name; the one used last stands at the end."""


class Setup(NamedTuple):
    """Description of the process that sends units, which a worker must be like."""

    threads: int
    kind: tuple[tuple[str, str], ...]
    """Facts of the machine that last digits depend on; none where they may differ."""
    folder: str
    """Working folder: paths may be relative to it."""
    version: str = __version__


class Parcel(NamedTuple):
    """A unit as it travels: in bytes, for arrays would come out of a store of objects read-only."""

    setup: Setup
    work: bytes
    """Function and payload."""
    name: str
    """Name of what it shares with others."""


def compute_parcel(parcel: Parcel, shared: bytes) -> tuple[bytes, float]:
    """Compute a unit: its result, and the seconds that it took.

    Raises:
        InputError: naming this host: it cannot do what the run asks for.
        Exception: any other that the unit's function raises.
    """
    try:
        prepare_worker(parcel.setup)
        start = time.perf_counter()
        function, payload = pickle.loads(parcel.work)
        result = function(payload, _take_shared(parcel.name, shared))
    except InputError as error:
        raise InputError(f"host {describe_machine()['host']}: {error}") from None
    return pickle.dumps(result), time.perf_counter() - start


def compute_announced(parcel: Parcel, shared: bytes) -> Iterator[Any]:
    """Compute a unit, saying first that it is begun: from then on its time counts."""
    yield None
    yield compute_parcel(parcel, shared)


def _take_shared(name: str, shared: bytes) -> Any:
    value = _SHARED.pop(name) if name in _SHARED else pickle.loads(shared)
    while len(_SHARED) >= _KEPT:
        _SHARED.pop(next(iter(_SHARED)))
    _SHARED[name] = value
    return value


@lru_cache(maxsize=1)
def prepare_worker(setup: Setup) -> None:
    """Make this process like the one that sends it units.

    Raises:
        InputError: it cannot be made so.
    """
    if setup.version != __version__:
        raise InputError(f"has bermo-probing {__version__}, and the run {setup.version}; install the same")
    try:
        os.chdir(setup.folder)
    except OSError:
        raise InputError(f"{setup.folder}: not seen here; expected a folder that all hosts share") from None
    found = describe_kind(gpu="gpu" in dict(setup.kind))
    for name, value in setup.kind:
        if found[name] != value:
            raise InputError(
                f"{name.replace('_', ' ')} {found[name] or 'none'}, where the run has {value or 'none'}: last digits "
                "would depend on who computes what; leave that host out, or take --mixed-hardware"
            )
    torch.set_num_threads(setup.threads)
    # A hundred workers would ask the hub at once; the run has fetched what they need.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def describe_kind(*, gpu: bool = False) -> dict[str, str]:
    """The facts of a machine that last digits depend on; the GPU too, where units are computed on it."""
    machine = describe_machine("cuda" if gpu and torch.cuda.is_available() else "cpu")
    return {name: machine[name] for name in ("processor", "instruction_set", *(("gpu",) if gpu else ()))}
