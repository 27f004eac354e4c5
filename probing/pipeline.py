"""The story of a run: load the tasks, encode every sentence once, fit the probes, score them, keep the numbers."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

from probing.cells.chains import list_chains, open_cache
from probing.cells.manifest import describe_kernels, describe_machines, describe_run
from probing.cells.parts import encode_stages, limit_stages
from probing.cells.runner import CellRunner
from probing.cells.scoreboard import Scoreboard
from probing.cells.selectivity import subtract_controls
from probing.engines.local import LocalEngine
from probing.preparing import Prepared, prepare
from probing.progress import Reporter
from probing.settings.engine import use_engine
from probing.settings.parts import ENCODE, MERGE, parse_part
from probing.settings.run import RunSettings, effective_settings
from probing.store.folder_lock import hold_folder
from probing.store.part_records import check_kind, find_job, note_part
from probing.store.run_folder import RunFolder
from probing.store.shared_folders import NOWHERE, mark_folders
from probing.tables import CellResult, Failure
from probing.trackers import EVENTS, send_scores, track
from probing.work import Engine


@dataclass(frozen=True)
class Outcome:
    """Folder of a run's numbers, and what could not be computed."""

    folder: Path
    failures: tuple[Failure, ...]
    n_scores: int
    """Rows of its score table."""


def run(settings: RunSettings, reporter: Reporter, engine: Engine | None = None) -> Outcome:
    """Probe one model on the tasks.

    Args:
        settings: of the run.
        reporter: who tells how far it is.
        engine: that computes the cells, and works on; none given: one is started by the settings, and ended.

    Raises:
        InputError: settings or data that cannot be used; nothing has been written then.
    """
    ready = prepare(settings, reporter)
    if ready.settings.part:
        return run_part(ready, reporter)
    with hold_folder(ready.folder), use_engine(ready.settings, engine) as used:
        return complete(ready, reporter, used)


def complete(ready: Prepared, reporter: Reporter, engine: Engine) -> Outcome:
    """Have the cells computed that are not there yet, and write tables; the folder must be held.

    Raises:
        InputError: the folder cannot be used.
    """
    settings, tasks, encoder, path = ready.settings, ready.tasks, ready.encoder, ready.folder
    kernels = describe_kernels(encoder)
    reporter.say("kernels: " + "; ".join(f"{what} by {how}" for what, how in kernels.items()))
    effective = effective_settings(settings)
    folder = open_folder(ready)
    # One process sees what it sees.
    shared = (path, open_cache(settings).folder) if engine.workers > 1 else ()
    with mark_folders(shared) as seen, track(settings.trackers, path / EVENTS / path.name, effective) as trackers:
        runner = CellRunner(settings, folder, reporter, Scoreboard(tasks), engine, seen)
        with reporter.display(runner.board):
            runner.run(*list_chains(tasks, encoder, ready.layers, runner))
        # What this run needed is spared no longer.
        open_cache(settings).trim()
        if any(result.scores for result in runner.results):
            folder.write_tables([*runner.results, CellResult(subtract_controls(runner.results))])
        send_scores(trackers, (score for result in runner.results for score in result.scores), reporter.warn)
    failures = [asdict(failure) for failure in runner.failures]
    outcome = {"machines": describe_machines(runner.results, reporter), "stages": reporter.stages}
    outcome |= {"warnings": reporter.warnings, "failures": failures}
    described = describe_run(settings, tasks, encoder) | {"kernels": kernels, "check": ready.findings}
    finished = {"finished": datetime.now(UTC).isoformat(timespec="seconds")}
    folder.write_manifest(described | outcome | runner.first_score | finished)
    return Outcome(path, tuple(runner.failures), sum(len(result.scores) for result in runner.results))


def run_part(ready: Prepared, reporter: Reporter) -> Outcome:
    """Do the share of a run that a job of a queue has, beside others; what it leaves is found by those that follow.

    Raises:
        InputError: the folder cannot be used, or this machine is of another kind than the others.
    """
    settings, part = ready.settings, parse_part(ready.settings.part)
    with hold_folder(ready.folder, shared=part.kind != MERGE):
        folder = open_folder(ready)
        with note_part(ready.folder, settings.part, find_job()):
            if not settings.mixed_hardware:
                check_kind(ready.folder, ready.encoder.device)
            if part.kind == MERGE:
                return complete(ready, reporter, LocalEngine())
            runner = CellRunner(settings, folder, reporter, Scoreboard(ready.tasks), LocalEngine(), NOWHERE)
            stages = chain.from_iterable(list_chains(ready.tasks, ready.encoder, ready.layers, runner))
            if part.kind == ENCODE:
                encode_stages(ready.tasks, stages)
            else:
                runner.run(limit_stages(stages, part))
    return Outcome(ready.folder, tuple(runner.failures), sum(len(result.scores) for result in runner.results))


def open_folder(ready: Prepared) -> RunFolder:
    """The run's folder, with what is known before anything is computed; it must be held."""
    settings, effective = ready.settings, effective_settings(ready.settings)
    alone = settings.part.partition(":")[0] in ("", MERGE)
    folder = RunFolder(
        ready.folder, effective, defaults=asdict(RunSettings()), overwrite=settings.overwrite, alone=alone
    )
    folder.write_splits(ready.tasks)
    folder.write_sentences(ready.tasks)
    return folder
