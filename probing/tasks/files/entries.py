"""What a reader finds in a file, sound or not, and how sound entries become a task.

Readers stop at nothing: each line is an entry or a fault. A run stops at the first fault; the data doctor lists all.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import NamedTuple

import numpy as np

from probing.folds import N_FOLDS, assign_folds
from probing.records import SPLITS, InputError, Split, Task, TaskSpec, Text

GRADED_METRICS = ("pearson", "spearman")
"""Of tasks whose labels are scores."""
TOP_SCORE = 100
"""The highest score that is taken: a probe learns one probability for each whole number up to it."""
MOST_OF_FEW = 20
"""Above so many classes, they must be fewer than half of the rows: else what stands there is no class."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
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
    """Whether it is a row without a text."""
    ragged: bool = False
    """Whether it is a row with too few or too many fields."""

    @property
    def is_usual(self) -> bool:
        """Whether published corpora have a few such rows: they are left out there, and counted."""
        return self.blank or self.ragged

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

    Labels that are all numbers, some with a fraction, are scores: as classes they would have no order.

    Args:
        spec: what the task is.
        contents: of its files.
        origin: where they come from.
        folds: parts of a cross-validation of the whole; 0 for fixed splits.
        graded: whether labels are known to be scores, numbers from 0 on, to be told by their nearest whole numbers.

    Raises:
        InputError: a fault, an empty split, a label that train never saw, or labels that are no classes.
    """
    entries = _drop_unlabelled(contents.entries)
    if contents.faults:
        more = len(contents.faults) - 1
        raise InputError(f"{contents.faults[0]}{f' (and {more} more; --check lists them)' if more else ''}")
    found = not graded and has_fractions(entries)
    classes, labels, targets = (_grade if graded or found else _classify)(entries, origin)
    rows, division, notes = divide_entries(entries, labels, folds, origin)
    if targets is None:
        _check_labels(entries, labels, rows, classes, origin)
    else:
        _check_scores(targets, rows, origin)
        spec = spec if "pearson" in spec.metrics else replace(spec, metrics=GRADED_METRICS)
    notes += ["its labels are numbers with fractions: they are scores, told by correlation"] if found else []
    lines = np.array([entry.line for entry in entries])
    whole = Split(tuple(entry.text for entry in entries), labels, lines, targets)
    splits = {split: whole.select(rows[split]) for split in SPLITS}
    return Task(spec, classes, splits, origin, folds, division, tuple(notes))


def _drop_unlabelled(entries: Sequence[Entry]) -> Sequence[Entry]:
    """The entries without a test set that has -1 for every label, as published ones have in place of the truth."""
    labels = {split: {entry.label for entry in entries if entry.split == split} for split in SPLITS}
    hidden = labels["test"] == {"-1"} and labels["dev"] and "-1" not in labels["train"] | labels["dev"]
    return [entry for entry in entries if entry.split != "test"] if hidden else entries


def has_fractions(entries: Sequence[Entry]) -> bool:
    """Whether all labels are numbers and some are no whole ones."""
    distinct = {entry.label for entry in entries}
    return all(map(_NUMBER.fullmatch, distinct)) and any(not float(label).is_integer() for label in distinct)


def divide_entries(
    entries: Sequence[Entry], labels: np.ndarray, folds: int, origin: str
) -> tuple[dict[str, np.ndarray], str, list[str]]:
    """The rows of each split; in words how they were made, no words where the source says it all; and what to tell.

    Raises:
        InputError: some rows have a split and others none, or a split has no rows.
    """
    marks, notes = np.array([entry.split for entry in entries], dtype="U8"), []
    if folds:
        return dict.fromkeys(SPLITS, np.arange(len(entries))), f"{folds}-fold cross-validation: {MADE_HERE}", notes
    if set(marks) == {"train"}:
        marks[:] = ""
    if not marks.any():
        notes += _assign_splits(marks, np.arange(len(entries)), entries, labels, ("test", "dev"))
        return _split_rows(marks, entries, origin), f"8/1/1 tenths for train, dev and test: {MADE_HERE}", notes
    if not marks.all():
        line = next(entry.line for entry in entries if not entry.split)
        raise InputError(f"{origin}:{line}: has no split, though other rows have one; give one to all or to none")
    if set(marks) == {"train", "dev"}:
        marks[marks == "dev"] = "test"
        notes.append("has no labelled test: its dev is the test, and a tenth of its train is dev")
    if set(marks) == {"train", "test"}:
        notes += _assign_splits(marks, np.flatnonzero(marks == "train"), entries, labels, ("dev",))
        return _split_rows(marks, entries, origin), f"dev is a tenth of the source's train: {MADE_HERE}", notes
    return _split_rows(marks, entries, origin), "", notes


def _assign_splits(
    marks: np.ndarray, rows: np.ndarray, entries: Sequence[Entry], labels: np.ndarray, held_out: Sequence[str]
) -> list[str]:
    """Marks some rows, a tenth for each held-out split; classes that train would lack go there, which is told."""
    parts = assign_folds([entries[row].text for row in rows.tolist()], labels[rows])
    marks[rows] = np.array([*held_out, *["train"] * (N_FOLDS - len(held_out))])[parts]
    lacking = set(labels[rows].tolist()) - set(labels[rows[marks[rows] == "train"]].tolist())
    texts = {entries[row].text for row in rows.tolist() if labels[row] in lacking}
    marks[[row for row in rows.tolist() if entries[row].text in texts]] = "train"
    names = sorted({entries[row].label for row in rows.tolist() if labels[row] in lacking})
    return [f"too few sentences to be split, all in train: class {_shorten(list(map(repr, names)))}"] if names else []


def _split_rows(marks: np.ndarray, entries: Sequence[Entry], origin: str) -> dict[str, np.ndarray]:
    rows = {split: np.flatnonzero(marks == split) for split in SPLITS}
    empty = [split for split in SPLITS if not len(rows[split])]
    if empty:
        n_texts, n_labels = len({entry.text for entry in entries}), len({entry.label for entry in entries})
        raise InputError(
            f"{origin}: split {empty[0]} is empty: {len(entries)} rows of {n_texts} different texts and {n_labels} "
            "labels; expected rows of train, dev and test, of train and test, or ten different texts or more without "
            "splits, three or more of each label"
        )
    return rows


def _classify(entries: Sequence[Entry], origin: str) -> tuple[tuple[str, ...], np.ndarray, None]:
    classes = tuple(sorted({entry.label for entry in entries}))
    if len(classes) > MOST_OF_FEW and len(classes) > len(entries) / 2:
        raise InputError(f"{origin}: {len(classes)} labels on {len(entries)} rows; expected classes")
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
    top = targets.max(initial=1)
    if top > TOP_SCORE:
        raise InputError(f"{origin}: a score is {top:g}; expected at most {TOP_SCORE}: divide all scores by one number")
    classes = tuple(map(str, range(ceil(top) + 1)))
    return classes, np.floor(targets + 0.5).astype(np.int64), targets


def _check_scores(targets: np.ndarray, rows: dict[str, np.ndarray], origin: str) -> None:
    for split in SPLITS:
        if len(np.unique(targets[rows[split]])) < 2:
            raise InputError(f"{origin}: every score of {split} is {targets[rows[split]][0]:g}; expected two or more")


def _check_labels(
    entries: Sequence[Entry], labels: np.ndarray, rows: dict[str, np.ndarray], classes: tuple[str, ...], origin: str
) -> None:
    known = np.unique(labels[rows["train"]])
    shown = _shorten([classes[label] for label in known])
    if len(known) < 2:
        raise InputError(f"{origin}: every label of train is {shown}; expected two classes or more")
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
