"""Tasks from anyone's files: read whole, divided alike every time, and one line where something is wrong."""

import json
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from probing.progress import Reporter
from probing.records import SPLITS, InputError, Task
from probing.tasks.checks.task_check import check_source
from probing.tasks.files.folder import Candidate
from probing.tasks.files.senteval import write_tasks
from probing.tasks.files.transfer import TRANSFER_TASKS
from probing.tasks.sources import load_tasks

WORDS = ("red", "blue", "green", "grey")


def draw_table(n: int = 200, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    texts = [f"sentence {number} is, «{rng.choice(WORDS)}»" for number in range(n)]
    return pd.DataFrame({"text": texts, "label": rng.choice(["yes", "no", "maybe"], size=n, p=[0.6, 0.3, 0.1])})


def write_table(frame: pd.DataFrame, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    elif path.suffix == ".tsv":
        path.write_text("".join("\t".join(map(str, row)) + "\n" for row in [frame.columns, *frame.to_numpy()]))
    elif path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in frame.to_dict("records")))
    return path


def load(path: Path, *wanted: str, limit: int = 0) -> Task:
    return load_tasks(str(path), wanted or ("all",), limit)[0][0]


def list_rows(task: Task) -> list[tuple]:
    return [
        (split, text, task.classes[label])
        for split in SPLITS
        for text, label in zip(task.splits[split].texts, task.splits[split].labels.tolist(), strict=True)
    ]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".jsonl"])
def test_every_kind_of_table_is_the_same_task(tmp_path: Path, suffix: str) -> None:
    frame = draw_table()
    frame["split"] = ["train"] * 150 + ["validation"] * 20 + ["TEST"] * 30
    task = load(write_table(frame, tmp_path / f"my_task{suffix}").parent, "my_task")
    marks = ["train"] * 150 + ["dev"] * 20 + ["test"] * 30
    expected = list(zip(marks, [(text,) for text in frame["text"]], frame["label"], strict=True))
    assert list_rows(task) == sorted(expected, key=lambda row: SPLITS.index(row[0]))
    assert (task.name, task.spec.group, task.classes) == ("my_task", "own", ("maybe", "no", "yes"))
    assert (task.split_rule, task.folds) == ("", 0)


@pytest.mark.parametrize("names", [("text_a", "text_b"), ("sentence1", "sentence2")])
def test_pairs_are_two_segments(tmp_path: Path, names: tuple[str, str]) -> None:
    frame = draw_table().rename(columns={"text": names[0]})
    frame.insert(1, names[1], frame[names[0]].str.upper())
    task = load(write_table(frame, tmp_path / "pairs.csv"))
    assert {(one, two.lower()) for one, two in task.splits["train"].texts} == {
        (one, one.lower()) for one, _ in task.splits["train"].texts
    }


def test_labels_may_be_numbers_and_texts_may_hold_line_breaks(tmp_path: Path) -> None:
    frame = draw_table().assign(label=lambda frame: frame.index % 2)
    frame.loc[0, "text"] = 'two\n\nlines, and "quotes"'
    task = load(write_table(frame, tmp_path / "numbers.csv"))
    assert task.classes == ("0", "1")
    assert 'two\n\nlines, and "quotes"' in {text for split in SPLITS for (text,) in task.splits[split].texts}


def test_splits_that_are_missing_are_tenths_stratified_and_free_of_copies(tmp_path: Path) -> None:
    frame = draw_table(1000)
    frame.loc[500:519, "text"] = "said twenty times"
    task = load(write_table(frame, tmp_path / "mine.csv"))
    sizes = {split: len(task.splits[split]) for split in SPLITS}
    # Copies stay together, so that the part that has them may be larger by them.
    assert sum(sizes.values()) == 1000
    assert all(abs(sizes[split] - wanted) <= 20 for split, wanted in (("train", 800), ("dev", 100), ("test", 100)))
    for split in SPLITS:
        shares = np.bincount(task.splits[split].labels, minlength=3) / sizes[split]
        np.testing.assert_allclose(shares, np.bincount(_labels(task), minlength=3) / 1000, atol=0.03)
    texts = [set(task.splits[split].texts) for split in SPLITS]
    assert len(set.union(*texts)) == sum(map(len, texts))
    assert task.split_rule.startswith("8/1/1 tenths")


