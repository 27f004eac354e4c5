"""Splits that are published as positions: a table that says which row of which file belongs to which split."""

from collections.abc import Mapping
from pathlib import Path

from probing.records import SPLITS, InputError, Task, TaskSpec
from probing.tasks.files import tables
from probing.tasks.files.entries import Contents, Entry, Fault
from probing.tasks.files.fields import SPLIT_WORDS
from probing.tasks.files.lines import read_lines
from probing.tasks.files.making import make_task
from probing.tasks.files.transfer import name_transfer

_HEADER = ["split", "file", "row"]


def read_positions(path: Path, root: Path) -> Task:
    """The task that a table of positions picks from some files; it is called as the table is.

    Args:
        path: of the table: tab-separated, with the columns split, file and row, which counts from 0 below the header.
        root: the folder that its files are named from.

    Raises:
        InputError: no such table, a split without rows, a row that is none, that no file has or that is named twice, or
            as `make_task`.
    """
    files: dict[str, Mapping[int, Entry]] = {}
    entries, seen = [], set[tuple[str, int]]()
    for number, (split, name, row) in _read_rows(path):
        if name not in files:
            files[name] = _read_file(root / name)
        if row not in files[name]:
            raise InputError(
                f"{path}:{number}: {root / name} has no labelled text in row {row}; take the files it is of"
            )
        if (name, row) in seen:
            raise InputError(f"{path}:{number}: row {row} of {name} was named above; expected each row in one split")
        seen.add((name, row))
        entries.append(files[name][row]._replace(split=split))
    missing = [split for split in SPLITS if split not in {entry.split for entry in entries}]
    if missing:
        raise InputError(f"{path}: no row of {' and '.join(missing)}; expected rows of {', '.join(SPLITS)}")
    like = name_transfer(path.stem)
    spec = TaskSpec(path.stem, path.stem, "own") if like is None else like.spec
    return make_task(spec, Contents(entries, []), str(path))


def _read_rows(path: Path) -> list[tuple[int, tuple[str, str, int]]]:
    if not path.is_file():
        raise InputError(f"--splits {path}: no such file; expected a table with the columns split, file and row")
    found = []
    for line in read_lines(path):
        if isinstance(line, Fault):
            raise InputError(str(line))
        fields = line[1].split("\t")
        if not found and fields == _HEADER:
            continue
        split = SPLIT_WORDS.get(fields[0].lower(), "") if len(fields) == len(_HEADER) else ""
        if not split or not fields[2].isdecimal():
            raise InputError(
                f"{path}:{line[0]}: {line[1]!r:.60} is no position; expected split, file and row with tabs between"
            )
        found.append((line[0], (split, fields[1], int(fields[2]))))
    return found


def _read_file(path: Path) -> Mapping[int, Entry]:
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected --data to be the folder that the splits are positions in")
    found = tables.read_contents(path)
    # Rows that cannot be used count too; lines do not: a quoted text may have several, and some files have no header.
    lines = sorted({one.line for one in (*found.entries, *found.faults)})
    numbers = {line: row for row, line in enumerate(lines)}
    return {numbers[entry.line]: entry for entry in found.entries}
