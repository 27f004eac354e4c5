"""The story of a run: load the tasks, encode every sentence once, fit the probes, score them, keep the numbers."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int

from probing.catalogue.controls import CONTROLS
from probing.cells.gradients import can_measure
from probing.cells.plan import find_classes_only, plan_cells, plan_control, plan_measure
from probing.cells.runner import CellRunner
from probing.cells.selectivity import subtract_controls
from probing.contracts.checking import find_breach
from probing.contracts.encoder import Encoder
from probing.contracts.measure import Encoded
from probing.digests import digest_json
from probing.progress import Narrator
from probing.records import SPLITS, InputError, Task, Text
from probing.registry import ENCODERS
from probing.representations.extraction import Extraction, Pooling, extract_stack
from probing.representations.peak_rate import count_operations, measure_ceiling
from probing.settings.checks import check_settings
from probing.settings.run import WITHOUT_EFFECT, RunSettings
from probing.store.cache import StackCache
from probing.store.environment import describe_environment
from probing.store.run_folder import RunFolder
from probing.tables import CellResult, Failure
from probing.tasks.sources import load_tasks

RESULTS = Path("data/results")
"""Where run folders stand by default."""
_WORTH_MEASURING_S = 2.0
"""Encoding that took less is not held against the machine's rate, whose measurement takes time too."""


@dataclass(frozen=True)
class Outcome:
    """Where a run's numbers stand, and what could not be computed."""

    folder: Path
    failures: tuple[Failure, ...]
    n_scores: int
    """Rows of its score table."""


def run(settings: RunSettings, narrator: Narrator) -> Outcome:
    """Probe one model on the tasks.

    Raises:
        InputError: settings or data that cannot be used; nothing has been written then.
    """
    check_settings(settings)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    tasks, absent = load_tasks(
        settings.data, settings.tasks, settings.limit, narrator, settings.senteval_url, find_classes_only(settings)
    )
    encoder = build_encoder(settings.model, settings)
    layers = choose_layers(settings.layers, encoder.layer_names)
    choose_layers((settings.baseline_layer,), encoder.layer_names, "--baseline-layer")
    folder = open_folder(settings, tasks)
    if absent:
        narrator.warn(f"{settings.data}: no files for {', '.join(absent)}; the other tasks are probed")
    folder.write_splits(tasks)
    runner = CellRunner(settings, folder, narrator)
    encoded = encode_tasks(settings, tasks, encoder, layers, narrator)
    runner.run("probing", plan_cells(settings, tasks, encoder), encoded)
    for name in settings.measures:
        cells = plan_measure(name, settings, tasks, encoder)
        if not cells:
            narrator.warn(f"--measures {name}: none of these tasks has classes, or it is of the mix: add --mix on")
        runner.run(name, cells, encoded)
    if settings.gradients and can_measure(encoder, narrator):
        runner.run("gradients", plan_measure("gradients", settings, tasks, encoder), encoded)
    run_controls(settings, tasks, encoded, runner)
    # What this run needed is spared no longer.
    del encoded
    open_cache(settings).trim()
    if any(result.scores for result in runner.results):
        folder.write_tables([*runner.results, CellResult(subtract_controls(runner.results))])
    failures = [asdict(failure) for failure in runner.failures]
    outcome = {"stages": narrator.stages, "warnings": narrator.warnings, "failures": failures}
    folder.write_manifest(describe_run(settings, tasks, encoder) | outcome)
    return Outcome(folder.path, tuple(runner.failures), sum(len(result.scores) for result in runner.results))


def run_controls(
    settings: RunSettings, tasks: Sequence[Task], encoded: Mapping[str, Encoded], runner: CellRunner
) -> None:
    """Probe under every control that was asked for, each a stage of its own so that its cost is known."""
    encoder, layers = encoded[tasks[0].name].encoder, encoded[tasks[0].name].layers
    # Those with an encoder of their own come last: one layer stack in memory at a time.
    for name in sorted(settings.controls, key=lambda name: (bool(CONTROLS[name].encoder), name)):
        if CONTROLS[name].encoder == settings.model:
            continue
        if CONTROLS[name].encoder:
            try:
                control = build_encoder(CONTROLS[name].encoder, settings)
            except InputError as error:  # such as an architecture that transformers does not know
                runner.narrator.warn(f"control {name} is left out: {error}")
                continue
            encoded = encode_tasks(settings, tasks, control, layers, runner.narrator, f"encoding {name}")
        runner.run(name, plan_control(name, settings, tasks, encoder), encoded)


