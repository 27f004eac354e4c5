"""Notes of the jobs of a run in its folder, for any machine: which part is at work, where, and which has ended."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from probing.atomic_files import write_atomically
from probing.records import InputError
from probing.store.environment import describe_machine

PARTS = "parts"
"""Folder in that of a run."""
KIND = "kind.json"
"""File there: the kind of machine that works at the run."""


@contextmanager
def note_part(folder: Path, part: str, job: str) -> Iterator[None]:
    """Note that a part is at work, and then how it ended; one that is killed stays noted as at work.

    Args:
        folder: of the run.
        part: such as `cells:3/8`.
        job: number of the job in its queue; empty where there is none.
    """
    path = folder / PARTS / f"{part.replace(':', '-').replace('/', '-of-')}.json"
    begun = {"part": part, "job": job, "host": describe_machine()["host"], "begun": _now()}
    _write(path, begun)
    try:
        yield
    except BaseException as error:
        _write(path, begun | {"stopped": _now(), "error": " ".join(str(error).split())[:300] or type(error).__name__})
        raise
    _write(path, begun | {"ended": _now()})


def check_kind(folder: Path, device: str) -> None:
    """Refuse a machine of another kind than the first one that worked at a run: last digits would differ.

    Args:
        folder: of the run.
        device: that is computed on.

    Raises:
        InputError: naming both.
    """
    machine = describe_machine(device)
    path = folder / PARTS / KIND
    path.parent.mkdir(parents=True, exist_ok=True)
    own = folder / PARTS / f".{KIND}.{os.getpid()}.{machine['host']}"
    own.write_text(json.dumps(machine))
    # A link is made by one alone, also where several try at the same time; and it is whole from its beginning.
    with suppress(FileExistsError):
        os.link(own, path)
    own.unlink()
    first = read_record(path)
    for name in ("processor", "instruction_set", "gpu"):
        if first.get(name) != machine[name]:
            raise InputError(
                f"host {machine['host']}: {name.replace('_', ' ')} {machine[name] or 'none'}, where "
                f"{first.get('host')} has {first.get(name) or 'none'}, and last digits depend on it; name nodes of one "
                "kind (--slurm-constraint), or take --mixed-hardware"
            )


def find_job() -> str:
    """The number of the job that this process is of, as its queue has it; empty where it is of none."""
    array, place = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{place}" if array else os.environ.get("SLURM_JOB_ID", "")


def read_record(path: Path) -> Mapping[str, Any]:
    """A note; empty where there is none that can be read."""
    with suppress(OSError, ValueError):
        value = json.loads(path.read_text(encoding="utf-8"))
        return value if isinstance(value, dict) else {}
    return {}


def _write(path: Path, record: Mapping[str, Any]) -> None:
    write_atomically(path, f"{json.dumps(record)}\n".encode())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
