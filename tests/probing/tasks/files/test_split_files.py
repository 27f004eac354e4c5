"""Files whose names tell their split are one task; published corpora are read as they are downloaded."""

import os
import threading
from pathlib import Path

import pytest

from probing.records import SPLITS, InputError, Task
from probing.tasks.files.split_files import name_split
from probing.tasks.sources import load_tasks


def write(path: Path, word: str, n: int = 40, head: str = "text,label\n", row: str = "{word} {i},{y}\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(head + "".join(row.format(word=word, i=i, y=i % 2) for i in range(n)))
    return path


def load_all(path: Path) -> list[Task]:
    return load_tasks(str(path), ["all"])[0]


def count(task: Task) -> list[int]:
    return [len(task.splits[split]) for split in SPLITS]


def words(task: Task, split: str) -> set[str]:
    return {text[0].split()[0] for text in task.splits[split].texts}


@pytest.mark.parametrize(
    ("name", "split"),
    [
        *((f"{word}.csv", "dev") for word in ("validation", "valid", "val", "dev", "Development")),
        ("train.parquet", "train"),
        ("train-00003-of-00010.parquet", "train"),
        ("test-00000-of-00001.jsonl", "test"),
        ("train-00000-of-00001-4746b8785c874cc7.parquet", "train"),
        ("validation_matched-00000-of-00001.parquet", "dev"),
        ("validation_mismatched-00000-of-00001.parquet", ""),
        ("te.csv", ""),
        ("train.txt", ""),
        ("my_train.csv", ""),
        ("trainer.csv", ""),
        ("train-1.csv", ""),
    ],
)
def test_the_name_of_a_table_tells_its_split(name: str, split: str) -> None:
    assert name_split(Path(name)) == split


@pytest.mark.parametrize("dev", ["validation", "valid", "val", "dev"])
@pytest.mark.parametrize("place", ["", "mine"])
def test_every_word_for_dev_is_dev_in_a_folder_of_folders_and_in_the_folder_itself(
    tmp_path: Path, dev: str, place: str
) -> None:
    source = tmp_path / "source"
    for word in ("train", dev, "test"):
        write(source / place / f"{word}.csv", word)
    [task] = load_all(source)
    assert task.name == (place or "source")
    assert count(task) == [40, 40, 40]
    assert [words(task, split) for split in SPLITS] == [{"train"}, {dev}, {"test"}]
    assert not task.split_rule


def test_parts_of_a_split_are_read_as_one(tmp_path: Path) -> None:
    source = tmp_path / "pets" / "data"
    for part in range(2):
        write(source / f"train-{part:05}-of-00002.csv", f"train{part}")
    write(source / "test-00000-of-00001.csv", "test")
    [task] = load_all(tmp_path / "pets")
    assert task.name == "pets"
    assert count(task) == [72, 8, 40]
    assert words(task, "train") == {"train0", "train1"}
    (source / "train-00001-of-00002.csv").unlink()
    with pytest.raises(InputError, match="is one of 2 parts, of which 1 are there"):
        load_all(source)


def test_a_split_in_two_files_is_refused(tmp_path: Path) -> None:
    for name in ("train.csv", "train.tsv", "test.csv"):
        write(tmp_path / name, "x")
    with pytest.raises(InputError, match=r"split train stands twice, in train.csv and train.tsv; keep one"):
        load_all(tmp_path)


def test_without_a_test_dev_is_the_test_and_that_is_said(tmp_path: Path) -> None:
    for name in ("train", "val"):
        write(tmp_path / "mine" / f"{name}.csv", name)
    [task] = load_all(tmp_path)
    assert [words(task, split) for split in SPLITS] == [{"train"}, {"train"}, {"val"}]
    assert task.notes == ("has no labelled test: its dev is the test, and a tenth of its train is dev",)


def test_a_test_of_minus_ones_has_no_labels(tmp_path: Path) -> None:
    for name in ("train", "dev"):
        write(tmp_path / "mine" / f"{name}.csv", name)
    write(tmp_path / "mine" / "test.csv", "test", row="{word} {i},-1\n")
    [task] = load_all(tmp_path)
    assert words(task, "test") == {"dev"}
    assert task.classes == ("0", "1")
    assert "has no labelled test" in task.notes[0]


def test_minus_one_is_a_label_where_train_has_it_too(tmp_path: Path) -> None:
    for name in ("train", "dev"):
        write(tmp_path / "mine" / f"{name}.csv", name, head="text,label\nbad,-1\n")
    write(tmp_path / "mine" / "test.csv", "test", row="{word} {i},-1\n")
    [task] = load_all(tmp_path)
    assert (words(task, "test"), task.classes) == ({"test"}, ("-1", "0", "1"))


def test_tables_in_a_tasks_folder_that_are_no_part_of_it_are_named(tmp_path: Path) -> None:
    for name in ("train", "test", "validation_set"):
        write(tmp_path / "mine" / f"{name}.csv", name)
    [task] = load_all(tmp_path)
    assert task.notes == ("files that were not read: validation_set.csv",)


def test_train_alone_is_split_as_one_file_is(tmp_path: Path) -> None:
    write(tmp_path / "mine" / "train.csv", "train", n=60)
    [task] = load_all(tmp_path)
    assert count(task) == [48, 6, 6]
    assert task.split_rule.startswith("8/1/1")


def test_other_tables_beside_the_splits_stay_tasks(tmp_path: Path) -> None:
    for name in ("train", "test", "mine"):
        write(tmp_path / "folder" / f"{name}.csv", name)
    assert {task.name for task in load_all(tmp_path / "folder")} == {"folder", "mine"}


PAIR = "{word} one {i}\t{word} two {i}"
GLUE = {
    "SST-2": ("sentence\tlabel\n", "{word} {i}\t{y}\n", "index\tsentence\n", "{i}\t{word}\n"),
    "CoLA": ("", "gj04\t{y}\t\t{word} {i}\n", "index\tsentence\n", "{i}\t{word}\n"),
    "MRPC": (
        "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n",
        "{y}\t1\t2\t" + PAIR + "\n",
        "index\t#1 ID\t#2 ID\t#1 String\t#2 String\n",
        "{i}\t1\t2\t" + PAIR + "\n",
    ),
    "QQP": (
        "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n",
        "1\t2\t3\t" + PAIR + "\t{y}\n",
        "id\tquestion1\tquestion2\n",
        "{i}\t" + PAIR + "\n",
    ),
    "STS-B": (
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n",
        "1\tg\tf\t2012\t1\ts\ts\t" + PAIR + "\t{y}.250\n",
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\n",
        "1\tg\tf\t2012\t1\ts\ts\t" + PAIR + "\n",
    ),
    "QNLI": (
        "index\tquestion\tsentence\tlabel\n",
        "{i}\t" + PAIR + "\tentailment{y}\n",
        "index\tquestion\tsentence\n",
        "{i}\t" + PAIR + "\n",
    ),
    "WNLI": (
        "index\tsentence1\tsentence2\tlabel\n",
        "{i}\t" + PAIR + "\t{y}\n",
        "index\tsentence1\tsentence2\n",
        "{i}\t" + PAIR + "\n",
    ),
}


@pytest.mark.parametrize("name", GLUE)
def test_glue_is_read_as_it_is_downloaded(tmp_path: Path, name: str) -> None:
    head, row, test_head, test_row = GLUE[name]
    for word in ("train", "dev"):
        write(tmp_path / name / f"{word}.tsv", word, head=head, row=row)
    write(tmp_path / name / "test.tsv", "test", head=test_head, row=test_row)
    [task] = load_all(tmp_path)
    assert count(task) == [36, 4, 40]
    assert [words(task, split) for split in SPLITS] == [{"train"}, {"train"}, {"dev"}]
    assert len(task.splits["test"].texts[0]) == (1 if name in ("SST-2", "CoLA") else 2)
    assert task.graded == (name == "STS-B")
    assert name in ("QNLI", "WNLI") or task.spec.group == "transfer"


def test_mnli_as_downloaded_is_tested_on_its_other_genres(tmp_path: Path) -> None:
    head = "index\tpromptID\tgenre\tsentence1\tsentence2\tlabel1\tlabel2\tgold_label\n"
    for word in ("train", "dev_matched", "dev_mismatched"):
        write(tmp_path / "MNLI" / f"{word}.tsv", word, head=head, row="1\t2\tg\t" + PAIR + "\tno\tno\t{y}\n")
    [task] = load_all(tmp_path)
    assert [words(task, split) for split in SPLITS] == [{"train"}, {"dev_matched"}, {"dev_mismatched"}]
    assert task.classes == ("0", "1")


def test_rows_that_are_cut_short_are_left_out_of_published_files_alone(tmp_path: Path) -> None:
    head, row, *_ = GLUE["QQP"]
    for word in ("train", "dev"):
        write(tmp_path / "QQP" / f"{word}.tsv", word, head=head, row=row)
    with (tmp_path / "QQP" / "train.tsv").open("a") as file:
        file.write("402\t403\tonly the half\n")
    [task] = load_all(tmp_path)
    assert len(task.splits["train"]) + len(task.splits["dev"]) == 40
    assert "1 rows without a text or of another number of fields left out" in task.split_rule
    (tmp_path / "QQP").rename(tmp_path / "mine")
    with pytest.raises(InputError, match=r"train\.tsv:42: expected 6 fields"):
        load_all(tmp_path)


def test_a_pipe_among_the_files_is_never_opened(tmp_path: Path) -> None:
    write(tmp_path / "mine.csv", "x")
    os.mkfifo(tmp_path / "pipe.csv")
    os.mkfifo(tmp_path / "pipe.txt")
    found: list[str] = []
    reading = threading.Thread(target=lambda: found.extend(t.name for t in load_all(tmp_path)), daemon=True)
    reading.start()
    reading.join(timeout=20)
    assert found == ["mine"]


@pytest.mark.parametrize("name", ["~nouser/x", "x" * 300, "a/" + "y" * 4096])
def test_a_name_that_is_no_path_is_one_line(name: str) -> None:
    with pytest.raises(InputError, match="is no path") as caught:
        load_tasks(name, ["all"])
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("data", ["controlled", "senteval", "nowhere"])
def test_no_task_named_is_no_task_asked_for(data: str) -> None:
    with pytest.raises(InputError, match="--tasks: names no task"):
        load_tasks(data, [])
