"""The story of a run: load the tasks, encode every sentence once, fit the probes, score them, keep the numbers."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from probing.catalogue.controls import CONTROLS
from probing.cells.encoding import TaskEncoder
from probing.cells.gradients import can_measure
from probing.cells.parts import encode_stages, limit_stages
from probing.cells.plan import find_classes_only, plan_cells, plan_control, plan_measure
from probing.cells.room import check_room
from probing.cells.runner import CellRunner, PlannedStage
from probing.cells.scoreboard import Scoreboard
from probing.cells.selectivity import subtract_controls
from probing.command_line.arguments import expand_paths
from probing.contracts.encoder import Encoder
from probing.contracts.measure import find_measure
from probing.digests import digest_json
from probing.encoders.checkpoint_check import check_encoder
from probing.encoders.opening import EncoderOpener, build_encoder
from probing.engines.local import LocalEngine
from probing.probes.fused import explain_engine
from probing.progress import Reporter
from probing.records import SPLITS, InputError, Task
from probing.registry import MEASURES, QUEUES
from probing.representations.extraction import Extractor, Pooling
from probing.representations.part_work import PartExtractor
from probing.representations.shard_work import Elsewhere, WorkersExtractor
from probing.settings.checks import check_settings
from probing.settings.engine import use_engine
from probing.settings.parts import ENCODE, MERGE, parse_part
from probing.settings.reviewer import describe_reviewer, expand_reviewer
from probing.settings.run import RunSettings, effective_settings
from probing.store.cache import StackCache
from probing.store.environment import describe_environment
from probing.store.folder_lock import check_free, hold_folder
from probing.store.part_records import check_kind, find_job, note_part
from probing.store.run_folder import RunFolder, check_folder
from probing.store.shared_folders import NOWHERE, mark_folders
from probing.tables import CellResult, Failure
from probing.tasks.metric_choice import choose_metrics
from probing.tasks.sources import check_tasks, load_tasks
from probing.trackers import EVENTS, send_scores, track
from probing.work import Engine

RESULTS = Path("data/results")
"""Folder of run folders by default."""


@dataclass(frozen=True)
class Outcome:
    """Folder of a run's numbers, and what could not be computed."""

    folder: Path
    failures: tuple[Failure, ...]
    n_scores: int
    """Rows of its score table."""


@dataclass(frozen=True)
class Prepared:
    """A run of which everything is checked and read, and nothing computed."""

    settings: RunSettings
    """With what one setting stands for written out."""
    folder: Path
    """Place of the run."""
    tasks: Sequence[Task]
    encoder: Encoder
    findings: Mapping[str, Any]
    """Facts of the check of the encoder."""
    layers: Sequence[int]


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


def prepare(settings: RunSettings, reporter: Reporter) -> Prepared:
    """Check and read all that a run needs.

    What is cheap is checked first: settings, folders, names of tasks, the checkpoint, its layers; then tasks are read.

    Raises:
        InputError: settings or data that cannot be used.
    """
    asked = expand_paths(settings)
    if asked.draws and asked.engine not in QUEUES.rows:
        raise InputError("draws: several encoders are probed by run_senteval.py, or by probing.draws.run_draws")
    settings = expand_reviewer(asked)
    check_settings(settings)
    if not asked.reviewer:  # what it stands for depends on the encoder
        check_output(settings)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    check_tasks(settings.data, settings.tasks)
    encoder, findings = build_checked(settings.model, settings, reporter)
    if asked.reviewer:
        settings = replace(settings, measures=tuple(_leave_out(settings.measures, asked.measures, encoder)))
        check_output(settings)
    layers = choose_layers(settings.layers, encoder.layer_names)
    choose_layers((settings.baseline_layer,), encoder.layer_names, "--baseline-layer")
    check_measured(settings.measures, encoder)
    tasks, absent = load_tasks(
        settings.data, settings.tasks, settings.limit, reporter, settings.senteval_url, find_classes_only(settings)
    )
    tasks = choose_metrics(tasks, settings.metrics)
    check_room(tasks, len(layers), encoder.hidden_size, settings.measures)
    if asked.reviewer:
        reporter.say(describe_reviewer(settings))
    if absent:
        reporter.warn(f"{settings.data}: no files for {', '.join(absent)}; the other tasks are probed")
    return Prepared(settings, name_folder(settings, tasks), tasks, encoder, findings, layers)


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


