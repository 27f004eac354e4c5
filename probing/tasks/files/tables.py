"""Tables of the user's own: CSV, TSV, Parquet or JSON lines with the columns `text label [split]`.

A pair of sentences has `text_a` and `text_b` in place of `text`; `sentence`, `sentence1` and `sentence2` are
understood too. CSV is quoted as spreadsheets do; TSV is not quoted at all, as the published corpora are not.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

from probing.tasks.files.entries import Contents, Entry, Fault
from probing.tasks.files.lines import read_lines

TEXT_COLUMNS = (("text",), ("text_a", "text_b"), ("sentence",), ("sentence1", "sentence2"))
SPLIT_WORDS = {
    **dict.fromkeys(("train", "training", "tr"), "train"),
    **dict.fromkeys(("dev", "development", "valid", "validation", "val", "va"), "dev"),
    **dict.fromkeys(("test", "te"), "test"),
}
"""What a column `split` may say, in any case."""

Record = tuple[int, Mapping[str, Any]]
"""Line or row, and the values by column."""


def read_contents(path: Path) -> Contents:
    """All rows of a table, those that are no labelled texts as faults."""
    found = list(_parse_records(path, FORMATS[path.suffix.lower()](path)))
    entries = [one for one in found if isinstance(one, Entry)]
    return Contents(entries, [one for one in found if isinstance(one, Fault)])


def _parse_records(path: Path, records: Iterable[Record | Fault]) -> Iterator[Entry | Fault]:
    stream = iter(records)
    first = next(stream, None)
    if first is None:
        yield Fault(path, 0, "holds no rows")
        return
    columns = None
    for record in chain([first], stream):
        if isinstance(record, Fault):
            yield record
            continue
        columns = columns or find_columns(record[1])
        if not columns:
            names = ", ".join(map(repr, record[1])) or "none"
            yield Fault(path, 0, f"expected the columns text (or text_a and text_b) and label, got {names}")
            return
        yield _parse_record(path, *record, columns)


def find_columns(record: Mapping[str, Any]) -> tuple[str, ...]:
    """The columns that hold the text; none where they or the label are missing."""
    fitting = [columns for columns in TEXT_COLUMNS if all(name in record for name in columns)]
    return fitting[0] if fitting and "label" in record else ()


def _parse_record(path: Path, line: int, record: Mapping[str, Any], columns: tuple[str, ...]) -> Entry | Fault:
    text = tuple(record.get(name) for name in columns)
    label, split = record.get("label"), record.get("split")
    for name, segment in zip(columns, text, strict=True):
        if not isinstance(segment, str) or not segment.strip():
            blank = segment is None or not str(segment).strip()
            return Fault(path, line, f"column {name} is {'empty' if blank else repr(segment)[:40]}", blank)
    # NaN, which parquet has for a missing number, is the one value that differs from itself.
    if label is None or label != label or not str(label).strip() or isinstance(label, (list, dict)):  # noqa: PLR0124
        return Fault(path, line, f"column label is {label!r}; expected a word or a number")
    mark = SPLIT_WORDS.get(str(split).strip().lower()) if split not in (None, "") else ""
    if mark is None:
        return Fault(path, line, f"unknown split {split!r}; expected train, dev or test")
    return Entry(line, mark, str(label).strip(), tuple(map(str, text)))


def _read_csv(path: Path) -> Iterator[Record | Fault]:
    lines, faults = [], []
    for line in read_lines(path):
        (faults if isinstance(line, Fault) else lines).append(line)
    yield from faults
    reader = csv.DictReader((f"{text}\n" for _, text in lines), strict=True, restkey=_EXTRA)
    while True:
        try:
            record = next(reader, None)
        except csv.Error as error:
            yield Fault(path, lines[reader.reader.line_num - 1][0], f"is no CSV ({error})")
            return
        if record is None:
            return
        yield _shape(path, lines[reader.line_num - 1][0], record)


def _read_tsv(path: Path) -> Iterator[Record | Fault]:
    header: list[str] = []
    for line in read_lines(path):
        if isinstance(line, Fault):
            yield line
        elif not header:
            header = line[1].split("\t")
        else:
            fields = line[1].split("\t")
            padded = dict.fromkeys(header) | dict(zip(header, fields, strict=False))
            extra = {_EXTRA: fields[len(header) :]} if len(fields) > len(header) else {}
            yield _shape(path, line[0], padded | extra)


def _read_jsonl(path: Path) -> Iterator[Record | Fault]:
    for line in read_lines(path):
        if isinstance(line, Fault):
            yield line
            continue
        try:
            record = json.loads(line[1])
        except ValueError as error:
            yield Fault(path, line[0], f"is no JSON ({error})")
            continue
        if isinstance(record, dict):
            yield line[0], record
        else:
            yield Fault(path, line[0], f"expected a JSON object, got {type(record).__name__}")


def _read_parquet(path: Path) -> Iterator[Record | Fault]:
    try:
        table = parquet.read_table(path)
    except (OSError, pyarrow.ArrowException) as error:
        yield Fault(path, 0, f"is no parquet file ({str(error).splitlines()[0]})")
        return
    if not table.num_rows:
        yield Fault(path, 0, "holds no rows")
        return
    wanted = [name for name in table.column_names if name in _COLUMNS]
    yield from enumerate(table.select(wanted).to_pylist() if wanted else [{}], start=1)


def _shape(path: Path, line: int, record: dict[str, Any]) -> Record | Fault:
    """A record of as many fields as the header has."""
    n_extra = len(record.pop(_EXTRA, []))
    missing = sum(value is None for value in record.values())
    if n_extra or missing:
        got = len(record) + n_extra - missing
        return Fault(path, line, f"expected {len(record)} fields, as in the header, got {got}")
    return line, record


_EXTRA = "\0extra"
_COLUMNS = {"label", "split", *chain.from_iterable(TEXT_COLUMNS)}

FORMATS = {".csv": _read_csv, ".tsv": _read_tsv, ".parquet": _read_parquet, ".jsonl": _read_jsonl}
"""Reader of each kind of table, by suffix."""