def _labels(task: Task) -> np.ndarray:
    return np.concatenate([task.splits[split].labels for split in SPLITS])


def test_the_division_depends_on_the_sentences_and_not_on_their_order(tmp_path: Path) -> None:
    frame = draw_table()
    one = load(write_table(frame, tmp_path / "a" / "mine.csv"))
    other = load(write_table(frame.sample(frac=1, random_state=1), tmp_path / "b" / "mine.jsonl"))
    assert sorted(list_rows(one)) == sorted(list_rows(other))
    fewer = load(write_table(frame.iloc[:150], tmp_path / "c" / "mine.csv"))
    assert sorted(list_rows(fewer)) != sorted(list_rows(one))[:150]


def test_lines_point_into_the_file(tmp_path: Path) -> None:
    path = write_table(draw_table(), tmp_path / "mine.tsv")
    lines = path.read_text().split("\n")
    task = load(path)
    for split in SPLITS:
        numbers = task.splits[split].lines
        assert numbers is not None
        assert [lines[number - 1].split("\t")[0] for number in numbers] == [
            text for (text,) in task.splits[split].texts
        ]


def test_a_missing_dev_is_a_tenth_of_train_and_test_is_untouched(tmp_path: Path) -> None:
    frame = draw_table().assign(split=["train"] * 150 + ["test"] * 50)
    task = load(write_table(frame, tmp_path / "mine.csv"))
    assert [len(task.splits[split]) for split in SPLITS] == [135, 15, 50]
    assert [text for (text,) in task.splits["test"].texts] == frame["text"].tolist()[150:]


def test_a_folder_of_one_file_per_split_is_a_task(tmp_path: Path) -> None:
    frame = draw_table()
    write_table(frame.iloc[:150], tmp_path / "mine" / "train.csv")
    write_table(frame.iloc[150:], tmp_path / "mine" / "test.jsonl")
    assert [len(load(tmp_path, "mine").splits[split]) for split in SPLITS] == [135, 15, 50]


def test_senteval_files_may_bear_any_name(tmp_path: Path) -> None:
    rows = [(split, label, f"{split} {label} {n}") for split in SPLITS for label in "ab" for n in range(3)]
    write_tasks(tmp_path, {"tree_depth": rows, "my_probe": rows})
    (tmp_path / "notes.txt").write_text("no task\n")
    tasks, absent = load_tasks(str(tmp_path), ["all"])
    assert [(task.name, task.spec.group) for task in tasks] == [("tree_depth", "syntactic"), ("my_probe", "own")]
    assert len(absent) == 9
    assert load_tasks(str(tmp_path), ["own"])[0][0].name == "my_probe"


def test_limit_keeps_everything_that_belongs_to_a_sentence(tmp_path: Path) -> None:
    whole, part = (load(write_table(draw_table(), tmp_path / "mine.csv"), limit=limit) for limit in (0, 15))
    assert [len(part.splits[split]) for split in SPLITS] == [15, 15, 15]
    assert set(list_rows(part)) < set(list_rows(whole))
    assert part.split_rule == whole.split_rule


