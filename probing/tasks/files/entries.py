"""What a reader finds in a file, sound or not, and how sound entries become a task.

Readers stop at nothing: each line is an entry or a fault. A run stops at the first fault; the data doctor lists all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import NamedTuple

import numpy as np

from probing.folds import N_FOLDS, assign_folds
from probing.records import SPLITS, InputError, Split, Task, TaskSpec, Text

MADE_HERE = "equal texts kept together, stratified by label, dealt by a hash of the text with seed 0"


class Entry(NamedTuple):
    """One labelled text."""

    line: int
    """Counted from 1, as editors do; of a parquet file, the row."""
    split: str
    """`train`, `dev` or `test`; empty where the file does not say."""
    label: str
    text: Text


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a file."""

    path: Path
    line: int
    """0 where the file as a whole is meant."""
    message: str
    blank: bool = False
    """Whether it is a row without a text, of which published corpora have a few: they are left out there."""

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}" if self.line else str(self.path)
        return f"{where}: {self.message}"


@dataclass(frozen=True)
class Contents:
    """All that was found in the files of one task."""

    entries: Sequence[Entry]
    faults: Sequence[Fault]


def make_task(spec: TaskSpec, contents: Contents, origin: str, *, folds: int = 0, graded: bool = False) -> Task:
    """The task that some entries make, its splits made here where the source has none.

    Args:
        spec: what the task is.
        contents: of its files.
        origin: where they come from.
        folds: parts of a cross-validation of the whole; 0 for fixed splits.
        graded: whether labels are scores, numbers from 0 on, to be told by their nearest whole numbers.

    Raises:
        InputError: a fault, an empty split, a label that train never saw, or labels that are no classes.
    """
    if contents.faults:
        more = len(contents.faults) - 1
        raise InputError(f"{contents.faults[0]}{f' (and {more} more; --check lists them)' if more else ''}")
    classes, labels, targets = (_grade if graded else _classify)(contents.entries, origin)
    rows, division = divide_entries(contents.entries, labels, folds, origin)
    if not graded:
        _check_labels(contents.entries, labels, rows, classes, origin)
    lines = np.array([entry.line for entry in contents.entries])
    whole = Split(tuple(entry.text for entry in contents.entries), labels, lines, targets)
    return Task(spec, classes, {split: whole.select(rows[split]) for split in SPLITS}, origin, folds, division)


def divide_entries(
    entries: Sequence[Entry], labels: np.ndarray, folds: int, origin: str
) -> tuple[dict[str, np.ndarray], str]:
    """The rows of each split, and in words how they were found; no words where the source says it all.

    Raises:
        InputError: some rows have a split and others none, or a split has no rows.
    """
    marks = np.array([entry.split for entry in entries], dtype="U8")
    if folds:
        return dict.fromkeys(SPLITS, np.arange(len(entries))), f"{folds}-fold cross-validation: {MADE_HERE}"
    if not marks.any():
        parts = assign_folds([entry.text for entry in entries], labels)
        marks = np.array(["test", "dev", *["train"] * (N_FOLDS - 2)])[parts]
        return _split_rows(marks, origin), f"8/1/1 tenths for train, dev and test: {MADE_HERE}"
    if not marks.all():
        line = next(entry.line for entry in entries if not entry.split)
        raise InputError(f"{origin}:{line}: has no split, though other rows have one; give one to all or to none")
    if set(marks) == {"train", "test"}:
        rows = np.flatnonzero(marks == "train")
        parts = assign_folds([entries[row].text for row in rows.tolist()], labels[rows])
        marks[rows[parts == 0]] = "dev"
        return _split_rows(marks, origin), f"dev is a tenth of the source's train: {MADE_HERE}"
    return _split_rows(marks, origin), ""


def _split_rows(marks: np.ndarray, origin: str) -> dict[str, np.ndarray]:
    rows = {split: np.flatnonzero(marks == split) for split in SPLITS}
    for split in SPLITS:
        if not len(rows[split]):
            raise InputError(
                f"{origin}: split {split} is empty; expected rows of train, dev and test, of train and test, "
                "or rows without splits (ten or more)"
            )
    return rows


def _classify(entries: Sequence[Entry], origin: str) -> tuple[tuple[str, ...], np.ndarray, None]:
    del origin
    classes = tuple(sorted({entry.label for entry in entries}))
    index = {label: number for number, label in enumerate(classes)}
    return classes, np.array([index[entry.label] for entry in entries], dtype=np.int64), None


def _grade(entries: Sequence[Entry], origin: str) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    targets = np.empty(len(entries))
    for row, entry in enumerate(entries):
        try:
            targets[row] = float(entry.label)
        except ValueError:
            targets[row] = np.nan
        if not 0 <= targets[row] < np.inf:
            raise InputError(f"{origin}:{entry.line}: label {entry.label!r} is no score; expected a number from 0 on")
    classes = tuple(map(str, range(ceil(targets.max(initial=1)) + 1)))
    return classes, np.floor(targets + 0.5).astype(np.int64), targets


def _check_labels(
    entries: Sequence[Entry], labels: np.ndarray, rows: dict[str, np.ndarray], classes: tuple[str, ...], origin: str
) -> None:
    known = np.unique(labels[rows["train"]])
    shown = _shorten([classes[label] for label in known])
    if len(known) < 2:
        raise InputError(f"{origin}: every label of train is {shown}; expected two classes or more")
    if len(known) > 20 and len(known) > len(rows["train"]) / 2:
        raise InputError(f"{origin}: {len(known)} labels on {len(rows['train'])} rows of train; expected classes")
    for split in ("dev", "test"):
        strange = rows[split][~np.isin(labels[rows[split]], known)]
        if len(strange):
            first = entries[strange[0]]
            raise InputError(
                f"{origin}:{first.line}: label {first.label!r} of split {split} never occurs in train "
                f"(known there: {shown})"
            )


def _shorten(values: Sequence[str], most: int = 8) -> str:
    return ", ".join(values[:most]) + (", ..." if len(values) > most else "")
