"""Check of a source of tasks: what is wrong with its files, and what they give away. It reports all it finds."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from probing.catalogue.tasks import SENTEVAL_TASKS
from probing.records import SPLITS, InputError
from probing.tasks.checks.shortcuts import Shortcuts, count_words, measure_shortcuts
from probing.tasks.controlled.corpus import make_rows
from probing.tasks.files.download import BLOB_IDS, OFFICIAL_FOLDER, blob_id
from probing.tasks.files.entries import Contents, Entry
from probing.tasks.files.folder import Candidate, find_candidates, find_twins
from probing.tasks.sources import find_source

_SHOWN = 3
"""Number of examples that are given of one kind of fault."""


@dataclass(frozen=True)
class TaskCheck:
    """Findings in the files of one task."""

    task: str
    origin: str
    sentences: Mapping[str, int]
    """By split; under an empty name those of a file without splits."""
    classes: int
    class_shares: tuple[float, float]
    """Of the rarest and the most frequent class, over all sentences."""
    words: tuple[int, int, int]
    """The least, the median and the most words of a text."""
    repeated: int
    """Texts that occur again in the same split: what is beyond the first occurrence."""
    shared: int
    """Texts of dev and test that occur in an earlier split too."""
    contradicted: int
    """Texts that have two labels."""
    shortcuts: Shortcuts | None
    """Shortcuts that the task leaves open; none where it cannot be read as a task at all."""
    faults: Sequence[str]
    """Faults that have to be mended, a line each."""
    notes: Sequence[str]
    """Notes that are worth knowing."""

    def as_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        return asdict(self)


def check_source(data: str) -> tuple[list[TaskCheck], list[str]]:
    """Check every task of a source; and what is wrong with the source as a whole.

    Args:
        data: as `--data` of a run: `controlled`, `senteval` or a folder.

    Raises:
        InputError: there is no such source, or nothing in it that could be a task.
    """
    if data == "controlled":
        return [check_rows(name, found, "controlled corpus") for name, found in make_rows().items()], []
    source = find_source(data, "--check")
    candidates = find_candidates(source)
    passed = list_passed(source, candidates)
    if not candidates and not passed:
        raise InputError(f"{source}: holds no task files; see data/README.md for what they may look like")
    papers = [spec.name for spec in SENTEVAL_TASKS]
    candidates.sort(
        key=lambda candidate: papers.index(candidate.spec.name) if candidate.spec.name in papers else len(papers)
    )
    return [check_candidate(candidate) for candidate in candidates], [*find_twins(candidates), *passed]


def list_passed(source: Path, candidates: Sequence[Candidate]) -> list[str]:
    """Text files that were taken for notes, unless they are called like one."""
    read = {path for candidate in candidates for _, path in candidate.files}
    notes = ("readme", "license", "licence", "notes")
    return [
        f"{path}: was not read: its first line has no split, label and sentence with tabs between"
        for path in sorted(source.glob("*.txt"))
        if path not in read and not path.stem.lower().startswith(notes)
    ]


def check_rows(name: str, rows: Sequence[tuple[str, str, str]], origin: str) -> TaskCheck:
    """Check a task that was made and not read."""
    spec = next(spec for spec in SENTEVAL_TASKS if spec.name == name)
    entries = [Entry(line, split, label, (text,)) for line, (split, label, text) in enumerate(rows, start=1)]
    return _check(Candidate(spec, Path(origin)), Contents(entries, []))


def check_candidate(candidate: Candidate) -> TaskCheck:
    """Check the files of one task."""
    return _check(candidate, candidate.scan())


def _check(candidate: Candidate, contents: Contents) -> TaskCheck:
    entries = contents.entries
    repeated, shared, contradicted = find_repetitions(entries)
    faults = [*_show_faults(contents), *_show_official(candidate)]
    shortcuts, notes = None, list[str]()
    try:
        task = candidate.make(replace(contents, faults=[]))
        notes = list(task.notes)
        shortcuts = measure_shortcuts(task)
    except InputError as error:
        # Nothing was read: that has been said.
        faults += [str(error)] if entries else []
    faults += _show(shared, "stands in an earlier split too") + _show(contradicted, "has two labels")
    labels, lengths = Counter(entry.label for entry in entries), [count_words(entry.text) for entry in entries] or [0]
    counts = sorted(labels.values()) or [0]
    return TaskCheck(
        task=candidate.spec.title,
        origin=str(candidate.origin),
        sentences=_count_splits(entries),
        classes=len(labels),
        class_shares=(counts[0] / max(1, len(entries)), counts[-1] / max(1, len(entries))),
        words=(min(lengths), int(np.median(lengths)), max(lengths)),
        repeated=len(repeated),
        shared=len(shared),
        contradicted=len(contradicted),
        shortcuts=shortcuts,
        faults=faults,
        notes=[*notes, *_show(repeated, "is repeated within its split"), *_show_telling(shortcuts)],
    )


def find_repetitions(entries: Sequence[Entry]) -> tuple[list[Entry], list[Entry], list[Entry]]:
    """Entries whose text came before in their split, whose text is in an earlier split, and whose label is a second."""
    seen: dict[tuple[str, ...], dict[str, set[str]]] = defaultdict(dict)
    repeated, shared, contradicted = [], [], []
    for entry in sorted(entries, key=lambda entry: ("", *SPLITS).index(entry.split)):
        before = seen[entry.text]
        if entry.split in before:
            repeated.append(entry)
        elif before:
            shared.append(entry)
        if before and not any(entry.label in labels for labels in before.values()):
            contradicted.append(entry)
        before.setdefault(entry.split, set()).add(entry.label)
    return repeated, shared, contradicted


def _count_splits(entries: Sequence[Entry]) -> dict[str, int]:
    counts = Counter(entry.split for entry in entries)
    return {split: counts[split] for split in (*SPLITS, "") if split in SPLITS or counts[split]}


def _show(found: Sequence[Entry], what: str) -> list[str]:
    if not found:
        return []
    examples = "; ".join(f"line {entry.line}: {' | '.join(entry.text)[:60]}" for entry in found[:_SHOWN])
    return [f"{len(found)} x a text {what} ({examples})"]


def _show_faults(contents: Contents) -> Iterator[str]:
    """The first lines of each file that cannot be used, and how many more there are."""
    by_file: dict[Path, list[Any]] = defaultdict(list)
    for fault in contents.faults:
        by_file[fault.path].append(fault)
    for path, faults in by_file.items():
        yield from map(str, faults[:_SHOWN])
        if len(faults) > _SHOWN:
            yield f"{path}: {len(faults) - _SHOWN} more lines that cannot be used"


def _show_official(candidate: Candidate) -> Iterator[str]:
    """Report an official file that is not what it should be."""
    path, expected = dict(candidate.files).get(""), BLOB_IDS.get(candidate.spec.name)
    if path and expected and path.parent == OFFICIAL_FOLDER and blob_id(path.read_bytes()) != expected:
        yield f"{path}: is not SentEval's file: expected git blob {expected}"


def _show_telling(shortcuts: Shortcuts | None) -> Iterator[str]:
    if shortcuts and shortcuts.telling_words:
        yield (
            f"words that tell the class stand in {shortcuts.telling_coverage:.1%} of test and are right about "
            f"{shortcuts.telling_accuracy:.1%} of that: {', '.join(shortcuts.telling_words)}"
        )
