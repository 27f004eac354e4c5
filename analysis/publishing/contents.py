"""Contents of the cards of a run, whether of probing or of training, in one form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.report import facts, training
from analysis.runs.frames import title_of
from analysis.runs.probing_run import Run, load_run
from analysis.runs.training_run import TrainingRun, is_training, load_training
from analysis.stats.of_a_run import RunNumbers
from analysis.stats.summary import CONTENDERS
from analysis.tables.main import describe_main, main_table
from analysis.tables.training import tabulate_training
from probing.command_line.docstrings import read_docs
from probing.records import InputError
from probing.tables import RECORDS

_NAMES = {"last": "last layer", "best": "best layer by dev score", "mix": "scalar mix of the layers"}


@dataclass(frozen=True)
class Number:
    """One score that the model card names."""

    task: str
    """Key of the task."""
    metric: str
    split: str
    readout: str
    """Layer, mix or model, in words."""
    value: float
    """In the metric's own range."""


@dataclass(frozen=True)
class Contents:
    """A run in words and tables."""

    title: str
    checkpoint: str
    """Encoder that the numbers are of."""
    data: str
    """Corpus of its sentences."""
    tables: Mapping[str, Mapping[str, str]]
    """Stem of a Parquet file -> column -> its meaning."""
    rows: Mapping[str, int]
    """Stem of a Parquet file -> number of its rows."""
    shown: Sequence[tuple[str, pd.DataFrame]]
    """Captions, and tables of strings."""
    facts: Sequence[tuple[str, str]]
    command: str
    """The command that makes the numbers again."""
    numbers: Sequence[Number]
    open: Sequence[str]
    """Warnings of the run, and cells that could not be computed."""


def describe_contents(folder: Path) -> Contents:
    """Read a run that has ended.

    Raises:
        InputError: it has not ended, is damaged, or is no run.
    """
    if folder.is_dir() and not (folder / "manifest.json").is_file():
        raise InputError(f"{folder}: no manifest.json, so the run has not ended; give its command again first")
    return _describe_training(load_training(folder)) if is_training(folder) else _describe_probing(load_run(folder))


def _describe_probing(run: Run) -> Contents:
    numbers = RunNumbers(run)
    frame = main_table(numbers.summary, numbers.comparisons)
    first = run.scores.iloc[0]
    return Contents(
        title=facts.name_runs_of([run]),
        checkpoint=str(first["checkpoint"]),
        data=str(run.settings.get("data", "")),
        **_describe_tables(run.folder),
        shown=[(describe_main("In bold:"), frame)],
        facts=facts.list_facts(run),
        command=facts.rebuild_command(run.settings),
        numbers=[number for row in _rows_of_tasks(numbers.summary) for number in _list_numbers(row)],
        open=facts.list_warnings(run),
    )


def _describe_training(run: TrainingRun) -> Contents:
    return Contents(
        title=f"{run.recipe} of {run.model} on {title_of(run.task)}",
        checkpoint=str(run.models["checkpoint"].iloc[0]),
        data=str(run.settings.get("data", "")),
        **_describe_tables(run.folder),
        shown=[(caption, frame) for frame, caption in tabulate_training(run).values()],
        facts=training.list_facts(run),
        command=facts.rebuild_command(run.settings, "train_encoder.py"),
        numbers=[
            Number(run.task, str(row["metric"]), str(row["split"]), _name_model(row), float(row["value"]))
            for row in run.models.to_dict("records")
        ],
        open=[str(text) for text in run.manifest.get("warnings", [])],
    )


def _describe_tables(folder: Path) -> dict[str, Any]:
    columns = {name: read_docs(record) for name, record in RECORDS.items()}
    frames = {path.stem: pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))}
    found = {name: {str(c): columns.get(name, {}).get(str(c), "") for c in frame} for name, frame in frames.items()}
    return {"tables": found, "rows": {name: len(frame) for name, frame in frames.items()}}


def _rows_of_tasks(summary: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in summary[summary["level"] == "task"].to_dict("records")]


def _list_numbers(row: Mapping[str, Any]) -> list[Number]:
    known = [name for name in CONTENDERS if pd.notna(row[name])]
    where = {name: "" if name == "mix" else f" ({row[f'{name}_name']})" for name in known}
    return [
        Number(str(row["task"]), str(row["metric"]), "test", _NAMES[name] + where[name], float(row[name]))
        for name in known
    ]


def _name_model(row: Mapping[Any, Any]) -> str:
    variant = "" if row["variant"] in ("", "{}") else f" {row['variant']}"
    return f"{row['model']}, {row['recipe']}{variant}, seed {row['seed']}"
