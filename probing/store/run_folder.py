"""The folder that a run leaves: cells as they finish, then tables, settings and manifest."""

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from probing.atomic_files import to_csv, write_atomically
from probing.folds import describe_division
from probing.records import InputError, Predictions, Task, readout_key
from probing.tables import CellResult, GradientNorm, LayerWeight, Score, column_names

TABLES = ("scores", "layer_weights", "predictions")


class RunFolder:
    """A run folder that is being written.

    Args:
        path: the folder; made if it is not there.
        settings: what the run's numbers depend on, as JSON values.
        defaults: what a run is taken to have had where it was begun by a version that did not know a setting yet.
        overwrite: whether to throw away what stands there.

    Raises:
        InputError: the folder holds a run with other settings, or something else.
    """

    def __init__(
        self,
        path: Path,
        settings: Mapping[str, Any],
        *,
        defaults: Mapping[str, Any] | None = None,
        overwrite: bool = False,
    ):
        self.path = path
        if check_folder(path, settings, defaults or {}, overwrite=overwrite) and overwrite:
            shutil.rmtree(path)
        try:
            write_atomically(path / "settings.json", _json(settings))
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror}); choose another --output") from None

    def find_cell(self, name: str, key: str) -> CellResult | None:
        """A finished cell, if it was computed from the same data, model and settings (`key`)."""
        path = self._cell(name)
        try:
            with safe_open(path, framework="numpy") as file:
                facts = file.metadata() or {}
                if facts.get("key") != key:
                    return None
                arrays = {tensor: file.get_tensor(tensor) for tensor in file.keys()}  # noqa: SIM118 (no mapping)
        except (FileNotFoundError, SafetensorError):
            return None
        scores = [Score(**row) for row in json.loads(facts["scores"])]
        weights = [LayerWeight(**row) for row in json.loads(facts["weights"])]
        gradients = [GradientNorm(**row) for row in json.loads(facts.get("gradients", "[]"))]
        return CellResult(scores, weights, _unpack_predictions(arrays), gradients)

    def keep_cell(self, name: str, key: str, result: CellResult) -> None:
        """Write a finished cell, whole or not at all."""
        arrays = {
            f"{readout}/{field}": np.ascontiguousarray(values)
            for readout, predictions in result.predictions.items()
            for field, values in vars(predictions).items()
        }
        facts = {
            "key": key,
            "scores": json.dumps([asdict(score) for score in result.scores]),
            "weights": json.dumps([asdict(weight) for weight in result.weights]),
            "gradients": json.dumps([asdict(norm) for norm in result.gradients]),
        }
        write_atomically(self._cell(name), save(arrays, metadata=facts))

    def write_splits(self, tasks: Sequence[Task]) -> None:
        """Write down which sentence is in which split, for the tasks whose splits were made here."""
        rows = [row for task in tasks for row in describe_division(task)]
        if rows:
            write_atomically(self.path / "splits.parquet", pd.DataFrame(rows).to_parquet(index=False))

    def write_tables(self, results: Sequence[CellResult]) -> None:
        """Write scores, layer weights and predictions of all cells, and gradient norms where there are any."""
        scores = _frame(Score, (score for result in results for score in result.scores))
        weights = _frame(LayerWeight, (weight for result in results for weight in result.weights))
        predictions = pd.concat(
            [_frame_predictions(result) for result in results if result.predictions], ignore_index=True
        )
        for name, frame in zip(TABLES, (scores, weights, predictions), strict=True):
            write_atomically(self.path / f"{name}.parquet", frame.to_parquet(index=False))
        write_atomically(self.path / "scores.csv", to_csv(scores))
        gradients = _frame(GradientNorm, (norm for result in results for norm in result.gradients))
        if len(gradients):
            write_atomically(self.path / "gradient_norms.parquet", gradients.to_parquet(index=False))

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Write what the run was: versions, hashes, costs, warnings, failures."""
        write_atomically(self.path / "manifest.json", _json(manifest))

    def _cell(self, name: str) -> Path:
        return self.path / "cells" / f"{name}.safetensors"


def check_folder(
    path: Path, settings: Mapping[str, Any], defaults: Mapping[str, Any], *, overwrite: bool = False
) -> bool:
    """Whether a run stands in a folder that is to be written: this one, unless it may go. Writes nothing.

    Raises:
        InputError: the folder holds a run with other settings, or something else, or cannot be written.
    """
    wanted = json.loads(_json(settings))
    found = _find_settings(path, wanted)
    if found and not overwrite:
        known = {name: value for name, value in defaults.items() if name in wanted}
        _compare(path, json.loads(_json(known)) | found, wanted)
    there = next(parent for parent in (path, *path.absolute().parents) if parent.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        reason = "no permission" if there.is_dir() else "a file"
        raise InputError(f"{path}: cannot be written ({there}: {reason}); choose another --output")
    return bool(found)


def _find_settings(path: Path, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
    """The settings of the run that stands in a folder; empty where nothing stands there."""
    if path.is_file():
        raise InputError(f"{path}: a file stands where the run folder should be; choose another --output")
    if not path.is_dir() or not any(path.iterdir()):
        return {}
    file = path / "settings.json"
    if not file.is_file():
        raise InputError(f"{path}: not empty and no run folder; choose another --output")
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    # Other programs leave a settings.json too: what bears no field of ours is not ours to throw away.
    if not isinstance(found, dict) or not found.keys() & wanted.keys():
        raise InputError(f"{file}: not the settings of a run; choose another --output, or remove the folder")
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


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, default=str, ensure_ascii=False) + "\n").encode()


def _frame(record: type, rows: Iterable[Any]) -> pd.DataFrame:
    return pd.DataFrame([asdict(row) for row in rows], columns=column_names(record))


def _unpack_predictions(arrays: Mapping[str, np.ndarray]) -> dict[str, Predictions]:
    readouts = dict.fromkeys(name.rpartition("/")[0] for name in arrays)
    fields = column_names(Predictions)
    return {name: Predictions(**{field: arrays[f"{name}/{field}"] for field in fields}) for name in readouts}


def _frame_predictions(result: CellResult) -> pd.DataFrame:
    """One row per sentence and readout."""
    tests = {readout_key(score.representation, score.layer): score for score in result.scores if score.split == "test"}
    frames = []
    for readout, predictions in result.predictions.items():
        score = tests[readout]
        names = ("task", "representation", "layer", "layer_name", "control", "seed")
        columns = {name: getattr(score, name) for name in names}
        columns |= {"row": np.arange(len(predictions.labels)), "label": predictions.labels}
        columns |= {"predicted": predictions.predicted, "log_probability": predictions.log_probability}
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)
