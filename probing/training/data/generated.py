"""Tables of sentences that an earlier stage wrote, with the provenance of each row, and learning from them."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from probing.atomic_files import write_atomically
from probing.records import InputError, Split, Task, Text
from probing.training.contracts import Written

TABLE = "sentences.parquet"
"""File of the folder that a stage of kind `generate` leaves: one row per text, as `Written` has them."""


def write_table(folder: Path, rows: Sequence[Written]) -> None:
    """Write the table into a folder, whole or not at all."""
    frame = pd.DataFrame(_as_columns(rows))
    write_atomically(folder / TABLE, frame.to_parquet(index=False))


def read_table(folder: Path) -> list[Written]:
    """The texts that a stage left.

    Raises:
        InputError: there is no such table, or it cannot be read.
    """
    try:
        frame = pd.read_parquet(folder / TABLE)
        return [make_written(row) for row in frame.to_dict("records")]  # pyright: ignore
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / TABLE}: no table of written sentences ({error}); make the run anew") from None


def make_written(row: dict[str, Any]) -> Written:
    """A row, from what a file holds of it."""
    values: dict[str, Any] = {name: int(row[name]) for name in ("row", "copy", "label")}
    values |= {name: tuple(map(str, row[name])) for name in ("text", "old", "new")}
    return Written(**values, places=tuple(map(int, row["places"])))


def list_known(task: Task) -> frozenset[Text]:
    """All texts of a task: one written like a text of dev or test would teach what is asked there."""
    return frozenset(text for split in task.splits.values() for text in split.texts)


def drop_known(rows: Sequence[Written], known: Collection[Text]) -> tuple[list[Written], int]:
    """The texts that are new in any case of letters, each the first of its like, and the number of the others."""
    seen, kept = {_fold(text) for text in known}, []
    for row in rows:
        if _fold(row.text) not in seen:
            seen.add(_fold(row.text))
            kept.append(row)
    return kept, len(rows) - len(kept)


def _fold(text: Text) -> Text:
    return tuple(segment.casefold() for segment in text)


def add_to_train(task: Task, rows: Sequence[Written]) -> Task:
    """The task with the written texts behind those of train; dev and test stay as they are."""
    train = task.splits["train"]
    source = np.array([row.row for row in rows], dtype=np.int64)
    together = Split(
        (*train.texts, *(row.text for row in rows)),
        np.concatenate([train.labels, np.array([row.label for row in rows], dtype=train.labels.dtype)]),
        targets=None if train.targets is None else np.concatenate([train.targets, train.targets[source]]),
    )
    return replace(task, splits={**task.splits, "train": together})


def _as_columns(rows: Sequence[Written]) -> dict[str, list[Any]]:
    values = [asdict(row) for row in rows]
    return {name: [row[name] for row in values] for name in Written.__dataclass_fields__}
