"""SentEval's probing files: `split TAB label TAB ... TAB space-tokenised sentence`, UTF-8, no quoting.

Tasks: Conneau et al. 2018 (arXiv 1805.01070). Their split marks `tr va te` are mapped to `train dev test` here and
nowhere else. Of a line with more than three fields the first, the second and the last count.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from probing.randomness import stream
from probing.records import SPLITS, InputError, Split, Task, TaskSpec
from probing.registry import suggest
from probing.store import write_atomically

SPLIT_MARKS = {"tr": "train", "va": "dev", "te": "test"}
_PAPER = "1805.01070"

SENTEVAL_TASKS = (
    TaskSpec("sentence_length", "SentLen", "surface", ("Length",), reference=_PAPER),
    TaskSpec("word_content", "WC", "surface", ("WordContent",), reference=_PAPER),
    TaskSpec("tree_depth", "TreeDepth", "syntactic", ("Depth",), reference=_PAPER),
    TaskSpec("top_constituents", "TopConst", "syntactic", ("TopConstituents",), reference=_PAPER),
    TaskSpec("bigram_shift", "BShift", "syntactic", ("BigramShift",), reference=_PAPER),
    TaskSpec("past_present", "Tense", "semantic", ("PastPresent",), reference=_PAPER),
    TaskSpec("subj_number", "SubjNum", "semantic", ("SubjNumber",), reference=_PAPER),
    TaskSpec("obj_number", "ObjNum", "semantic", ("ObjNumber",), reference=_PAPER),
    TaskSpec("odd_man_out", "SOMO", "semantic", ("OddManOut",), reference=_PAPER),
    TaskSpec("coordination_inversion", "CoordInv", "semantic", ("CoordinationInversion",), reference=_PAPER),
)
"""The ten tasks, in the paper's order."""

Row = tuple[str, str, str]
"""Split (`train`, `dev` or `test`), label, sentence."""


def find_specs(wanted: Iterable[str], known: Sequence[TaskSpec] = SENTEVAL_TASKS) -> list[TaskSpec]:
    """The tasks that some names, titles, aliases or groups stand for, in the order of `known`.

    Raises:
        InputError: a name that none of them bears.
    """
    chosen: set[str] = set()
    for name in wanted:
        key = _fold(name)
        matches = {
            spec.name
            for spec in known
            if key in map(_fold, (spec.name, spec.title, spec.group, *spec.aliases)) or key == "all"
        }
        if not matches:
            raise InputError(f"unknown task {name!r}: {suggest(name, [spec.name for spec in known])}")
        chosen |= matches
    return [spec for spec in known if spec.name in chosen]


def read_task(path: Path, spec: TaskSpec) -> Task:
    """Read one file.

    Raises:
        InputError: the file is missing, not UTF-8, or holds a line that is no task line, an empty split, or a
            label that train never saw. The message names the file, the line and what was expected.
    """
    rows = _read_rows(path)
    classes = tuple(sorted({label for _, (split, label, _) in rows if split == "train"}))
    index = {label: number for number, label in enumerate(classes)}
    for line, (split, label, _) in rows:
        if label not in index:
            raise InputError(
                f"{path}:{line}: label {label!r} of split {split} never occurs in train (known there: {_shorten(classes)})"
            )
    splits = {}
    for split in SPLITS:
        chosen = [(label, sentence) for _, (mark, label, sentence) in rows if mark == split]
        if not chosen:
            raise InputError(f"{path}: split {split} is empty; a task needs lines marked {', '.join(SPLIT_MARKS)}")
        splits[split] = Split(
            tuple((sentence,) for _, sentence in chosen), np.array([index[label] for label, _ in chosen])
        )
    return Task(spec, classes, splits, origin=str(path))


def format_rows(rows: Iterable[Row]) -> str:
    """The text of a file that holds these rows, in SentEval's form."""
    marks = {split: mark for mark, split in SPLIT_MARKS.items()}
    return "".join(f"{marks[split]}\t{label}\t{sentence}\n" for split, label, sentence in rows)


def write_tasks(folder: Path, tasks: Mapping[str, Iterable[Row]]) -> None:
    """Write one `NAME.txt` per task, each whole or not at all."""
    for name, rows in tasks.items():
        write_atomically(folder / f"{name}.txt", format_rows(rows).encode())


def limit_task(task: Task, limit: int, seed: int = 0) -> Task:
    """At most `limit` sentences of each split, classes in proportion, the same ones every time.

    A smaller limit gives a subset of a larger one; every class keeps at least one sentence as far as the limit allows.
    """
    splits = {
        name: _limit_split(split, limit, stream(seed, "limit", task.name, name)) for name, split in task.splits.items()
    }
    return replace(task, splits=splits)


def _limit_split(split: Split, limit: int, generator: np.random.Generator) -> Split:
    if len(split) <= limit:
        return split
    order = generator.permutation(len(split))
    rank: Counter[int] = Counter()
    sizes = np.bincount(split.labels)
    position = np.empty(len(split))
    for row in order:
        label = int(split.labels[row])
        position[row] = rank[label] / sizes[label]
        rank[label] += 1
    rows = np.sort(order[np.argsort(position[order], kind="stable")[:limit]])
    return split.select(rows)


def _read_rows(path: Path) -> list[tuple[int, Row]]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected a SentEval task file") from None
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path}:{line}: byte 0x{content[error.start]:02x} is not UTF-8; save the file as UTF-8"
        ) from None
    lines = text.split("\n")
    return [(number, _parse_line(path, number, line)) for number, line in enumerate(lines, start=1) if line.strip()]


def _parse_line(path: Path, number: int, line: str) -> Row:
    parts = line.rstrip("\r").split("\t")
    if len(parts) < 3:
        raise InputError(
            f"{path}:{number}: expected split, label and sentence with tabs between, got {len(parts)} field(s)"
        )
    mark, label, sentence = parts[0], parts[1], parts[-1]
    if mark not in SPLIT_MARKS:
        raise InputError(f"{path}:{number}: unknown split {mark!r}; expected one of {', '.join(SPLIT_MARKS)}")
    if not sentence.strip():
        raise InputError(f"{path}:{number}: the sentence is empty")
    return SPLIT_MARKS[mark], label, sentence


def _fold(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def _shorten(values: Sequence[str], most: int = 8) -> str:
    return ", ".join(values[:most]) + (", ..." if len(values) > most else "")
