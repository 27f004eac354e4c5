"""Stages of a run, in the order that they are computed in: a chain for its own encoder, one for those of controls."""

from collections.abc import Iterator, Sequence

from probing.catalogue.controls import CONTROLS
from probing.cells.encoding import TaskEncoder
from probing.cells.gradients import can_measure
from probing.cells.plan import plan_cells, plan_control, plan_measure
from probing.cells.runner import CellRunner, PlannedStage
from probing.contracts.encoder import Encoder
from probing.encoders.opening import EncoderOpener, build_checked
from probing.records import InputError, Task
from probing.representations.extraction import Extractor
from probing.representations.part_work import PartExtractor
from probing.representations.pooling import Pooling
from probing.representations.shard_work import Elsewhere, WorkersExtractor
from probing.settings.parts import ENCODE, parse_part
from probing.settings.run import RunSettings
from probing.store.cache import StackCache


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


def open_cache(settings: RunSettings) -> StackCache:
    """The cache of encoded sentences, with its limit; a part of a run deletes nothing, for others work beside it."""
    limit_gb = 0.0 if settings.part else settings.cache_limit
    return StackCache(
        settings.cache_dir, round(limit_gb * 1e9), settings.scratch, alone=not settings.part, form=settings.store
    )