def build_encoder(name: str, settings: RunSettings) -> Encoder:
    """The frozen encoder of that name, with the run's checkpoint and options."""
    options = {"dtype": settings.dtype, "device": settings.device, "backend": settings.backend}
    encoder = ENCODERS.load(name).build(settings.checkpoint, max_length=settings.max_length, **options)
    breach = find_breach(encoder, Encoder)
    if breach:
        raise InputError(f"--model {name}: {type(encoder).__name__} has {breach}; expected a contracts.encoder.Encoder")
    return encoder


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


def open_folder(settings: RunSettings, tasks: Sequence[Task]) -> RunFolder:
    """The run folder: the one asked for, or one named after the settings."""
    effective = {name: value for name, value in asdict(settings).items() if name not in WITHOUT_EFFECT}
    path = settings.output
    if path is None:
        parts = (settings.model, Path(settings.checkpoint).name, Path(settings.data).name)
        slug = "-".join(re.sub(r"[^\w.@-]+", "_", part) for part in parts)
        content = {task.name: task.digest for task in tasks}
        path = RESULTS / f"{slug}-{digest_json([effective, content])[:8]}"
    return RunFolder(path, effective, defaults=asdict(RunSettings()), overwrite=settings.overwrite)


def open_cache(settings: RunSettings) -> StackCache:
    """The cache of encoded sentences, with its limit."""
    return StackCache(settings.cache_dir, round(settings.cache_limit * 1e9))


def encode_tasks(
    settings: RunSettings,
    tasks: Sequence[Task],
    encoder: Encoder,
    layers: Sequence[int],
    narrator: Narrator,
    stage: str = "encoding",
) -> dict[str, Encoded]:
    """The pooled vectors of every distinct sentence of all tasks, and by task where its sentences stand among them."""
    texts = list(dict.fromkeys(text for task in tasks for split in SPLITS for text in task.splits[split].texts))
    pooling = Pooling(settings.pooling, settings.special_tokens)
    with narrator.stage(stage, len(texts), "sentences") as advance:
        extraction = extract_stack(encoder, texts, pooling, open_cache(settings), advance)
    tell_extraction(stage, extraction, len(texts), encoder, narrator)
    index = {text: row for row, text in enumerate(texts)}
    return {task.name: Encoded(encoder, layers, extraction.stack, locate_sentences(task, index)) for task in tasks}


def locate_sentences(task: Task, index: Mapping[Text, int]) -> dict[str, Int[np.ndarray, " sentences"]]:
    """Where the sentences of each split stand in a stack."""
    return {split: np.array([index[text] for text in task.splits[split].texts]) for split in SPLITS}


def tell_extraction(stage: str, extraction: Extraction, n_texts: int, encoder: Encoder, narrator: Narrator) -> None:
    """Say what the encoding was and what is wrong with it."""
    facts: dict[str, float] = {"sentences": n_texts, "encoded": extraction.n_encoded, "tokens": extraction.n_tokens}
    narrator.note(stage, **facts, truncated=extraction.n_truncated, **rate_extraction(extraction, encoder))
    if extraction.n_truncated:
        narrator.warn(f"{extraction.n_truncated} sentences were longer than {encoder.max_length} tokens and were cut")
    for path in extraction.damaged:
        narrator.warn(f"{path}: damaged, removed, and its sentences encoded anew")
    if extraction.excess_bytes:
        narrator.warn(f"the cache is {extraction.excess_bytes / 1e9:.2g} GB above --cache-limit while runs need it")


def rate_extraction(extraction: Extraction, encoder: Encoder) -> dict[str, float]:
    """How fast sentences went through the encoder, and how near that is to what the machine can do."""
    if not extraction.n_encoded:
        return {}
    seconds = extraction.seconds
    rates = {"sentences_per_s": extraction.n_encoded / seconds, "tokens_per_s": extraction.n_tokens / seconds}
    operations = count_operations(encoder, extraction.lengths)
    if operations and seconds > _WORTH_MEASURING_S:
        ceiling = measure_ceiling(encoder.hidden_size, encoder.dtype, encoder.device)
        rates |= {"gflop_per_s": operations / seconds / 1e9, "share_of_matrix_rate": operations / seconds / ceiling}
    return rates


def describe_run(settings: RunSettings, tasks: Sequence[Task], encoder: Encoder) -> dict[str, Any]:
    """What the numbers depend on beside the settings: versions, machine, hashes."""
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
            task.name: {"origin": task.origin, "division": task.division, "digest": task.digest}
            | {split: len(task.splits[split]) for split in SPLITS}
            for task in tasks
        },
    }
