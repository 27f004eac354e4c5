"""The runs of a sweep, one after the other or several at a time, all of them through one engine."""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from probing import pipeline, preparing
from probing.atomic_files import write_atomically
from probing.command_line.arguments import expand_paths
from probing.digests import digest_file
from probing.progress import Reporter
from probing.records import InputError
from probing.sealed_json import seal_json
from probing.settings.checks import check_settings
from probing.settings.engine import use_engine
from probing.settings.run import RunSettings
from probing.settings.sweep import SweptRun
from probing.work import Engine

SWEEP = "sweep.json"
"""File in a sweep's folder that lists its runs."""


@dataclass(frozen=True)
class Swept:
    """Outcome of a sweep."""

    folder: Path
    finished: Sequence[str]
    """Names of the runs that are finished."""
    complete: bool
    """True where no run was refused and no cell failed."""


def sweep(runs: Sequence[SweptRun], at_once: int, *, retry_failed: bool = False) -> Swept:
    """Compute the runs that are not finished yet; a run that cannot begin costs no other.

    Args:
        runs: all of one folder.
        at_once: runs that work at the same time, where the engine computes several cells at a time.
        retry_failed: whether finished runs in which cells failed are taken up again.

    Raises:
        InputError: settings that cannot be, a folder that holds something else, or none of the runs could begin.
    """
    folder, runs, todo = begin(runs, retry_failed=retry_failed)
    refused: dict[str, str] = {}
    if todo:
        with use_engine(todo[0].settings) as engine:
            lines = _probe_all(todo, engine, min(at_once, len(todo)) if engine.workers > 1 else 1)
        refused = {run.name: line for run, line in zip(todo, lines, strict=True) if line}
    note_runs(folder, runs, refused)
    return sum_up(folder, runs, refused)


def begin(runs: Sequence[SweptRun], *, retry_failed: bool) -> tuple[Path, Sequence[SweptRun], Sequence[SweptRun]]:
    """Check all runs and list them in the sweep's folder: that folder, the runs, and those that are not finished.

    Raises:
        InputError: settings that cannot be, or a folder that holds something else.
    """
    runs = [replace(run, settings=expand_paths(run.settings)) for run in runs]
    for run in runs:
        _check(run)
    folder = place_of(runs[0]).parent
    note_runs(folder, runs, {})
    return folder, runs, [run for run in runs if _is_open(run, retry_failed=retry_failed)]


def place_of(run: SweptRun) -> Path:
    """The folder of a run; every run of a sweep has one.

    Raises:
        ValueError: this one has none.
    """
    if run.settings.output is None:
        raise ValueError(f"run {run.name} has no folder")
    return run.settings.output


def _check(run: SweptRun) -> None:
    try:
        check_settings(run.settings)
        preparing.check_output(run.settings)
    except InputError as error:
        raise InputError(f"run {run.name}: {error}") from None


def _is_open(run: SweptRun, *, retry_failed: bool) -> bool:
    """True where there is something left to do."""
    folder = place_of(run)
    manifest = read_manifest(folder)
    if "finished" not in manifest or (retry_failed and bool(manifest.get("failures"))):
        return True
    return any(not _is_whole(folder / name, digest) for name, digest in manifest.get("files", {}).items())


def _is_whole(path: Path, digest: str) -> bool:
    return path.is_file() and digest_file(path) == digest


def _probe_all(runs: Sequence[SweptRun], engine: Engine, at_once: int) -> list[str]:
    """Compute runs: why each could not begin, if it could not."""
    if at_once == 1:
        return [_probe(run, engine, alone=True) for run in runs]
    threads = ThreadPoolExecutor(at_once)
    try:
        return list(threads.map(lambda run: _probe(run, engine, alone=False), runs))
    finally:
        # After an interruption nobody waits: what works ends with the engine.
        threads.shutdown(wait=False, cancel_futures=True)


def _probe(run: SweptRun, engine: Engine, *, alone: bool) -> str:
    """Compute a run; why it could not begin, if it could not."""
    reporter = Reporter(quiet=run.settings.quiet or not alone)
    reporter.say(f"run {run.name}")
    try:
        pipeline.run(run.settings, reporter, engine)
    except InputError as error:
        reporter.warn(f"run {run.name} is left out: {error}")
        return str(error)
    return ""


def note_runs(folder: Path, runs: Sequence[SweptRun], refused: Mapping[str, str]) -> None:
    """List the runs of a sweep in its folder, and why some could not begin."""
    listed = [{"name": run.name, "varied": dict(run.varied), "refused": refused.get(run.name, "")} for run in runs]
    write_atomically(folder / SWEEP, seal_json({"runs": listed}))


def read_refused(folder: Path) -> Mapping[str, str]:
    """Why runs of a sweep could not begin, by their names."""
    with suppress(OSError, ValueError, KeyError):
        listed = json.loads((folder / SWEEP).read_text(encoding="utf-8"))["runs"]
        return {run["name"]: run["refused"] for run in listed if run["refused"]}
    return {}


def sum_up(folder: Path, runs: Sequence[SweptRun], refused: Mapping[str, str]) -> Swept:
    """The outcome of a sweep; what failed is listed on the screen.

    Raises:
        InputError: none of the runs is finished.
    """
    reporter, manifests = Reporter(quiet=True), {run.name: read_manifest(place_of(run)) for run in runs}
    finished = [name for name, manifest in manifests.items() if manifest.get("finished") and name not in refused]
    if not finished:
        first = next(iter(refused.values()), "it was stopped")
        raise InputError(f"{folder}: none of {len(runs)} runs could be done; the first: {first}")
    check_same({run.name: run.settings for run in runs}, {name: manifests[name] for name in finished})
    failures = {name: manifests[name].get("failures", ()) for name in finished}
    for name, failed in failures.items():
        for cell in failed:
            words = [str(value) for key, value in cell.items() if key != "error"]
            reporter.warn(f"run {name}: {' '.join(words)} failed: {cell['error']}")
    if any(failures.values()):
        reporter.warn("--retry-failed computes the cells that failed again")
    return Swept(folder, finished, not refused and not any(failures.values()))


def check_same(settings: Mapping[str, RunSettings], manifests: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse to sum up runs between which a file of tasks or a checkpoint has changed: their differences are of that.

    Args:
        settings: by the name of the run.
        manifests: of the finished ones, in the same way.

    Raises:
        InputError: naming two of them.
    """
    seen: dict[tuple[Any, ...], tuple[str, Any]] = {}
    for name, manifest in manifests.items():
        own = settings[name]
        tasks, encoder = manifest["tasks"], manifest["encoder"]
        used: dict[tuple[Any, ...], str] = {}
        for task, facts in tasks.items():
            used["tasks", own.data, own.limit, own.metrics, task] = facts["digest"]
        used[("encoder", own.model, encoder["revision"], encoder["checkpoint"])] = encoder["digest"]
        for key, digest in used.items():
            other, before = seen.setdefault(key, (name, digest))
            if digest != before:
                what = f"task {key[-1]} of --data {own.data}" if key[0] == "tasks" else f"checkpoint {key[-1]}"
                raise InputError(
                    f"runs {other} and {name}: {what} has changed between them; remove the folders of those of before, "
                    "and give the same command again"
                )


def read_manifest(folder: Path) -> Mapping[str, Any]:
    """The manifest of a run; empty where there is none that can be read."""
    with suppress(OSError, ValueError):
        value = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        return value if isinstance(value, dict) else {}
    return {}
