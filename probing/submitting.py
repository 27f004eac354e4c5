"""A run or a sweep as jobs of a queue: parts that encode, parts that fit and score, and one that merges them."""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from probing import pipeline, sweeping
from probing.atomic_files import write_atomically
from probing.command_line.config_files import load_mapping
from probing.preparing import Prepared, prepare
from probing.progress import Reporter
from probing.records import InputError
from probing.registry import QUEUES
from probing.settings.named import make_settings
from probing.settings.parts import CELLS, ENCODE, MERGE
from probing.settings.queue import read_options
from probing.settings.run import RunSettings
from probing.settings.sweep import SweptRun
from probing.store.folder_lock import hold_folder
from probing.work import Command, Queue, QueueOptions

QUEUE, JOBS = "queue", "jobs.json"
"""Folder, in that of a run or a sweep, of what its jobs were told and print; file there that lists them."""
_IDLE = 0.1
"""Part of the workers' time that may be lost because jobs are too few or too large."""
_LOOK_S = 10.0
"""Time between two looks at the queue."""


@dataclass(frozen=True)
class Submitted:
    """Jobs of a run or of a sweep."""

    folder: Path
    jobs: Sequence[str]
    """Numbers of the arrays, in order."""
    sizes: Mapping[str, int]
    """Jobs of each array."""
    queue: Queue

    def describe(self) -> list[str]:
        """Lines on what was queued, and how to see and end it."""
        arrays = ", ".join(
            f"{name} {size} ({job})" for (name, size), job in zip(self.sizes.items(), self.jobs, strict=True)
        )
        return [f"queued: {arrays}; what jobs print: {self.folder / QUEUE}", self.advise()]

    def advise(self) -> str:
        """A line that says how far the jobs can be seen to be, and how they are ended."""
        return f"bermo-probing status {self.folder} says how far they are; scancel {' '.join(self.jobs)} ends them"


def submit_run(settings: RunSettings, reporter: Reporter) -> Submitted:
    """Queue the jobs of one run.

    Raises:
        InputError: settings or data that cannot be used, jobs that are queued already, or a queue that takes none.
    """
    ready = prepare(settings, reporter)
    # Before the folder is overwritten, and its list of jobs with it.
    queue = open_queue(ready.folder, ready.settings)
    file = _freeze(ready, ready.folder / QUEUE / "run.yaml")
    commands = list_parts([file], ready.settings.workers)
    commands[MERGE] = [_make_command("probing.run_senteval", "--config", str(file), "--part", "merge:1/1")]
    return _submit(ready.folder, commands, queue)


def submit_sweep(
    file: Path, given: Mapping[str, Any], runs: Sequence[SweptRun], *, retry_failed: bool
) -> Submitted | None:
    """Queue the jobs of those runs of a sweep that are not finished and can begin; none where there are none.

    Args:
        file: of the sweep.
        given: settings that the command line gives to all runs.
        runs: of the sweep.
        retry_failed: whether finished runs in which cells failed are taken up again.

    Raises:
        InputError: settings that cannot be, or a queue that takes no jobs.
    """
    folder, runs, todo = sweeping.begin(runs, retry_failed=retry_failed)
    if not todo:
        return None
    queue, files, refused = open_queue(folder, todo[0].settings), list[Path](), dict[str, str]()
    for run in todo:
        try:
            files.append(_freeze(prepare(run.settings, Reporter(quiet=True)), folder / QUEUE / f"{run.name}.yaml"))
        except InputError as error:
            refused[run.name] = str(error)
            Reporter().warn(f"run {run.name} is left out: {error}")
    sweeping.note_runs(folder, runs, refused)
    if not files:
        return None
    named = {str(name).replace("-", "_"): value for name, value in load_mapping(file, "").items()} | dict(given)
    named.update({"output": str(folder), **_describe_job(todo[0].settings), "part": "merge:1/1"})
    whole = folder / QUEUE / f"{file.stem}.sweep.yaml"
    write_atomically(whole, yaml.safe_dump(_as_plain(named)).encode())
    flags = ["--retry-failed"] if retry_failed else []
    commands = list_parts(files, todo[0].settings.workers)
    commands[MERGE] = [_make_command("probing.run_sweep", str(whole), "--quiet", *flags)]
    return _submit(folder, commands, queue)


