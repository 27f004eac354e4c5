"""One task in a file per split: what the names of files tell, such as `train.csv` or `test-00000-of-00001.parquet`."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from probing.records import SPLITS, InputError
from probing.tasks.files import tables
from probing.tasks.files.fields import SPLIT_WORDS

SplitFiles = tuple[tuple[str, Path], ...]
"""Split and file; the empty split stands for a file that says the splits itself, or has none."""

_SHARD = re.compile(
    r"(?P<word>[a-z]+)(?:_matched)?(?:-(?P<number>\d{5})-of-(?P<count>\d{5})(?:-[0-9a-f]{16})?)?", re.ASCII
)
"""MNLI calls its first dev set `validation_matched`; old datasets have a hash behind the number of a part."""


def name_split(path: Path) -> str:
    """The split that a table's name tells, as the Hugging Face hub reads names; empty where it tells none."""
    found = _SHARD.fullmatch(path.stem.lower())
    word = found["word"] if found and path.suffix.lower() in tables.FORMATS else ""
    return SPLIT_WORDS.get(word, "") if len(word) > 2 else ""


def find_split_files(paths: Iterable[Path]) -> SplitFiles:
    """The files of one task among some paths; none where there is no file of train.

    Raises:
        InputError: a split in two forms, or a part of it that is missing.
    """
    by_split: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(paths):
        if name_split(path) and path.is_file():
            by_split[name_split(path)].append(path)
    if "train" not in by_split:
        return ()
    for split, files in by_split.items():
        _check_parts(split, files)
    return tuple((split, path) for split in SPLITS for path in by_split[split])


def list_passed(folder: Path, files: SplitFiles) -> list[str]:
    """Names of tables beside those of a task that are no part of it."""
    taken = {path.name for _, path in files}
    tables_there = (path for path in sorted(folder.iterdir()) if path.suffix.lower() in tables.FORMATS)
    return [path.name for path in tables_there if path.name not in taken and not path.name.startswith(".")]


def drop_unlabelled(files: Sequence[tuple[str, Path]]) -> list[tuple[str, Path]]:
    """The files without those of a test set that has no labels, where there is a dev set to take its place."""
    marks = {split for split, _ in files}
    unlabelled = {split for split, path in files if split == "test" and not tables.has_labels(path)}
    return [(split, path) for split, path in files if split not in unlabelled or "dev" not in marks]


def _check_parts(split: str, files: Sequence[Path]) -> None:
    parts = [part for path in files if (part := _SHARD.fullmatch(path.stem.lower()))]
    forms = {(path.suffix.lower(), part["word"], part["count"]) for path, part in zip(files, parts, strict=True)}
    if len(forms) > 1:
        names = " and ".join(path.name for path in files[:4])
        raise InputError(f"{files[0].parent}: split {split} stands twice, in {names}; keep one of them")
    count = int(parts[0]["count"] or 1)
    if [int(part["number"] or 0) for part in parts] != list(range(count)):
        raise InputError(f"{files[0]}: is one of {count} parts, of which {len(parts)} are there")
