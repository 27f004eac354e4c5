"""Files of SentEval's form: `split TAB label TAB ... TAB sentence`."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from probing.atomic_files import write_atomically
from probing.records import Task, TaskSpec
from probing.tasks.files.entries import Contents, Entry, Fault
from probing.tasks.files.fields import find_label_fault, find_text_fault, spell_label
from probing.tasks.files.lines import read_lines
from probing.tasks.files.making import make_task

SPLIT_MARKS = {"tr": "train", "va": "dev", "te": "test"}
_LEAST = 3
"""Fields of a line: split, label, sentence."""


Row = tuple[str, str, str]
"""Split (`train`, `dev` or `test`), label, sentence."""


def read_task(path: Path, spec: TaskSpec) -> Task:
    """Read one file.

    Raises:
        InputError: the file is missing, not UTF-8, or holds a line that is no task line, an empty split, or a
            label that train never saw. The message names the file, the line and what was expected.
    """
    return make_task(spec, read_contents(path), str(path))


def read_contents(path: Path) -> Contents:
    """All lines of a file, those that are no task lines as faults."""
    lines = list(read_lines(path))
    counts = Counter(line[1].count("\t") + 1 for line in lines if not isinstance(line, Fault))
    n_fields = max((n for n in counts if n >= _LEAST), key=lambda n: (counts[n], -n), default=_LEAST)
    found = [line if isinstance(line, Fault) else _parse_line(path, *line, n_fields) for line in lines]
    entries = [one for one in found if isinstance(one, Entry)]
    notes = [
        f"its lines have {n_fields} fields: split, label and the last, the sentence, are read, those between are not"
    ]
    return Contents(entries, [one for one in found if isinstance(one, Fault)], notes if n_fields > _LEAST else ())


def format_rows(rows: Iterable[Row]) -> str:
    """The text of a file that holds these rows, in SentEval's form."""
    marks = {split: mark for mark, split in SPLIT_MARKS.items()}
    return "".join(f"{marks[split]}\t{label}\t{sentence}\n" for split, label, sentence in rows)


def write_tasks(folder: Path, tasks: Mapping[str, Iterable[Row]]) -> None:
    """Write one `NAME.txt` per task, each whole or not at all."""
    for name, rows in tasks.items():
        write_atomically(folder / f"{name}.txt", format_rows(rows).encode())


def _parse_line(path: Path, number: int, line: str, n_fields: int) -> Entry | Fault:
    """The entry of a line; fields between label and sentence are passed over, where most lines have them too."""
    parts = line.split("\t")
    if len(parts) < _LEAST:
        message = f"expected split, label and sentence with tabs between, got {len(parts)} field(s)"
        return Fault(path, number, message)
    if len(parts) != n_fields:
        return Fault(path, number, f"has {len(parts)} fields, most lines {n_fields}; take tabs out of sentences")
    mark, label, sentence = parts[0], spell_label(parts[1]), parts[-1]
    if mark not in SPLIT_MARKS:
        return Fault(path, number, f"unknown split {mark!r}; expected one of {', '.join(SPLIT_MARKS)}")
    for name, fault in (("label", find_label_fault(label)), ("sentence", find_text_fault(sentence))):
        if fault:
            return Fault(path, number, f"the {name} {fault}")
    return Entry(number, SPLIT_MARKS[mark], label, (sentence,))
