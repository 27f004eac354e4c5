"""Preparation of a run: settings checked, the encoder built and checked, tasks read; nothing is computed or written."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from probing.cells.plan import Cell, find_classes_only, mixes_layers, needs_seeds
from probing.cells.room import check_room
from probing.command_line.arguments import expand_paths
from probing.contracts.encoder import Encoder, EncoderFacts
from probing.contracts.measure import find_measure
from probing.digests import digest_json
from probing.encoders.opening import build_checked
from probing.encoders.unknown_words import describe_unknown
from probing.progress import Reporter
from probing.records import InputError, Task
from probing.registry import MEASURES, QUEUES
from probing.settings.checks import check_settings
from probing.settings.idle import OF_CONTROLS, OF_MIX, OF_RUN, list_idle
from probing.settings.parts import MERGE
from probing.settings.reviewer import describe_reviewer, expand_reviewer
from probing.settings.run import RunSettings, effective_settings
from probing.store.folder_lock import check_free
from probing.store.run_folder import check_folder
from probing.tasks.metric_choice import choose_metrics
from probing.tasks.sources import check_tasks, load_tasks

RESULTS = Path("data/results")
"""Folder of run folders by default."""


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
    for line in list_without_effect(asked, settings, encoder, tasks):
        reporter.warn(line)
    for line in describe_unknown(encoder, encoder.checkpoint, tasks):
        reporter.warn(line)
    check_room(tasks, len(layers), encoder.hidden_size, settings.measures)
    if asked.reviewer:
        reporter.say(describe_reviewer(settings))
    if absent:
        reporter.warn(f"{settings.data}: no files for {', '.join(absent)}; the other tasks are probed")
    return Prepared(settings, name_folder(settings, tasks), tasks, encoder, findings, layers)


def list_without_effect(
    asked: RunSettings, settings: RunSettings, encoder: EncoderFacts, tasks: Sequence[Task]
) -> list[str]:
    """A line for each setting that was asked for and has no effect beside the others, on this encoder."""
    mixes = mixes_layers(settings, encoder)
    lines = list_idle(settings, (*OF_RUN, *(OF_CONTROLS if mixes else OF_MIX)), asked)
    if not mixes and len(asked.seeds) > 1 and not needs_seeds(Cell(tasks[0], "layer"), settings):
        seeds = " ".join(map(str, asked.seeds))
        lines.append(f"--seeds {seeds}: have no effect behind the first: --probe {settings.probe} ends where it does")
    return lines


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
