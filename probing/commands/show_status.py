"""Say how far a run or a sweep is, whether it works, and what failed in it.

bermo-probing status data/results/RUN
"""

import sys

if __name__ == "__main__":
    from probing.command_line.starting import start

    start()

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import tyro

from probing.command_line.arguments import read_settings
from probing.exit_codes import end_in_one_line
from probing.records import InputError
from probing.store.folder_lock import check_free


@dataclass(frozen=True)
class StatusSettings:
    """The run or the sweep to look at."""

    run: Annotated[Path, tyro.conf.Positional]
    """Run folder, of probing or of training, or the folder of a sweep."""


def main() -> int:
    """Run the command.

    Returns:
        0; 1 where cells of a finished run failed; 2 after a mistake that the user can mend.
    """
    folder = read_settings(StatusSettings, description=__doc__, prog="python -m probing.commands.show_status").run
    runs = _read(folder / "sweep.json").get("runs", ())
    print(*(describe_sweep(folder, runs) if runs else describe_status(folder)), sep="\n")
    folders = [folder / run["name"] for run in runs] or [folder]
    return 1 if any(_read(one / "manifest.json").get("failures") for one in folders) else 0


def describe_sweep(folder: Path, runs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Lines on a sweep: how many of its runs are finished, and a line for each, with what failed in it."""
    manifests = {run["name"]: _read(folder / run["name"] / "manifest.json") for run in runs}
    finished = sum("finished" in manifest for manifest in manifests.values())
    yield f"{folder}: a sweep of {len(runs)} runs, {finished} of them finished"
    yield from _describe_queue(folder)
    for run in runs:
        own, manifest = folder / run["name"], manifests[run["name"]]
        state = _describe_state(own, manifest) if own.is_dir() else "not begun"
        n_cells = sum(1 for path in (own / "cells").glob("*.safetensors") if not path.name.startswith("."))
        refused = f"; left out: {run['refused']}" if run.get("refused") else ""
        parts = "".join(f"; {text}" for text in _count_parts(own))
        yield f"{run['name']}: {state}, {n_cells} cells{parts}{refused}"
        for failure in manifest.get("failures", ()):
            yield f"{run['name']} failed: " + ", ".join(
                str(value) for value in failure.values() if value not in ("", None)
            )


def describe_status(folder: Path) -> Iterator[str]:
    """Lines on a run: what it is of, whether it works or is finished, its finished cells by kind, and its failures.

    Raises:
        InputError: no run stands there.
    """
    settings = _read(folder / "settings.json")
    if not settings:
        raise InputError(f"{folder}: no settings.json; expected a run folder")
    names = ("recipe", "model", "checkpoint", "data", "task")
    yield f"{folder}: " + ", ".join(str(settings[name]) for name in names if name in settings)
    manifest = _read(folder / "manifest.json")
    yield f"state: {_describe_state(folder, manifest)}"
    yield from describe_jobs(folder)
    cells = [path for path in (folder / "cells").glob("*") if path.is_file() and not path.name.startswith(".")]
    if cells:
        newest = datetime.fromtimestamp(max(path.stat().st_mtime for path in cells), UTC)
        counts = Counter(_name_kind(path) for path in cells)
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(counts.items()))
        yield f"finished cells: {len(cells)} ({kinds}), the last {newest:%Y-%m-%d %H:%M:%S} UTC"
    for failure in manifest.get("failures", ()):
        yield "failed: " + ", ".join(str(value) for value in failure.values() if value not in ("", None))
    for warning in manifest.get("warnings", ()):
        yield f"warning: {warning}"


def describe_jobs(folder: Path) -> Iterator[str]:
    """Lines on the jobs of a run: what was queued, how many parts of each kind have ended or work, and what stopped."""
    yield from _describe_queue(folder)
    counts = list(_count_parts(folder))
    if counts:
        yield f"parts: {'; '.join(counts)}"
    for one in _list_parts(folder):
        if "error" in one:
            yield f"part {one['part']} stopped on {one['host']}: {one['error']}"


def _describe_queue(folder: Path) -> Iterator[str]:
    noted = _read(folder / "queue" / "jobs.json")
    if noted:
        arrays = (
            f"{name} {size} ({job})" for (name, size), job in zip(noted["sizes"].items(), noted["jobs"], strict=True)
        )
        yield f"queued {noted['submitted']}: {', '.join(arrays)}"


def _count_parts(folder: Path) -> Iterator[str]:
    """Counts of the parts of a run that jobs have begun, by kind: such as `cells 2 of 8 ended, 1 at work on a`."""
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for one in _list_parts(folder):
        kinds.setdefault(str(one["part"]).partition(":")[0], []).append(one)
    for kind, parts in ((kind, kinds[kind]) for kind in ("encode", "cells", "merge") if kind in kinds):
        count = str(parts[0]["part"]).rpartition("/")[2]
        working = [one["host"] for one in parts if not {"ended", "stopped"} & one.keys()]
        hosts = f", {len(working)} at work on {' '.join(dict.fromkeys(working))}" if working else ""
        yield f"{kind} {sum('ended' in one for one in parts)} of {count} ended{hosts}"


def _list_parts(folder: Path) -> Sequence[Mapping[str, Any]]:
    return [one for path in sorted((folder / "parts").glob("*-of-*.json")) if "part" in (one := _read(path))]


def _describe_state(folder: Path, manifest: Mapping[str, Any]) -> str:
    try:
        check_free(folder)
    except InputError as held:
        return str(held).partition(": ")[2].partition(";")[0]
    if manifest.get("finished"):
        gone = [name for name in manifest.get("files", ()) if not (folder / name).is_file()]
        lost = f", but {', '.join(gone)} is gone; the same command writes it again" if gone else ""
        return f"finished {manifest['finished']}{lost}"
    merged = [one for one in _list_parts(folder) if str(one["part"]).startswith("merge")]
    # The jobs of a run in a sweep are noted in the sweep's folder.
    queued = any((place / "queue" / "jobs.json").is_file() for place in (folder, folder.parent))
    if queued and not any("stopped" in one for one in merged):
        return "left to its jobs; those that wait or work are listed by squeue"
    return "stopped before its end; the same command goes on"


def _name_kind(path: Path) -> str:
    """The part of a cell's name that says what was computed: readout, and control or measure where there is one."""
    parts = [part for part in path.stem.split(".")[1:] if part != "none" and not part.isdecimal()]
    return " ".join(parts) or "majority" if path.suffix == ".safetensors" else "models"


def _read(path: Path) -> Mapping[str, Any]:
    with suppress(OSError, ValueError):
        value = json.loads(path.read_text(encoding="utf-8"))
        return value if isinstance(value, dict) else {}
    return {}


if __name__ == "__main__":
    sys.exit(end_in_one_line(main))
