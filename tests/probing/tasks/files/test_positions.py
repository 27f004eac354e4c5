"""Splits as positions in files."""

import json

import pyarrow as pa
import pytest
from pyarrow import parquet

from probing.records import InputError
from probing.tasks.files.positions import read_positions


@pytest.fixture
def root(tmp_path):
    (tmp_path / "MR").mkdir()
    rows = [f"{'good' if row % 2 else 'bad'} film {row}\t{row % 2}\n" for row in range(8)]
    (tmp_path / "MR" / "all.tsv").write_text("sentence\tlabel\n" + "".join(rows))
    return tmp_path


def write(root, rows, name="RT.tsv"):
    path = root / name
    path.write_text("split\tfile\trow\n" + "".join(f"{split}\tMR/all.tsv\t{row}\n" for split, row in rows))
    return path


SIX = [("train", 5), ("train", 0), ("dev", 2), ("dev", 3), ("test", 7), ("test", 4)]


def test_each_split_has_the_rows_that_the_table_names_in_its_order(root):
    task = read_positions(write(root, SIX), root)
    assert task.name == "RT"
    assert {name: [text for (text,) in split.texts] for name, split in task.splits.items()} == {
        "train": ["good film 5", "bad film 0"],
        "dev": ["bad film 2", "good film 3"],
        "test": ["good film 7", "bad film 4"],
    }
    assert task.splits["test"].labels.tolist() == [1, 0]


def test_a_known_name_is_that_of_the_task(root):
    assert read_positions(write(root, SIX, "MPQA.tsv"), root).name == "mpqa"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([*SIX, ("test", 8)], r"RT\.tsv:8: .*MR/all\.tsv has no labelled text in row 8"),
        ([("trian", 1)], "is no position; expected split, file and row"),
        ([("train", "x")], "is no position"),
        ([*SIX, ("test", 5)], r"RT\.tsv:8: row 5 of MR/all\.tsv was named above; expected each row in one split"),
        (SIX[:4], r"RT\.tsv: no row of test; expected rows of train, dev, test"),
        ([], r"RT\.tsv: no row of train and dev and test"),
    ],
)
def test_a_wrong_row_is_named(root, rows, message):
    with pytest.raises(InputError, match=message) as error:
        read_positions(write(root, rows), root)
    assert "\n" not in str(error.value)


def test_missing_files_are_named(root):
    with pytest.raises(InputError, match=r"--splits .*none\.tsv: no such file"):
        read_positions(root / "none.tsv", root)
    with pytest.raises(InputError, match=r"MR/all\.tsv: no such file; expected --data"):
        read_positions(write(root, SIX), root / "MR")


TEXTS = ["first", "second\nof two lines", "", "fourth", "fifth", "sixth"]
"""The third row has no text: it counts, and cannot be named."""


@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".jsonl", ".parquet"])
def test_rows_are_counted_alike_in_every_kind_of_table(tmp_path, suffix):
    texts = [text.replace("\n", " ") for text in TEXTS] if suffix == ".tsv" else TEXTS
    rows = [{"text": text, "label": "ab"[number % 2]} for number, text in enumerate(texts)]
    path = tmp_path / f"t{suffix}"
    if suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path)
    elif suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        mark, quote = ("\t", "") if suffix == ".tsv" else (",", '"')
        lines = [f"{quote}{row['text']}{quote}{mark}{row['label']}\n" for row in rows]
        path.write_text(f"text{mark}label\n" + "".join(lines))
    table = tmp_path / "t_splits.tsv"
    named = [("train", 0), ("train", 1), ("dev", 3), ("test", 4)]
    table.write_text("split\tfile\trow\n" + "".join(f"{split}\t{path.name}\t{row}\n" for split, row in named))
    task = read_positions(table, tmp_path)
    found = [(split, text) for split in ("train", "dev", "test") for (text,) in task.splits[split].texts]
    assert found == [(split, rows[row]["text"]) for split, row in named]
    table.write_text(table.read_text() + f"test\t{path.name}\t2\n")
    with pytest.raises(InputError, match="has no labelled text in row 2"):
        read_positions(table, tmp_path)
