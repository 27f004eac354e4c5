"""What may be a text, a label and a column: the same in every reader."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from probing.records import InputError, Task
from probing.tasks.checks.task_check import check_source
from probing.tasks.files.fields import find_columns, spell_label
from probing.tasks.sources import load_tasks

ROWS = [(f"sentence {number}", "ab"[number % 2]) for number in range(60)]


def load(path: Path, limit: int = 0) -> Task:
    return load_tasks(str(path), ["all"], limit)[0][0]


def write_jsonl(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def list_rows(first: dict) -> list[dict]:
    return [first, *({"text": text, "label": label} for text, label in ROWS)]


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ({"text": "half \ud83d", "label": "a"}, "t.jsonl:1: column text has half a character (U+D83D)"),
        ({"text": "cut\0off", "label": "a"}, "t.jsonl:1: column text has a NUL character (U+0000)"),
        ({"text": "x", "label": "\udfff"}, "t.jsonl:1: column label has half a character (U+DFFF)"),
        ({"text": "\u200b\u200d\ufeff ", "label": "a"}, "t.jsonl:1: column text holds nothing that can be seen"),
        ({"text": None, "label": "a"}, "t.jsonl:1: column text is empty"),
        ({"text": 3, "label": "a"}, "t.jsonl:1: column text is 3; expected text"),
        ({"text": "x", "label": "NaN"}, "t.jsonl:1: column label is 'NaN', which stands for a missing value"),
        ({"text": "x", "label": "<NA>"}, "which stands for a missing value"),
        ({"text": "x", "label": float("inf")}, "t.jsonl:1: column label is inf; expected a word or a number"),
        ({"text": "x", "label": "b'a'"}, "bytes that were written as text; decode them"),
        ({"text": "x", "label": ["a"]}, "column label is ['a']; expected a word or a number"),
        ({"text": "x", "label": "\u200b"}, "expected a word or a number"),
    ],
)
def test_what_is_no_text_or_no_label_is_named_by_line_and_by_the_check(
    tmp_path: Path, first: dict, expected: str
) -> None:
    path = write_jsonl(tmp_path / "t.jsonl", list_rows(first))
    with pytest.raises(InputError) as caught:
        load(path)
    assert expected in str(caught.value)
    [found], _ = check_source(str(path))
    assert expected in found.faults[0]


@pytest.mark.parametrize("label", ["nan", "NaN", " ", "b'a'", "\u200b"])
def test_sentevals_files_are_held_to_the_same_labels(tmp_path: Path, label: str) -> None:
    path = tmp_path / "t.txt"
    path.write_text(f"tr\t{label}\tsome words\n" + "".join(f"tr\t{label}\t{text}\n" for text, label in ROWS))
    with pytest.raises(InputError, match=r"t\.txt:1: the label is"):
        load(path)


def test_a_text_of_marks_without_width_is_empty_in_sentevals_files_too(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("tr\ta\t\u200b\u200b\n" + "".join(f"tr\t{label}\t{text}\n" for text, label in ROWS))
    with pytest.raises(InputError, match=r"t\.txt:1: the sentence holds nothing that can be seen"):
        load(path)


def test_texts_in_any_script_are_text(tmp_path: Path) -> None:
    texts = ["e\u0301", "ب\u064e", "नि", "👩\u200d👧", "か\u3099", "..."]
    rows = [{"text": f"{texts[number % 6]} {number}", "label": number % 2} for number in range(60)]
    assert load(write_jsonl(tmp_path / "t.jsonl", rows)).classes == ("0", "1")


def test_labels_that_may_be_missing_are_asked_about(tmp_path: Path) -> None:
    rows = [{"text": text, "label": ["None", "b"][number % 2]} for number, (text, _) in enumerate(ROWS)]
    [found], _ = check_source(str(write_jsonl(tmp_path / "t.jsonl", rows)))
    assert found.notes[0] == "30 x label 'None': is it a class, or missing?"
    assert load(tmp_path).notes == (found.notes[0],)  # a run tells it too
    assert not found.faults


def test_whole_numbers_are_one_label_however_they_are_stored() -> None:
    assert [spell_label(value) for value in (1, 1.0, "1", " 1 ", True, 0.5)] == ["1", "1", "1", "1", "True", "0.5"]


def test_bytes_are_no_label(tmp_path: Path) -> None:
    table = pa.table({"text": [text for text, _ in ROWS], "label": [label.encode() for _, label in ROWS]})
    parquet.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"t\.parquet:1: column label is b'a'; expected a word"):
        load(tmp_path)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()])
def test_every_kind_of_string_is_text(tmp_path: Path, kind: pa.DataType) -> None:
    columns = {"text": pa.array([t for t, _ in ROWS], kind), "label": pa.array([y for _, y in ROWS], kind)}
    try:
        parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    except pa.ArrowNotImplementedError:
        pytest.skip(f"parquet cannot hold {kind} here")
    assert load(tmp_path).classes == ("a", "b")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", "text,label,label\nx,a,b\n"),
        ("t.tsv", "text\tlabel\tlabel\nx\ta\tb\n"),
        ("t.jsonl", '{"text": "x", "label": "a", "label": "b"}\n'),
    ],
)
def test_two_columns_of_one_name_are_refused(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=r"'label' stands twice; keep one") as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


def test_two_columns_of_one_name_are_refused_in_parquet(tmp_path: Path) -> None:
    table = pa.table([["x"] * 9, ["a"] * 9, ["b"] * 9], names=["text", "label", "label"])
    parquet.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(InputError, match="'label' stands twice"):
        load(tmp_path)


def test_the_folder_of_a_parquet_file_adds_no_column(tmp_path: Path) -> None:
    folder = tmp_path / "label=x"
    folder.mkdir()
    parquet.write_table(pa.table({"text": [t for t, _ in ROWS], "label": [y for _, y in ROWS]}), folder / "t.parquet")
    assert load(folder).classes == ("a", "b")


@pytest.mark.parametrize(
    "line",
    ["[" * 100_000, '{"text": "x", "label": ' + "9" * 5000 + "}", '{"a":' * 50_000],
    ids=["deep", "long", "keys"],
)
def test_json_that_no_parser_can_take_is_one_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "t.jsonl").write_text(line + "\n")
    with pytest.raises(InputError, match=r"t\.jsonl:1: is no JSON") as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("names", "texts"),
    [
        (["id", "text", "label"], ("text",)),
        (["index", "question", "sentence", "label"], ("question", "sentence")),
        (["premise", "hypothesis", "label"], ("premise", "hypothesis")),
        (["Quality", "#1 ID", "#2 ID", "#1 String", "#2 String"], ("#1 String", "#2 String")),
    ],
)
def test_a_pair_is_never_read_by_its_half(names: list[str], texts: tuple[str, ...]) -> None:
    assert find_columns(names).texts == texts


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["text", "sentence1", "sentence2", "label"], "the text could be text or sentence1 and sentence2"),
        (["text", "score", "labels"], "the label could be labels or score"),
        (["tweet", "label"], "expected the columns text"),
        (["text", "label", "Split"], "the column 'Split' would not be read; call it split"),
        (["text", "label", " split"], "the column ' split' would not be read"),
    ],
)
def test_what_is_not_clear_is_asked(names: list[str], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        find_columns(names)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_splits_in_a_column_of_another_spelling_are_never_made_anew(tmp_path: Path, suffix: str) -> None:
    rows = [{"text": text, "label": label, "SPLIT": "test"} for text, label in ROWS]
    path = tmp_path / f"t{suffix}"
    if suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path)
    elif suffix == ".csv":
        path.write_text("text,label,SPLIT\n" + "".join(f"{','.join(row.values())}\n" for row in rows))
    else:
        write_jsonl(path, rows)
    with pytest.raises(InputError, match="the column 'SPLIT' would not be read"):
        load(path)


def test_numbers_with_fractions_are_scores(tmp_path: Path) -> None:
    rows = [{"text": text, "label": number % 26 / 5} for number, (text, _) in enumerate(ROWS * 2)]
    for number, row in enumerate(rows):
        row["text"] += f" {number}"
    task = load(write_jsonl(tmp_path / "mine.jsonl", rows))
    assert task.graded
    assert task.spec.metrics == ("pearson", "spearman")
    assert "they are scores" in task.notes[0]
    found = {text: score for split in task.splits.values() for (text,), score in zip(split.texts, split.targets)}  # noqa: B905
    assert found == {row["text"]: row["label"] for row in rows}


@pytest.mark.parametrize("label", ["inf", "-Infinity"])
def test_an_infinite_score_makes_no_classes_of_the_others(tmp_path: Path, label: str) -> None:
    rows = [{"text": f"{text} {number}", "label": number / 7} for number, (text, _) in enumerate(ROWS)]
    rows[3]["label"] = label
    with pytest.raises(InputError, match=f":4: label '{label}' is no score"):
        load(write_jsonl(tmp_path / "mine.jsonl", rows))


def test_a_table_named_sts_b_is_graded_though_its_scores_are_whole(tmp_path: Path) -> None:
    rows = [{"text_a": text, "text_b": "x", "label": number % 6} for number, (text, _) in enumerate(ROWS)]
    assert load(write_jsonl(tmp_path / "sts_b.jsonl", rows)).graded
    assert not load(write_jsonl(tmp_path / "other.jsonl", rows).rename(tmp_path / "x.jsonl")).graded


@pytest.mark.parametrize("labels", [("1", "2"), ("1.0", "2.0"), ("0.5", "high"), ("-1", "1"), ("1_0", "2.5")])
def test_other_labels_are_classes(tmp_path: Path, labels: tuple[str, str]) -> None:
    rows = [{"text": text, "label": labels[number % 2]} for number, (text, _) in enumerate(ROWS)]
    task = load(write_jsonl(tmp_path / "mine.jsonl", rows))
    assert (task.graded, task.classes) == (False, labels)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ((-0.5, 1), r"t\.jsonl:1: label '-0.5' is no score"),
        ((0.5, 1e6), "a score is 1e\\+06; expected at most 100"),
        ((0.5, 0.5), "every score of train is 0.5"),
    ],
)
def test_scores_that_no_probe_can_learn_are_refused(tmp_path: Path, scores: tuple, expected: str) -> None:
    rows = [{"text": text, "label": scores[number % 2]} for number, (text, _) in enumerate(ROWS)]
    with pytest.raises(InputError, match=expected):
        load(write_jsonl(tmp_path / "t.jsonl", rows))


def write_csv(path: Path, rows: list[tuple[str, str]]) -> Path:
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    return path


@pytest.mark.parametrize("label", "az")
def test_a_class_of_one_sentence_is_in_train_alone_wherever_its_hash_falls(tmp_path: Path, label: str) -> None:
    notes = []
    for number in range(30):
        rows = [(text, "b" if y == "a" else "c") for text, y in ROWS]
        task = load(write_csv(tmp_path / "t.csv", [(f"rare {number}", label), *rows]))
        place = task.classes.index(label)
        assert [place in task.splits[split].labels for split in ("train", "dev", "test")] == [True, False, False]
        notes += task.notes
    # Dealt by hash, some of the thirty would have been in dev or test.
    assert set(notes) == {f"too few sentences to be split, all in train: class '{label}'"}


def test_equal_texts_of_a_class_go_to_train_together(tmp_path: Path) -> None:
    task = load(write_csv(tmp_path / "t.csv", [*ROWS, *[("said nine times", "z")] * 9]))
    assert np.bincount(task.splits["train"].labels)[task.classes.index("z")] == 9


def test_too_few_rows_for_splits_are_counted_by_text_and_label(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="60 rows of 1 different texts and 2 labels; expected"):
        load(write_csv(tmp_path / "t.csv", [("same", "ab"[n % 2]) for n in range(60)]))


@pytest.mark.parametrize("limit", [1])
def test_a_limit_that_leaves_one_class_is_refused(tmp_path: Path, limit: int) -> None:
    with pytest.raises(InputError, match="--limit 1: leaves one class of task t in train"):
        load(write_csv(tmp_path / "t.csv", ROWS), limit)
    assert len(load(write_csv(tmp_path / "t.csv", ROWS), 2).splits["train"]) == 2


@pytest.mark.parametrize(
    "labels",
    [("1", "1.0"), ("caf\u00e9", "cafe\u0301"), ("pos", "pos\u200b"), ("Yes", "yes"), ("two words", "two\u00a0words")],
)
def test_labels_that_look_alike_are_told(tmp_path: Path, labels: tuple[str, str]) -> None:
    found = [*labels, "other", "1x"]
    rows = [(text, found[number % 4]) for number, (text, _) in enumerate(ROWS)]
    task = load(write_csv(tmp_path / "t.csv", rows))
    assert len(task.classes) == 4
    first, second = sorted(labels)
    assert list(task.notes) == [f"labels that look alike are classes of their own: {first!a} and {second!a}"]


def test_labels_of_sentevals_files_are_stripped_as_those_of_tables_are(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    rows = [(text, ["a", "a ", " b", "b"][number % 4]) for number, (text, _) in enumerate(ROWS)]
    path.write_text(
        "".join(f"{['tr', 'tr', 'va', 'te'][n // 4 % 4]}\t{y}\t{text}\n" for n, (text, y) in enumerate(rows))
    )
    assert load(path).classes == ("a", "b")


@pytest.mark.parametrize("split", ["dev", "test"])
def test_a_split_of_one_class_is_told(tmp_path: Path, split: str) -> None:
    marks = ["train", "train", "dev", "dev", "test", "test"]
    rows = [(text, "ab"[number % 2], marks[number % 6]) for number, (text, _) in enumerate(ROWS)]
    path = tmp_path / "t.csv"
    kept = [row for row in rows if row[1:] != ("b", split)]
    for shown in (kept, rows):
        path.write_text("text,label,split\n" + "".join(f"{','.join(row)}\n" for row in shown))
        notes = load(path).notes
        assert [note.partition(":")[0] for note in notes] == (
            [f"every label of {split} is 'a'"] if shown is kept else []
        )
