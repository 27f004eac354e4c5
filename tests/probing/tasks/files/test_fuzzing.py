"""Whatever a file holds, it is parsed or refused in one line: never another error, never half a task."""

import json
import string
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from probing.records import SPLITS, InputError
from probing.tasks.checks.task_check import check_source
from probing.tasks.files.folder import Candidate, find_candidates
from probing.tasks.sources import load_tasks

quick = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))

WORDS = [
    "tr",
    "va",
    "te",
    "text",
    "label",
    "split",
    "train",
    "dev",
    "a",
    "b",
    "0",
    "0.5",
    "nan",
    "",
    " ",
    "\t",
    ",",
    '"',
]
SIGNS = [
    "\n",
    "\r",
    "\x00",
    "\u200b",
    "\u2028",
    "\ufeff",
    "ß",
    "犬",
    '{"text": "x", "label": "a"}',
    "{",
    "[",
    "\\ud83d",
]
PIECES = st.sampled_from([*WORDS, *SIGNS])
CONTENT = st.one_of(
    st.binary(max_size=200),
    st.lists(PIECES, max_size=60).map(lambda pieces: "".join(pieces).encode()),
    st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
)
LABELS = st.one_of(st.sampled_from(["a", "b", "1.5", "nan", "", "-1", "0.5"]), st.text(max_size=4))
HEADERS = st.sampled_from(["text,label", "label"])
KEYS = st.sampled_from(["text", "label", "split", "x"])
NAMES = st.sampled_from(["train.csv", "test.csv", "val.csv", "dev.tsv", "x.csv", "MR", "a.txt"])
TEXTS = st.text(alphabet=st.characters(exclude_categories=()), max_size=12)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS), lambda inner: st.lists(inner, max_size=2)
)


def read(name: str, content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        read_file(path)


def read_file(path: Path) -> None:
    try:
        [task], _ = load_tasks(str(path), ["all"])
    except InputError as error:
        assert str(error).isprintable()  # noqa: PT017 - either outcome is right
    else:
        assert all(len(task.splits[split]) for split in SPLITS)
        assert all(label < len(task.classes) for split in SPLITS for label in task.splits[split].labels)
        assert all("".join(text).encode() for split in SPLITS for text in task.splits[split].texts)
    try:
        [check], _ = check_source(str(path))
    except InputError as error:
        assert str(error).isprintable()  # noqa: PT017
    else:
        assert all("\n" not in fault for fault in check.faults)


@pytest.mark.parametrize("suffix", [".txt", ".csv", ".tsv", ".jsonl", ".parquet"])
@given(content=CONTENT)
@quick
def test_any_bytes_are_parsed_or_refused_in_one_line(suffix: str, content: bytes) -> None:
    read(f"tree_depth{suffix}", content)


@given(rows=st.lists(st.tuples(st.sampled_from(["tr", "va", "te", "xx"]), LABELS, TEXTS), max_size=40))
@quick
def test_sentevals_form(rows: Sequence[tuple[str, str, str]]) -> None:
    read("mine.txt", "".join("\t".join(row) + "\n" for row in rows).encode("utf-8", "surrogatepass") or b"a\tb\tc")


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
@given(
    rows=st.lists(st.tuples(TEXTS, LABELS), min_size=10, max_size=40), header=st.sampled_from(["text,label", "label"])
)
@quick
def test_tables_with_a_header(suffix: str, rows: Sequence[tuple[str, str]], header: str) -> None:
    mark = "," if suffix == ".csv" else "\t"
    lines = [header.replace(",", mark), *(mark.join(row) for row in rows)]
    read(f"mine{suffix}", "\n".join(lines).encode("utf-8", "surrogatepass"))


@pytest.mark.slow
@given(rows=st.lists(st.dictionaries(KEYS, VALUES, min_size=2), max_size=30))
@quick
def test_json_lines_of_any_values(rows: Sequence[dict]) -> None:
    read("mine.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())


@given(data=st.data(), n=st.integers(0, 30))
@quick
def test_parquet_of_any_types(data: st.DataObject, n: int) -> None:
    kinds = [pa.string(), pa.large_string(), pa.binary(), pa.int64(), pa.float32(), pa.bool_(), pa.timestamp("ns")]
    kinds += [pa.list_(pa.string()), pa.decimal128(38, 2), pa.dictionary(pa.int32(), pa.string()), pa.null()]
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    columns = {name: draw_column(data.draw(st.sampled_from(kinds)), n, rng) for name in ("text", "label", "split")}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mine.parquet"
        parquet.write_table(pa.table(columns), path)
        read_file(path)


def draw_column(kind: pa.DataType, n: int, rng: np.random.Generator) -> pa.Array:
    words = ["".join(rng.choice(list(string.ascii_lowercase), 3)) if rng.random() > 0.05 else None for _ in range(n)]
    if pa.types.is_null(kind):
        return pa.nulls(n)
    if pa.types.is_list(kind):
        return pa.array([[word] if word else None for word in words], kind)
    if pa.types.is_binary(kind):
        return pa.array([rng.bytes(3) if word else None for word in words], kind)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return pa.array(words, kind)
    if pa.types.is_dictionary(kind):
        return pa.array(words, pa.string()).dictionary_encode()
    return pa.array(rng.integers(0, 3, n)).cast(kind, safe=False)


@given(place=st.floats(0, 1), value=st.integers(0, 255), cut=st.booleans())
@quick
def test_a_damaged_parquet_file(place: float, value: int, cut: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mine.parquet"
        table = pa.table({"text": [f"sentence {row}" for row in range(40)], "label": ["a", "b"] * 20})
        parquet.write_table(table, path)
        content = bytearray(path.read_bytes())
        spot = int(place * (len(content) - 1))
        content[spot] = value
        path.write_bytes(content[:spot] if cut else content)
        read_file(path)


@given(names=st.lists(NAMES, max_size=5))
@quick
def test_any_set_of_names_is_listed_or_refused(names: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            (Path(folder) / name).write_text("text,label\n" + "".join(f"{name} {row},{row % 2}\n" for row in range(30)))
        try:
            candidates = find_candidates(Path(folder))
        except InputError as error:
            assert "stands twice" in str(error)  # noqa: PT017 - either outcome is right
        else:
            assert all(isinstance(candidate, Candidate) for candidate in candidates)
