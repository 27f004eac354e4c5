"""The story of a run: load the tasks, encode every sentence once, fit the probes, score them, keep the numbers."""

import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int

from probing.cells import Cell, compute_cell, plan_cells
from probing.progress import Narrator
from probing.records import SPLITS, CellResult, Failure, InputError, LayerStack, Task, Text
from probing.registry import names, resolve, suggest
from probing.representations.extraction import Extraction, Pooling, extract_stack
from probing.run_folder import RunFolder
from probing.settings import WITHOUT_EFFECT, RunSettings
from probing.states import Encoder
from probing.store import StackCache, digest_json, text_key
from probing.tasks.sources import load_tasks

RESULTS = Path("data/results")
"""Where run folders stand by default."""
_PACKAGES = ("bermo-probing", "torch", "transformers", "tokenizers", "numpy", "scikit-learn", "pandas")
_COSTS_A_CELL = (RuntimeError, ValueError, ArithmeticError, MemoryError)
"""Errors of torch and numpy, and lack of memory: they cost one cell, and the run goes on."""


@dataclass(frozen=True)
class Outcome:
    """Where a run's numbers stand, and what could not be computed."""

    folder: Path
    failures: tuple[Failure, ...]


def run(settings: RunSettings, narrator: Narrator) -> Outcome:
    """Probe one model on the tasks.

    Raises:
        InputError: settings or data that cannot be used; nothing has been written then.
    """
    check_settings(settings)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    tasks = read_tasks(settings, narrator)
    encoder = resolve("encoders", settings.model)(
        settings.checkpoint, dtype=settings.dtype, device=settings.device, max_length=settings.max_length
    )
    layers = choose_layers(settings.layers, encoder.layer_names)
    folder = open_folder(settings, tasks)
    stack, rows = encode_tasks(settings, tasks, encoder, narrator)
    results, failures = probe_tasks(settings, tasks, encoder, layers, stack, rows, folder, narrator)
    if results:
        folder.write_tables(results)
    folder.write_manifest(
        describe_run(settings, tasks, encoder)
        | {"stages": narrator.stages, "warnings": narrator.warnings, "failures": [asdict(one) for one in failures]}
    )
    return Outcome(folder.path, tuple(failures))


def check_settings(settings: RunSettings) -> None:
    """Refuse early what would fail late.

    Raises:
        InputError: an unknown name, or a number out of range.
    """
    for table, name in (("encoders", settings.model), ("poolings", settings.pooling), ("probes", settings.probe)):
        if name not in names(table):
            raise InputError(f"unknown {table[:-1]} {name!r}: {suggest(name, names(table))}")
    for name in ("limit", "max_length", "threads"):
        if getattr(settings, name) < 0:
            raise InputError(f"--{name.replace('_', '-')} {getattr(settings, name)}: expected 0 or more")
    if not settings.seeds:
        raise InputError("--seeds: expected at least one")
    if settings.device.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"--device {settings.device}: torch finds no GPU here; use --device cpu")


def read_tasks(settings: RunSettings, narrator: Narrator) -> list[Task]:
    """The tasks of the run; tells of those that the corpus lacks."""
    with narrator.stage("tasks", len(settings.tasks), "names") as advance:
        tasks, absent = load_tasks(settings.data, settings.tasks, settings.limit)
        advance(len(settings.tasks))
    if absent:
        narrator.warn(f"{settings.data}: no files for {', '.join(absent)}; the other tasks are probed")
    return tasks


def choose_layers(wanted: Sequence[int], layer_names: Sequence[str]) -> list[int]:
    """Indices of the layers to probe, in order of depth.

    Raises:
        InputError: a layer that the encoder does not have.
    """
    count = len(layer_names)
    for layer in wanted:
        if not -count <= layer < count:
            raise InputError(f"--layers {layer}: the encoder has layers 0 (embeddings) to {count - 1}")
    return sorted({layer % count for layer in wanted}) or list(range(count))


def open_folder(settings: RunSettings, tasks: Sequence[Task]) -> RunFolder:
    """The run folder: the one asked for, or one named after the settings."""
    effective = {name: value for name, value in asdict(settings).items() if name not in WITHOUT_EFFECT}
    path = settings.output
    if path is None:
        parts = (settings.model, Path(settings.checkpoint).name, Path(settings.data).name)
        slug = "-".join(re.sub(r"[^\w.@-]+", "_", part) for part in parts)
        content = {task.name: digest_task(task) for task in tasks}
        path = RESULTS / f"{slug}-{digest_json([effective, content])[:8]}"
    return RunFolder(path, effective, overwrite=settings.overwrite)


