"""Tables of the user's own: CSV, TSV, Parquet or JSON lines with the columns `text label [split]`.

A pair of sentences has `text_a` and `text_b` in place of `text`; `fields.TEXT_COLUMNS` has the other names that are
understood. CSV is quoted as spreadsheets do; TSV is not quoted at all, as the published corpora are not.
"""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

from probing.tasks.files.entries import Contents, Entry, Fault
from probing.tasks.files.fields import (
    LABEL_COLUMNS,
    TEXT_COLUMNS,
    Columns,
    find_columns,
    find_repeated,
    is_split,
    parse_record,
)
from probing.tasks.files.lines import read_lines

Record = tuple[int, Mapping[str, Any]]
"""Line or row, and the values by column."""


def read_contents(path: Path, header: Sequence[str] = ()) -> Contents:
    """All rows of a table, those that are no labelled texts as faults.

    Args:
        path: of the table.
        header: the columns of a TSV file whose first line may be no header, as CoLA's is none.
    """
    found = list(_parse_records(path, _read_records(path, header)))
    entries = [one for one in found if isinstance(one, Entry)]
    faults = [one for one in found if isinstance(one, Fault)]
    is_tsv = FORMATS.get(path.suffix.lower(), _read_tsv) is _read_tsv
    return Contents(entries, faults, _describe_quoted(entries) if is_tsv else ())


def _describe_quoted(entries: Sequence[Entry]) -> list[str]:
    """A note where most texts of a file without quoting stand between quotation marks: a program has put them there."""
    n_quoted = sum(len(part) > 1 and part[0] == part[-1] == '"' for entry in entries for part in entry.text[:1])
    if n_quoted <= len(entries) / 2:
        return []
    return [
        f"{n_quoted} of {len(entries)} texts stand between quotation marks, which are read with them: TSV is not "
        "quoted here; write it without, or as CSV"
    ]


def has_labels(path: Path) -> bool:
    """True where a table has labels, as the published test sets of GLUE have none; true where it cannot be read."""
    first = next(_read_records(path, ()), None)
    if first is None or isinstance(first, Fault):
        return True
    try:
        return bool(find_columns(first[1]).label)
    except ValueError:
        return True


def _read_records(path: Path, header: Sequence[str]) -> Iterator[Record | Fault]:
    read = FORMATS.get(path.suffix.lower(), _read_tsv)
    return _read_tsv(path, header) if read is _read_tsv else read(path)


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
        columns = columns or _choose_columns(path, record[1])
        if isinstance(columns, Fault):
            yield columns
            return
        yield parse_record(path, *record, columns)


def _choose_columns(path: Path, record: Mapping[str, Any]) -> Columns | Fault:
    try:
        columns = find_columns(record)
    except ValueError as error:
        return Fault(path, 0, str(error))
    if not columns.label:
        shown = ", ".join(map(repr, record))
        return Fault(path, 0, f"expected the columns {' and '.join(columns.texts)} and label, got {shown}")
    return columns


def _read_csv(path: Path) -> Iterator[Record | Fault]:
    lines, faults = [], []
    # A blank line may stand within quotes, where it is part of a text.
    for line in read_lines(path, blank=True):
        (faults if isinstance(line, Fault) else lines).append(line)
    while lines and not lines[-1][1].strip():
        lines.pop()
    yield from faults
    reader = csv.reader((f"{text}\n" for _, text in lines), strict=True)
    header: list[str] = []
    while True:
        try:
            fields = next(reader, None)
        except csv.Error as error:
            yield Fault(path, lines[reader.line_num - 1][0], f"is no CSV ({error})")
            return
        if fields is None:
            return
        if not any(map(str.strip, fields[:1])) and len(fields) < 2:
            continue
        if header:
            yield _shape(path, lines[reader.line_num - 1][0], header, fields)
            continue
        header, repeated = fields, find_repeated(fields)
        if repeated:
            yield Fault(path, lines[0][0], f"the column {repeated}")
            return


def _read_tsv(path: Path, names: Sequence[str] = ()) -> Iterator[Record | Fault]:
    header: list[str] = []
    for line in read_lines(path):
        if isinstance(line, Fault):
            yield line
            continue
        fields = line[1].split("\t")
        if not header:
            is_header = len(fields) != len(names) or not set(fields).isdisjoint((*names, "index"))
            header, repeated = (fields, find_repeated(fields)) if is_header else (list(names), "")
            if repeated:
                yield Fault(path, line[0], f"the column {repeated}")
                return
            if is_header:
                continue
        yield _shape(path, line[0], header, fields)


def _read_jsonl(path: Path) -> Iterator[Record | Fault]:
    for line in read_lines(path):
        if isinstance(line, Fault):
            yield line
            continue
        try:
            record = json.loads(line[1], object_pairs_hook=_make_object)
        except (ValueError, RecursionError) as error:
            yield Fault(path, line[0], f"is no JSON ({error})")
            continue
        if isinstance(record, dict):
            yield line[0], record
        else:
            yield Fault(path, line[0], f"expected a JSON object, got {type(record).__name__}")


def _make_object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    repeated = find_repeated(key for key, _ in pairs)
    if repeated:
        raise ValueError(f"the key {repeated}")
    return dict(pairs)


def _read_parquet(path: Path) -> Iterator[Record | Fault]:
    try:
        # As one file: `read_table` would add columns that it sees in the names of folders, such as `label=a`.
        with parquet.ParquetFile(path) as file:
            names, n_rows = file.schema_arrow.names, file.metadata.num_rows
            repeated = find_repeated(names)
            wanted = [] if repeated else [name for name in names if name in _COLUMNS or is_split(name)]
            rows = file.read(wanted).to_pylist() if wanted else []
    except (OSError, ValueError, OverflowError, pyarrow.ArrowException) as error:
        yield Fault(path, 0, f"is no parquet file that can be read ({(str(error).splitlines() or [''])[0]})")
        return
    if repeated or not n_rows:
        yield Fault(path, 0, f"the column {repeated}" if repeated else "holds no rows")
        return
    yield from enumerate(rows or [dict.fromkeys(names)], start=1)


def _shape(path: Path, line: int, header: Sequence[str], fields: Sequence[str]) -> Record | Fault:
    """A record of as many fields as the header has."""
    if len(fields) != len(header):
        return Fault(path, line, f"expected {len(header)} fields, as in the header, got {len(fields)}", ragged=True)
    return line, dict(zip(header, fields, strict=True))


_COLUMNS = {"split", *LABEL_COLUMNS, *chain.from_iterable(TEXT_COLUMNS)}

FORMATS: Mapping[str, Callable[[Path], Iterator[Record | Fault]]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".parquet": _read_parquet,
    ".jsonl": _read_jsonl,
}
"""Reader of each kind of table, by suffix."""