FAULTY = {
    "columns": ("a,b\n1,2\n", "mine.csv: expected the columns text (or text_a and text_b) and label, got 'a', 'b'"),
    "fields": ("text,label\nx,1\ny\n", "mine.csv:3: expected 2 fields, as in the header, got 1"),
    "too many": ("text,label\nx,1,2\n", "mine.csv:2: expected 2 fields, as in the header, got 3"),
    "blank": ('text,label\nx,1\n" ",1\n', "mine.csv:3: column text is empty"),
    "label": ("text,label\nx,\n", "mine.csv:2: column label is ''"),
    "split": ("text,label,split\nx,1,trian\n", "mine.csv:2: unknown split 'trian'; expected train, dev or test"),
    "some splits": (
        "text,label,split\nx,1,train\ny,1,\n",
        "mine.csv:3: has no split, though other rows have one; give one to all or to none",
    ),
    "quote": ('text,label\n"x,1\n', "mine.csv:2: is no CSV (unexpected end of data)"),
    "nothing": ("", "mine.csv: holds no rows"),
    "one class": ("text,label\n" + "".join(f"s{n},x\n" for n in range(30)), "mine.csv: every label of train is x;"),
    "no classes": (
        "text,label\n" + "".join(f"s{n},w{n}\n" for n in range(60)),
        "60 labels on 60 rows; expected classes",
    ),
    "too few": ("text,label\nx,1\ny,2\n", "split dev is empty: 2 rows of 2 different texts and 2 labels"),
    "unseen": (
        "text,label,split\n" + "x,1,train\ny,2,train\nz,1,dev\nw,3,test\n",
        "mine.csv:5: label '3' of split test never occurs in train (known there: 1, 2)",
    ),
}