def describe_machines(results: Sequence[CellResult], reporter: Reporter) -> list[dict[str, Any]]:
    """The machines that computed the cells of a run, and how many each; a warning where they are of several kinds."""
    counts = Counter(tuple(sorted(result.machine.items())) for result in results if result.machine)
    machines = [dict(machine) | {"cells": count} for machine, count in counts.items()]
    kinds = {" with ".join(filter(None, (one["instruction_set"], one["gpu"]))) for one in map(dict, counts)}
    if len(kinds) > 1:
        reporter.warn(
            f"cells of this run were computed on machines of several kinds ({', '.join(sorted(kinds))}): "
            "their last digits may differ; --overwrite computes all of them here"
        )
    return machines


def list_chains(
    tasks: Sequence[Task], encoder: Encoder, layers: Sequence[int], runner: CellRunner
) -> list[Iterator[PlannedStage]]:
    """The stages of a run, each planned when the one before has nothing left to begin; chains wait for no other."""
    own = probe_tasks(tasks, plan_encoding(tasks, encoder, layers, runner), runner)
    return [own, probe_other_encoders(tasks, encoder, layers, runner)]


def probe_tasks(tasks: Sequence[Task], sentences: TaskEncoder, runner: CellRunner) -> Iterator[PlannedStage]:
    """Scores first, task by task as they are encoded; then further measures, and the controls of the same encoder."""
    settings, encoder = runner.settings, sentences.encoder
    if not settings.part:
        runner.preview(tasks[0], sentences)
    yield PlannedStage("probing", plan_cells(settings, tasks, encoder), sentences)
    sentences.close()
    for name in settings.measures:
        cells = plan_measure(name, settings, tasks, encoder)
        if not cells:
            runner.reporter.warn(
                f"--measures {name}: none of these tasks has classes, or it is of the mix: add --mix on"
            )
        yield PlannedStage(name, cells, sentences)
    if settings.gradients and can_measure(encoder, runner.reporter):
        yield PlannedStage("gradients", plan_measure("gradients", settings, tasks, encoder), sentences)
    for name in sorted(name for name in settings.controls if not CONTROLS[name].encoder):
        yield PlannedStage(name, plan_control(name, settings, tasks, encoder), sentences)


def probe_other_encoders(
    tasks: Sequence[Task], encoder: Encoder, layers: Sequence[int], runner: CellRunner
) -> Iterator[PlannedStage]:
    """The controls that have an encoder of their own, each in the place of the run's."""
    settings = runner.settings
    for name in sorted(name for name in settings.controls if CONTROLS[name].encoder not in ("", settings.model)):
        try:
            control, _ = build_checked(CONTROLS[name].encoder, settings, runner.reporter)
        except InputError as error:  # such as an architecture that transformers does not know
            runner.reporter.warn(f"control {name} is left out: {error}")
            continue
        sentences = plan_encoding(tasks, control, layers, runner, name)
        yield PlannedStage(name, plan_control(name, settings, tasks, encoder), sentences)
        sentences.close()


def plan_encoding(
    tasks: Sequence[Task], encoder: Encoder, layers: Sequence[int], runner: CellRunner, control: str = ""
) -> TaskEncoder:
    """The tasks' sentences, to be encoded when they are asked for; a control may have an encoder of its own."""
    settings = runner.settings
    pooling, cache = Pooling(settings.pooling, settings.special_tokens), open_cache(settings)
    part = parse_part(settings.part) if settings.part else None
    opener = EncoderOpener(CONTROLS[control].encoder if control else settings.model, settings, encoder)
    if part and part.kind == ENCODE:
        extractor = PartExtractor(encoder, pooling, cache, part.number, part.count)
    elif runner.engine.workers > 1:
        gpus = settings.worker_gpus if encoder.device.startswith("cuda") else 0.0
        elsewhere = Elsewhere(runner.engine, opener, gpus, runner.seen)
        extractor = WorkersExtractor(encoder, pooling, cache, elsewhere)
    else:
        extractor = Extractor(encoder, pooling, cache)
    return TaskEncoder(tasks, extractor, layers, runner.reporter, f"encoding {control}".strip(), opener)


