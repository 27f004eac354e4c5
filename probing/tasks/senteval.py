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
from probing.records import InputError, Split, Task, TaskSpec
from probing.registry import suggest
from probing.store import write_atomically
from probing.tasks.entries import Contents, Entry, Fault, make_task
from probing.tasks.text_lines import read_lines

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
        key = fold_name(name)
        matches = {
            spec.name
            for spec in known
            if key in map(fold_name, (spec.name, spec.title, spec.group, *spec.aliases)) or key == "all"
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
    return make_task(spec, read_contents(path), str(path))


def read_contents(path: Path) -> Contents:
    """All lines of a file, those that are no task lines as faults."""
    found = [line if isinstance(line, Fault) else _parse_line(path, *line) for line in read_lines(path)]
    entries = [one for one in found if isinstance(one, Entry)]
    return Contents(entries, [one for one in found if isinstance(one, Fault)])


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


def _parse_line(path: Path, number: int, line: str) -> Entry | Fault:
    parts = line.split("\t")
    if len(parts) < 3:
        message = f"expected split, label and sentence with tabs between, got {len(parts)} field(s)"
        return Fault(path, number, message)
    mark, label, sentence = parts[0], parts[1], parts[-1]
    if mark not in SPLIT_MARKS:
        return Fault(path, number, f"unknown split {mark!r}; expected one of {', '.join(SPLIT_MARKS)}")
    if not label.strip():
        return Fault(path, number, "the label is empty")
    if not sentence.strip():
        return Fault(path, number, "the sentence is empty")
    return Entry(number, SPLIT_MARKS[mark], label, (sentence,))


def fold_name(name: str) -> str:
    """What is left of a name when case, hyphens and underscores do not count."""
    return name.lower().replace("-", "").replace("_", "")