@pytest.mark.parametrize("case", FAULTY)
def test_a_faulty_table_is_one_line(tmp_path: Path, case: str) -> None:
    content, expected = FAULTY[case]
    (tmp_path / "mine.csv").write_text(content)
    with pytest.raises(InputError) as caught:
        load(tmp_path)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_are_one_line(tmp_path: Path) -> None:
    for name, content, expected in (
        ("a.csv", "text,label\nMünchen,1\n".encode("latin-1"), "a.csv:2: byte 0xfc is not UTF-8"),
        ("a.parquet", b"PAR1", "a.parquet: is no parquet file"),
        ("a.jsonl", b'{"text": "x", "label": 1}\n{"text"', "a.jsonl:2: is no JSON"),
        (
            "a.txt",
            b"tr\tA\tok\ntr\tB\n",
            "a.txt:2: expected split, label and sentence with tabs between, got 2 field(s)",
        ),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(InputError) as caught:
            load(path)
        assert expected in str(caught.value)
        assert "\n" not in str(caught.value)
        path.unlink()


def test_names_that_are_wrong_get_the_near_ones(tmp_path: Path) -> None:
    write_table(draw_table(), tmp_path / "my_task.csv")
    for wanted, expected in (
        ("my_tsk", "unknown task 'my_tsk': did you mean my_task?"),
        ("tree_dpth", "did you mean tree_depth"),
        ("tree_depth", "no tree_depth.txt; tasks there: my_task"),
        ("MR", "no MR/all.tsv; tasks there: my_task"),
        ("transfer", "no MR/all.tsv"),
    ):
        with pytest.raises(InputError) as caught:
            load(tmp_path, wanted)
        assert expected in str(caught.value)
    with pytest.raises(InputError, match="holds no tasks"):
        load(_empty(tmp_path))
    with pytest.raises(InputError, match="did you mean controlled"):
        load_tasks("Controlled", ["all"])
    write_table(draw_table(), tmp_path / "my_task.jsonl")
    with pytest.raises(InputError, match="task my_task stands twice"):
        load(tmp_path)


def _empty(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


def test_a_graded_task_is_refused_for_a_probe_of_classes_before_it_is_read(tmp_path, monkeypatch):
    task = next(task for task in TRANSFER_TASKS if task.graded)
    for number, file in enumerate(task.files.values()):
        path = tmp_path / task.spec.title / file
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [f"one {number} {row}\tother {number} {row}\t{row % 6}.0\n" for row in range(60)]
        path.write_text("".join(["sentence1\tsentence2\tlabel\n", *rows]))
    assert load_tasks(str(tmp_path), ["STS-B"])[0][0].graded
    monkeypatch.setattr(Candidate, "read", lambda self: pytest.fail("was read"))
    with pytest.raises(InputError, match=r"--probe knn: its probe knows classes alone, and STS-B is graded") as error:
        load_tasks(str(tmp_path), ["STS-B"], classes_only="--probe knn")
    assert "\n" not in str(error.value)


def test_a_test_that_stands_in_train_is_told_and_a_few_sentences_are_not(tmp_path):
    def warn(n_shared):
        rows = {"train": range(300), "dev": range(300, 400), "test": range(400 - n_shared, 600 - n_shared)}
        rows["test"] = [row - 200 if row < 400 else row for row in rows["test"]]
        for split, numbers in rows.items():
            text = "".join(f"sentence {row},{'ab'[row % 2]}\n" for row in numbers)
            (tmp_path / "x" / f"{split}.csv").parent.mkdir(exist_ok=True)
            (tmp_path / "x" / f"{split}.csv").write_text(f"text,label\n{text}")
        reporter = Reporter(quiet=True)
        load_tasks(str(tmp_path), ["x"], reporter=reporter)
        return reporter.warnings

    assert warn(2) == []
    [line] = warn(200)
    assert line.startswith("task x: 200 of 200 sentences of test stand in train too")


def test_sentences_of_train_with_two_labels_are_told(tmp_path: Path) -> None:
    def warn(n_doubtful):
        rows = [("tr", number % 2, f"sentence {number}") for number in range(200)]
        rows += [("tr", 1 - number % 2, f"sentence {number}") for number in range(n_doubtful)]
        rows += [(mark, number % 2, f"{mark} {number}") for mark in ("va", "te") for number in range(20)]
        (tmp_path / "x.txt").write_text("".join(f"{mark}\t{label}\t{text}\n" for mark, label, text in rows))
        reporter = Reporter(quiet=True)
        load_tasks(str(tmp_path), ["x"], reporter=reporter)
        return reporter.warnings

    assert warn(1) == []
    [line] = warn(50)
    assert line.startswith("task x: 100 of 250 sentences of train stand there with another label too")


def test_sentences_of_test_that_train_has_are_told_and_those_of_folds_are_not(tmp_path: Path) -> None:
    rows = draw_table(100)[["text", "label"]]
    folds = tmp_path / "MR" / "all.tsv"
    write_table(rows.set_axis(["sentence", "label"], axis=1), folds)
    fixed = tmp_path / "mine"
    for split in SPLITS:
        write_table(rows, fixed / f"{split}.tsv")
    for source, expected in (
        (folds.parent, []),
        (fixed, ["task mine: 100 of 100 sentences of test stand in train too"]),
    ):
        reporter = Reporter(quiet=True)
        [task], _ = load_tasks(str(source), ("all",), reporter=reporter)
        assert task.folds == (10 if source == folds.parent else 0)
        assert [warning.partition(", so that")[0] for warning in reporter.warnings] == expected


@pytest.mark.parametrize(
    ("change", "but"),
    [
        (str.upper, ", 40 of them but for case, spaces or forms of characters"),
        (lambda text: text.replace(" ", "  "), ", 40 of them but for case, spaces or forms of characters"),
        (lambda text: unicodedata.normalize("NFD", text), ", 40 of them but for case, spaces or forms of characters"),
        (str, ""),
        (lambda text: f"{text} more", None),
    ],
)
def test_sentences_of_test_that_train_has_in_another_spelling_are_told(change, but, tmp_path: Path) -> None:
    rows = [("tr", f"la {number}e forêt") for number in range(40)]
    rows += [(mark, f"le {number}e pré") for mark in ("va",) for number in range(10)]
    rows += [("te", change(text)) for _, text in rows[:40]]
    (tmp_path / "x.txt").write_text("".join(f"{mark}\t{len(text) % 2}\t{text}\n" for mark, text in rows))
    reporter = Reporter(quiet=True)
    load_tasks(str(tmp_path), ["x"], reporter=reporter)
    found = [line for line in reporter.warnings if "stand in train too" in line]
    assert found == [line for line in found if line.startswith("task x: 40 of 40 sentences")]
    assert [line.partition("too")[2].partition(", so that")[0] for line in found] == ([] if but is None else [but])


def test_numbers_with_a_comma_for_their_point_are_told_to_be_classes(tmp_path: Path) -> None:
    for name, labels in (("scores", ("1,5", "2,0")), ("names", ("1,5", "two"))):
        write_table(draw_table().assign(label=[labels[row % 2] for row in range(200)]), tmp_path / f"{name}.csv")
    found = {task.name: task.notes for task in load_tasks(str(tmp_path), ["all"])[0]}
    assert found == {
        "names": (),
        "scores": ("its labels are names of classes here, such as '1,5'; write scores with a point",),
    }


def test_quotation_marks_that_a_program_put_around_the_texts_of_a_tsv_are_told(tmp_path: Path) -> None:
    frame = draw_table()
    for name, n in (("all", 200), ("half", 100)):
        texts = [f'"{text}"' if row < n else text for row, text in enumerate(frame["text"])]
        write_table(frame.assign(text=texts), tmp_path / f"{name}.tsv")
    write_table(frame.assign(text=[f'"{text}"' for text in frame["text"]]), tmp_path / "csv.csv")
    found = {task.name: task.notes for task in load_tasks(str(tmp_path), ["all"])[0]}
    assert found["half"] == found["csv"] == ()
    assert found["all"][0].startswith("200 of 200 texts stand between quotation marks, which are read with them")


@pytest.mark.parametrize(("sign", "name"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")])
def test_a_table_with_other_signs_between_its_columns_is_told_so(sign: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("".join(f"{sign.join(row)}\n" for row in (("text", "label"), ("a b", "c"))))
    with pytest.raises(InputError, match=f"separate them by commas in .csv, by tabs in .tsv, and not by {name}$"):
        load(tmp_path)


def test_two_tasks_that_tables_would_print_alike_are_refused(tmp_path: Path) -> None:
    for name in ("past_present.csv", "Tense.csv"):
        write_table(draw_table(), tmp_path / name)
    with pytest.raises(InputError, match=r"task Tense stands twice, in .*Tense\.csv and .*past_present\.csv; keep one"):
        load(tmp_path)
    (tmp_path / "past_present.csv").rename(tmp_path / "Tenses.csv")
    assert [task.name for task in load_tasks(str(tmp_path), ["all"])[0]] == ["Tense", "Tenses"]


def test_a_tab_within_a_sentence_costs_no_half_of_it(tmp_path: Path) -> None:
    rows = [(mark, label, f"{label} {mark} {n}") for mark in ("tr", "va", "te") for n in range(9) for label in "ab"]
    content = "".join("\t".join(row) + "\n" for row in rows)
    (tmp_path / "x.txt").write_text(content + "te\ta\tsome\twords\n")
    with pytest.raises(InputError, match=r"x\.txt:55: has 4 fields, most lines 3; take tabs out of sentences$"):
        load(tmp_path)
    (tmp_path / "x.txt").write_text("te\ta\tsome\twords\n" + content)
    with pytest.raises(InputError, match=r"x\.txt:1: has 4 fields, most lines 3; take tabs out of sentences$"):
        load(tmp_path)
    (tmp_path / "x.txt").write_text(content)
    assert load(tmp_path).notes == ()
    (tmp_path / "x.txt").write_text("".join("\t".join((*row[:2], "7", row[2])) + "\n" for row in rows))
    assert load(tmp_path).splits["test"].texts[0] == ("a te 0",)  # a column of numbers between is passed over
    [note] = load(tmp_path).notes  # and a half of every sentence would be
    assert note.startswith("its lines have 4 fields: split, label and the last, the sentence, are read")
    assert note in check_source(str(tmp_path))[0][0].notes


@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.jsonl"])
def test_lines_that_end_in_carriage_returns_alone_are_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"text,label\ra,b\rc,d\r")
    with pytest.raises(InputError, match="carriage returns alone"):
        load(tmp_path / name)