def encode_tasks(
    settings: RunSettings, tasks: Sequence[Task], encoder: Encoder, narrator: Narrator
) -> tuple[LayerStack, dict[Text, int]]:
    """The pooled vectors of every distinct sentence of all tasks, and where each sentence stands among them."""
    texts = list(dict.fromkeys(text for task in tasks for split in SPLITS for text in task.splits[split].texts))
    pooling = Pooling(settings.pooling, settings.special_tokens)
    with narrator.stage("encoding", len(texts), "sentences") as advance:
        extraction = extract_stack(encoder, texts, pooling, StackCache(settings.cache_dir), advance)
    tell_extraction(extraction, len(texts), encoder, narrator)
    return extraction.stack, {text: row for row, text in enumerate(texts)}


def tell_extraction(extraction: Extraction, n_texts: int, encoder: Encoder, narrator: Narrator) -> None:
    """Say what the encoding was and what is wrong with it."""
    facts = {"sentences": n_texts, "encoded": extraction.n_encoded, "tokens": extraction.n_tokens}
    narrator.note("encoding", **facts, truncated=extraction.n_truncated)
    if extraction.n_truncated:
        narrator.warn(f"{extraction.n_truncated} sentences were longer than {encoder.max_length} tokens and were cut")
    for path in extraction.damaged:
        narrator.warn(f"{path}: damaged, removed, and its sentences encoded anew")


def probe_tasks(
    settings: RunSettings,
    tasks: Sequence[Task],
    encoder: Encoder,
    layers: Sequence[int],
    stack: LayerStack,
    index: Mapping[Text, int],
    folder: RunFolder,
    narrator: Narrator,
) -> tuple[list[CellResult], list[Failure]]:
    """Compute all cells that are not there yet; keep each as it is finished."""
    cells = plan_cells(settings, tasks, encoder)
    results, failures, found = [], [], 0
    identity = [encoder.digest, encoder.dtype, encoder.max_length, version(_PACKAGES[0])]
    with narrator.stage("probing", len(cells), "cells") as advance:
        for cell in cells:
            key = digest_json([identity, digest_task(cell.task), layers])
            result = folder.find_cell(cell.name, key)
            found += result is not None
            try:
                if result is None:
                    result = compute_cell(cell, settings, encoder, layers, stack, locate(cell.task, index))
                    folder.keep_cell(cell.name, key, result)
                results.append(result)
            except _COSTS_A_CELL as error:
                failures.append(fail(cell, error, narrator))
            advance(1)
    narrator.note("probing", cells=len(cells), resumed=found)
    warn_unconverged(results, narrator)
    return results, failures


def locate(task: Task, index: Mapping[Text, int]) -> dict[str, Int[np.ndarray, " sentences"]]:
    """Where the sentences of each split stand in the stack."""
    return {split: np.array([index[text] for text in task.splits[split].texts]) for split in SPLITS}


def fail(cell: Cell, error: Exception, narrator: Narrator) -> Failure:
    """Record a cell that could not be computed."""
    narrator.warn(f"{cell.name} failed: {type(error).__name__}: {error}")
    return Failure(cell.task.name, cell.representation, cell.control, cell.seed, f"{type(error).__name__}: {error}")


def warn_unconverged(results: Sequence[CellResult], narrator: Narrator) -> None:
    """Say which probes stopped before their minimum."""
    scores = [score for result in results for score in result.scores if score.split == "test" and not score.converged]
    if scores:
        where = ", ".join(f"{score.task} ({score.layer_name})" for score in scores)
        narrator.warn(f"{len(scores)} probes did not converge: {where}")


def digest_task(task: Task) -> str:
    """The identity of a task's sentences and labels."""
    return digest_json(
        [task.name, task.classes]
        + [[text_key(text).hex() for text in task.splits[split].texts] for split in SPLITS]
        + [task.splits[split].labels.tolist() for split in SPLITS]
    )


def describe_run(settings: RunSettings, tasks: Sequence[Task], encoder: Encoder) -> dict[str, Any]:
    """What the numbers depend on beside the settings: versions, machine, hashes."""
    return {
        "versions": {"python": platform.python_version()} | {name: version(name) for name in _PACKAGES},
        "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
        "device": encoder.device,
        "dtype": encoder.dtype,
        "threads": torch.get_num_threads(),
        "seeds": list(settings.seeds),
        "encoder": {
            "checkpoint": encoder.checkpoint,
            "revision": encoder.revision,
            "digest": encoder.digest,
            "layers": encoder.layer_names,
            "hidden_size": encoder.hidden_size,
            "max_length": encoder.max_length,
        },
        "tasks": {
            task.name: {"origin": task.origin, "digest": digest_task(task)}
            | {split: len(task.splits[split]) for split in SPLITS}
            for task in tasks
        },
    }