def build_checked(name: str, settings: RunSettings, reporter: Reporter) -> tuple[Encoder, dict[str, Any]]:
    """The frozen encoder of that name, and what the check of it found, whose warnings have been told.

    Raises:
        InputError: it cannot be built, or not be believed.
    """
    encoder = build_encoder(name, settings)
    findings = check_encoder(encoder, settings.pooling)
    for line in findings.warnings:
        reporter.warn(line)
    return encoder, findings.facts


def choose_layers(wanted: Sequence[int], layer_names: Sequence[str], flag: str = "--layers") -> list[int]:
    """Indices of the layers to probe, in order of depth.

    Raises:
        InputError: a layer that the encoder does not have.
    """
    count = len(layer_names)
    for layer in wanted:
        if not -count <= layer < count:
            raise InputError(f"{flag} {layer}: the encoder has layers 0 ({layer_names[0]}) to {count - 1}")
    return sorted({layer % count for layer in wanted}) or list(range(count))


def check_measured(measures: Sequence[str], encoder: Encoder) -> None:
    """Refuse a measure that this encoder cannot have.

    Raises:
        InputError: naming it, and what the encoder lacks.
    """
    for name in measures:
        if obstacle := _find_obstacle(name, encoder):
            raise InputError(f"--measures {name}: not of this encoder: {obstacle}; leave it out, or take another one")


def _leave_out(measures: Sequence[str], wanted: Sequence[str], encoder: Encoder) -> Iterator[str]:
    """The measures that this encoder can have, and those that were asked for by name."""
    return (name for name in measures if name in wanted or not _find_obstacle(name, encoder))


def _find_obstacle(measure: str, encoder: Encoder) -> str:
    return "" if find_measure(measure).scores else MEASURES.load(measure).find_obstacle(encoder)


def check_output(settings: RunSettings) -> None:
    """Refuse an output folder that cannot be used, or that holds another run.

    Raises:
        InputError: naming it.
    """
    path = settings.output or RESULTS / "any"
    check_free(path, shared=settings.part.partition(":")[0] not in ("", MERGE))
    check_folder(path, effective_settings(settings), asdict(RunSettings()), overwrite=settings.overwrite)


def name_folder(settings: RunSettings, tasks: Sequence[Task]) -> Path:
    """The run folder: the one asked for, or one named after the settings."""
    if settings.output is not None:
        return settings.output
    parts = (settings.model, Path(settings.checkpoint).name, Path(settings.data).name)
    slug = "-".join(re.sub(r"[^\w.@-]+", "_", part) for part in parts)
    content = {task.name: task.digest for task in tasks}
    return RESULTS / f"{slug}-{digest_json([effective_settings(settings), content])[:8]}"


def open_cache(settings: RunSettings) -> StackCache:
    """The cache of encoded sentences, with its limit; a part of a run deletes nothing, for others work beside it."""
    limit_gb = 0.0 if settings.part else settings.cache_limit
    return StackCache(
        settings.cache_dir, round(limit_gb * 1e9), settings.scratch, alone=not settings.part, form=settings.store
    )


def describe_kernels(encoder: Encoder) -> dict[str, str]:
    """Describe which compiled engine does what, and why that one; or that torch does it, and what hinders kernels."""
    encoding = getattr(encoder, "backend_reason", f"{encoder.backend}, the encoder's own way")
    return {"encoding": encoding, "probes": explain_engine()}


def describe_run(settings: RunSettings, tasks: Sequence[Task], encoder: Encoder) -> dict[str, Any]:
    """Describe what the numbers depend on beside the settings: versions, machine, hashes."""
    return describe_environment() | {
        "device": encoder.device,
        "dtype": encoder.dtype,
        "backend": encoder.backend,
        "seeds": list(settings.seeds),
        "encoder": {
            "checkpoint": encoder.checkpoint,
            "revision": encoder.revision,
            "digest": encoder.digest,
            "layers": encoder.layer_names,
            "hidden_size": encoder.hidden_size,
            "hidden_sizes": encoder.hidden_sizes,
            "max_length": encoder.max_length,
        },
        "tasks": {
            task.name: {"origin": task.origin, "division": task.split_rule, "digest": task.digest}
            | {split: len(task.splits[split]) for split in SPLITS}
            for task in tasks
        },
    }
