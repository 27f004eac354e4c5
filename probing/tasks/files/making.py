"""Task from sound entries: what its labels are, and whether a probe can learn them."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from math import ceil

import numpy as np

from probing.records import SPLITS, InputError, Split, Task, TaskSpec
from probing.tasks.files.entries import Contents, Entry
from probing.tasks.files.splitting import assign_splits, shorten

GRADED_METRICS = ("pearson", "spearman")
"""Of tasks whose labels are scores."""
TOP_SCORE = 100
"""The highest score that is taken: a probe learns one probability for each whole number up to it."""
MOST_OF_FEW = 20
"""Above so many classes, they must be fewer than half of the rows: else what stands there is no class."""
_DOUBTFUL = {"none", "null", "na", "n/a"}
"""Labels that are words, and may stand for a missing one, in any case."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)
_INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)


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
    rows, split_rule, notes = assign_splits(entries, labels, folds, origin)
    if targets is None:
        _check_labels(entries, labels, rows, classes, origin)
        notes += [*_describe_doubtful(entries), *_describe_alike(classes), *_describe_commas(classes)]
        notes += _describe_single(labels, rows, classes)
    else:
        _check_scores(targets, rows, origin)
        spec = spec if "pearson" in spec.metrics else replace(spec, metrics=GRADED_METRICS)
    notes += contents.notes
    notes += ["its labels are numbers with fractions: they are scores, told by correlation"] if found else []
    lines = np.array([entry.line for entry in entries])
    whole = Split(tuple(entry.text for entry in entries), labels, lines, targets)
    splits = {split: whole.select(rows[split]) for split in SPLITS}
    return Task(spec, classes, splits, origin, folds, split_rule, tuple(notes))


def _drop_unlabelled(entries: Sequence[Entry]) -> Sequence[Entry]:
    """The entries without a test set that has -1 for every label, as published ones have in place of the truth."""
    labels = {split: {entry.label for entry in entries if entry.split == split} for split in SPLITS}
    hidden = labels["test"] == {"-1"} and labels["dev"] and "-1" not in labels["train"] | labels["dev"]
    return [entry for entry in entries if entry.split != "test"] if hidden else entries


def has_fractions(entries: Sequence[Entry]) -> bool:
    """True where all labels are numbers and some are no whole ones; infinity is the fault of a score, and no class."""
    distinct = {entry.label for entry in entries if not _INFINITE.fullmatch(entry.label)}
    return all(map(_NUMBER.fullmatch, distinct)) and any(not float(label).is_integer() for label in distinct)


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
    shown = shorten([classes[label] for label in known])
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


def _describe_doubtful(entries: Sequence[Entry]) -> list[str]:
    counts = Counter(entry.label for entry in entries if entry.label.casefold() in _DOUBTFUL)
    return [f"{count} x label {label!r}: is it a class, or missing?" for label, count in sorted(counts.items())]


def _describe_alike(classes: Sequence[str]) -> list[str]:
    """A note where classes differ in nothing that a reader would call a difference: one class may have become two."""
    alike: dict[object, list[str]] = defaultdict(list)
    for label in classes:
        alike[_fold(label)].append(label)
    groups = [" and ".join(map(ascii, group)) for group in alike.values() if len(group) > 1]
    return [f"labels that look alike are classes of their own: {shorten(groups)}"] if groups else []


def _describe_commas(classes: Sequence[str]) -> list[str]:
    """A note where every class is a number with a comma for its point, which has been taken for a name."""
    if not all(_COMMA.fullmatch(label) for label in classes):
        return []
    return [f"its labels are names of classes here, such as {classes[0]!r}; write scores with a point"]


def _fold(label: str) -> object:
    """A label without case, form of its characters and what cannot be seen; of a number, its value."""
    if _NUMBER.fullmatch(label):
        return float(label)
    plain = unicodedata.normalize("NFKC", label).casefold()
    return "".join(one for one in plain if unicodedata.category(one)[0] not in "ZC")


def _describe_single(labels: np.ndarray, rows: dict[str, np.ndarray], classes: tuple[str, ...]) -> list[str]:
    """A note for each of dev and test that has one class: whoever always answers it is never wrong there."""
    single = {split: np.unique(labels[rows[split]]) for split in ("dev", "test")}
    means = {
        "dev": "strengths, steps and best layers are chosen by it, and cannot be",
        "test": "a score on it says nothing of the others",
    }
    return [
        f"every label of {split} is {classes[found[0]]!r}: {means[split]}"
        for split, found in single.items()
        if len(found) == 1
    ]
