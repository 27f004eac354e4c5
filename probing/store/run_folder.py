"""The folder that a run leaves: cells as they finish, then tables, settings and manifest."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from probing.atomic_files import check_writable, to_csv, write_atomically
from probing.digests import digest_file
from probing.folds import describe_folds
from probing.records import InputError, Task, Text, readout_key
from probing.sealed_json import DamageError, seal_json, unseal_json
from probing.store.cell_files import unpack_cell
from probing.store.own_files import check_places, clear_leftovers, replace_run
from probing.tables import (
    RECORDS,
    AmnesicScore,
    CellResult,
    GradientNorm,
    LayerSimilarity,
    LayerWeight,
    Score,
    SentenceRow,
    column_names,
)

_OWN_FROM = 0.5
"""A folder is a run's where its settings.json has more than this share of our settings: an older run may lack some."""


class RunFolder:
    """A run folder that is being written, by whoever holds it (`store.folder_lock`).

    Args:
        path: the folder; made if it is not there.
        settings: what the run's numbers depend on, as JSON values.
        defaults: what a run is taken to have had where it was begun by a version that did not know a setting yet.
        overwrite: whether to throw away the run that stands there; what is not a run's own stays.
        alone: whether no other program works there, so that what is half written was left by killed ones.

    Raises:
        InputError: the folder holds a run with other settings, or something else.
        OSError: it cannot be written.
    """

    def __init__(
        self,
        path: Path,
        settings: Mapping[str, Any],
        *,
        defaults: Mapping[str, Any] | None = None,
        overwrite: bool = False,
        alone: bool = True,
    ):
        self.path = path
        self.damaged: list[Path] = []
        """Cells that were asked for and are not as they were written; they count as not computed."""
        if check_folder(path, settings, defaults or {}, overwrite=overwrite) and overwrite:
            replace_run(path, seal_json(settings))
        else:
            write_atomically(path / "settings.json", seal_json(settings))
        if alone:
            clear_leftovers(path)

    def find_cell(self, name: str, key: str) -> CellResult | None:
        """A finished cell, if it was computed from the same data, model and settings (`key`) and is whole."""
        path = self.cell_file(name)
        try:
            return unpack_cell(path.read_bytes(), key)
        except FileNotFoundError:
            return None
        except DamageError:
            self.damaged.append(path)
            return None

    def cell_file(self, name: str) -> Path:
        """Place of a finished cell."""
        return self.path / "cells" / f"{name}.safetensors"

    def write_splits(self, tasks: Sequence[Task]) -> None:
        """Write down which sentence is in which split, for the tasks whose splits were made here."""
        rows = [row for task in tasks for row in describe_folds(task)]
        if rows:
            write_atomically(self.path / "splits.parquet", pd.DataFrame(rows).to_parquet(index=False))

    def write_sentences(self, tasks: Sequence[Task]) -> None:
        """Write down which rows of the tasks' tests are the same sentence: means over tasks share them."""
        numbers: dict[Text, int] = {}
        rows = [
            (task.name, row, numbers.setdefault(text, len(numbers)))
            for task in tasks
            for row, text in enumerate(task.splits["test"].texts)
        ]
        frame = pd.DataFrame(rows, columns=column_names(SentenceRow))
        write_atomically(self.path / "test_sentences.parquet", frame.to_parquet(index=False))

    def write_tables(self, results: Sequence[CellResult]) -> None:
        """Write scores, layer weights and predictions of all cells, and what else was measured."""
        scores = _frame(Score, (score for result in results for score in result.scores))
        weights = _frame(LayerWeight, (weight for result in results for weight in result.weights))
        predictions = pd.concat(
            [_frame_predictions(result) for result in results if result.predictions], ignore_index=True
        )
        frames = {"scores": scores, "layer_weights": weights, "predictions": predictions}
        for name, frame in frames.items():
            write_atomically(self.path / f"{name}.parquet", frame.to_parquet(index=False))
        write_atomically(self.path / "scores.csv", to_csv(scores))
        gradients = _frame(GradientNorm, (norm for result in results for norm in result.gradients))
        erased = _frame(AmnesicScore, (score for result in results for score in result.amnesia))
        similarities = _frame(LayerSimilarity, (one for result in results for one in result.similarities))
        further = {"gradient_norms": gradients, "layer_similarity": similarities, "amnesia": erased}
        for name, frame in further.items():
            if len(frame):
                write_atomically(self.path / f"{name}.parquet", frame.to_parquet(index=False))

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Write what the run was: versions, hashes, costs, warnings, failures; and the digests of its tables."""
        tables = [path for name in RECORDS if (path := self.path / f"{name}.parquet").is_file()]
        digests = {path.name: digest_file(path) for path in tables}
        write_atomically(self.path / "manifest.json", seal_json({**manifest, "files": digests}))


def check_folder(
    path: Path, settings: Mapping[str, Any], defaults: Mapping[str, Any], *, overwrite: bool = False
) -> bool:
    """Check a folder that is to be written for this run, unless it may go: true where it holds one. Writes nothing.

    Raises:
        InputError: the folder holds a run with other settings, or something else, or cannot be written.
    """
    wanted = _as_json(settings)
    found = _find_settings(path, wanted, overwrite=overwrite)
    if found and not overwrite:
        known = {name: value for name, value in defaults.items() if name in wanted}
        _compare(path, {**_as_json(known), **found}, wanted)
    check_places(path)
    check_writable(path)
    return bool(found)


def _find_settings(path: Path, wanted: Mapping[str, Any], *, overwrite: bool) -> Mapping[str, Any]:
    """The settings of the run that stands in a folder; empty where nothing stands there, hidden files left aside."""
    if path.is_file():
        raise InputError(f"{path}: a file stands where the run folder should be; choose another --output")
    # A kill at the very first write leaves a hidden file.
    if not path.is_dir() or all(entry.name.startswith(".") for entry in path.iterdir()):
        return {}
    file = path / "settings.json"
    if not file.is_file():
        raise InputError(f"{path}: not empty and no run folder; choose another --output")
    content = file.read_bytes()
    try:
        found = unseal_json(content)
    except DamageError:
        if not overwrite:
            raise InputError(
                f"{file}: damaged, or changed since it was written (its checksum does not fit); choose another "
                "--output, or --overwrite"
            ) from None
        found = _parse(content)
    except (ValueError, RecursionError):
        found = None
    # Other programs leave a settings.json too: what bears few of our settings is not ours to throw away.
    if not isinstance(found, dict) or len(found.keys() & wanted.keys()) <= _OWN_FROM * len(wanted):
        raise InputError(f"{file}: not the settings of such a run; choose another --output, or move the folder away")
    return found


def _compare(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    changed = [
        f"{name} {found.get(name)!r} -> {wanted.get(name)!r}"
        for name in sorted({*found, *wanted})
        if found.get(name) != wanted.get(name)
    ]
    if changed:
        raise InputError(
            f"{path}: holds a run with other settings ({', '.join(changed)}); choose another --output, or --overwrite"
        )


def _as_json(value: Mapping[str, Any]) -> dict[str, Any]:
    """Values as a file of them gives them back."""
    return json.loads(json.dumps(value, default=str))


def _parse(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _frame(record: type, rows: Iterable[Any]) -> pd.DataFrame:
    return pd.DataFrame([asdict(row) for row in rows], columns=column_names(record))


def _frame_predictions(result: CellResult) -> pd.DataFrame:
    """One row per sentence and readout."""
    tests = {readout_key(score.representation, score.layer): score for score in result.scores if score.split == "test"}
    frames = []
    # In the order of the scores: a cell that was read from its file has its arrays in another one.
    for readout, score in tests.items():
        if readout not in result.predictions:
            continue
        predictions = result.predictions[readout]
        names = ("task", "representation", "layer", "layer_name", "control", "seed")
        columns = {name: getattr(score, name) for name in names}
        columns |= {"row": np.arange(len(predictions.labels)), "label": predictions.labels}
        columns |= {"predicted": predictions.predicted, "log_probability": predictions.log_probability}
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)
