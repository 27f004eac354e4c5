"""The splits of some entries: the source's own, or made here where it has none."""

from collections.abc import Sequence

import numpy as np

from probing.folds import N_FOLDS, assign_folds
from probing.records import SPLITS, InputError
from probing.tasks.files.entries import Entry

MADE_HERE = "equal texts kept together, stratified by label, dealt by a hash of the text with seed 0"
_MOST = 8
"""Values that a message shows."""


def assign_splits(
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
        notes += _mark_held_out(marks, np.arange(len(entries)), entries, labels, ("test", "dev"))
        return _split_rows(marks, entries, origin), f"8/1/1 tenths for train, dev and test: {MADE_HERE}", notes
    if not marks.all():
        line = next(entry.line for entry in entries if not entry.split)
        raise InputError(f"{origin}:{line}: has no split, though other rows have one; give one to all or to none")
    if set(marks) == {"train", "dev"}:
        marks[marks == "dev"] = "test"
        notes.append("has no labelled test: its dev is the test, and a tenth of its train is dev")
    if set(marks) == {"train", "test"}:
        notes += _mark_held_out(marks, np.flatnonzero(marks == "train"), entries, labels, ("dev",))
        return _split_rows(marks, entries, origin), f"dev is a tenth of the source's train: {MADE_HERE}", notes
    return _split_rows(marks, entries, origin), "", notes


def _mark_held_out(
    marks: np.ndarray, rows: np.ndarray, entries: Sequence[Entry], labels: np.ndarray, held_out: Sequence[str]
) -> list[str]:
    """Marks some rows, a tenth for each held-out split; classes that train would lack go there, which is told."""
    parts = assign_folds([entries[row].text for row in rows.tolist()], labels[rows])
    marks[rows] = np.array([*held_out, *["train"] * (N_FOLDS - len(held_out))])[parts]
    lacking = set(labels[rows].tolist()) - set(labels[rows[marks[rows] == "train"]].tolist())
    texts = {entries[row].text for row in rows.tolist() if labels[row] in lacking}
    marks[[row for row in rows.tolist() if entries[row].text in texts]] = "train"
    names = sorted({entries[row].label for row in rows.tolist() if labels[row] in lacking})
    return [f"too few sentences to be split, all in train: class {shorten(list(map(repr, names)))}"] if names else []


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


def shorten(values: Sequence[str]) -> str:
    """Some values and not all of them, for a message."""
    return ", ".join(values[:_MOST]) + (", ..." if len(values) > _MOST else "")