def list_parts(files: Sequence[Path], workers: int) -> dict[str, list[Command]]:
    """The commands of all parts, by kind, of runs whose settings stand in files."""
    count = count_parts(len(files), workers)
    return {
        kind: [
            _make_command(
                "probing.run_senteval", "--config", str(file), "--part", f"{kind}:{number}/{count}", "--no-report"
            )
            for file in files
            for number in range(1, count + 1)
        ]
        for kind in (ENCODE, CELLS)
    }


def count_parts(n_runs: int, workers: int) -> int:
    """Number of parts of each run: the fewest that keep the workers busy, if all parts cost alike."""
    for count in range(1, workers + 1):
        jobs = n_runs * count
        # Rounds of jobs, of which the last one may leave workers without any.
        if jobs >= (1 - _IDLE) * workers * -(-jobs // workers):
            return count
    return workers


def wait(submitted: Submitted, reporter: Reporter) -> None:
    """Wait until all jobs have ended."""
    total = sum(submitted.sizes.values())
    reporter.say("\n".join(submitted.describe()))
    try:
        with reporter.stage("jobs", total, "jobs") as advance:
            done = 0
            while done < total:
                left = submitted.queue.count_open(submitted.jobs)
                if left is not None:
                    advance(total - left - done)
                    done = total - left
                if done < total:
                    time.sleep(_LOOK_S)
    except KeyboardInterrupt:
        reporter.say(f"the jobs work on; {submitted.advise()}")
        raise


def check_finished(folder: Path) -> Mapping[str, Any]:
    """The manifest of a run whose jobs have ended.

    Raises:
        InputError: the run is not finished.
    """
    manifest = sweeping.read_manifest(folder)
    if not manifest.get("finished"):
        raise InputError(
            f"{folder}: its jobs ended before it was finished; {folder / QUEUE}/*_log.out say why, and the same "
            "command goes on"
        )
    return manifest


def open_queue(folder: Path, settings: RunSettings) -> Queue:
    """The queue of a run or a sweep, which has no jobs there yet.

    Raises:
        InputError: it has, or the queue is not there.
    """
    further = {"partition": settings.slurm_partition, "account": settings.slurm_account}
    further |= {"constraint": settings.slurm_constraint}
    options = QueueOptions(
        (folder / QUEUE).absolute(),
        settings.workers,
        _count_threads(settings),
        settings.slurm_time,
        settings.retries,
        settings.slurm_setup,
        {name: value for name, value in further.items() if value} | dict(read_options(settings)),
    )
    queue = QUEUES.load(settings.engine)(options)
    jobs: Sequence[str] = ()
    with suppress(OSError, ValueError, KeyError):
        jobs = json.loads((folder / QUEUE / JOBS).read_text())["jobs"]
    if jobs and queue.count_open(jobs):
        raise InputError(f"{folder}: jobs {', '.join(jobs)} of it are queued; wait for them, or end them by scancel")
    return queue


def _submit(folder: Path, commands: Mapping[str, Sequence[Command]], queue: Queue) -> Submitted:
    jobs, sizes = queue.submit(commands), {name: len(array) for name, array in commands.items()}
    noted = {"jobs": jobs, "sizes": sizes, "submitted": datetime.now(UTC).isoformat(timespec="seconds")}
    write_atomically(folder / QUEUE / JOBS, json.dumps(noted).encode())
    return Submitted(folder, jobs, sizes, queue)


def _freeze(ready: Prepared, file: Path) -> Path:
    """Begin a run's folder, and write its settings as its jobs shall have them: a file that others edit is not read."""
    with hold_folder(ready.folder):
        pipeline.open_folder(ready)
    settings, defaults = asdict(ready.settings), asdict(make_settings({}))
    changed = {name: value for name, value in settings.items() if value != defaults[name]}
    changed |= {"output": str(ready.folder.absolute()), **_describe_job(ready.settings)}
    write_atomically(file, yaml.safe_dump(_as_plain(changed)).encode())
    return file


def _describe_job(settings: RunSettings) -> dict[str, Any]:
    """The settings that a job has in the place of the run's."""
    usual = {column.name: column.default for column in fields(RunSettings) if column.name in RunSettings.OF_QUEUE}
    own = {"engine": "local", "workers": 0, "threads": _count_threads(settings), "overwrite": False, "quiet": True}
    return usual | own


def _count_threads(settings: RunSettings) -> int:
    return settings.worker_threads or settings.threads or 1


def _make_command(module: str, *arguments: str) -> Command:
    return [sys.executable, "-m", module, *arguments]


def _as_plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as YAML has them."""
    return json.loads(json.dumps(values, default=str))
