"""The check finds each planted fault and none in sound files, in any number of files at once."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from probing.records import InputError, Split
from probing.tasks.checks.shortcuts import find_telling_words, score_bag_of_words, score_length
from probing.tasks.checks.task_check import TaskCheck, check_rows, check_source
from probing.tasks.controlled.corpus import make_rows
from probing.tasks.files.senteval import Row, write_tasks

SCRIPT = Path(__file__).parents[4] / "probing" / "build_tasks.py"


def draw_rows(n: int = 120, seed: int = 0) -> list[Row]:
    """Sound sentences of one length, whose labels nothing tells."""
    rng = np.random.default_rng(seed)
    sentences = dict.fromkeys(" ".join(rng.choice(list("abcdefghijkl"), size=5)) for _ in range(3 * n))
    marks = ["train"] * n + ["dev"] * (n // 4) + ["test"] * (n // 4)
    return [(mark, "AB"[row % 2], text) for row, (mark, text) in enumerate(zip(marks, sentences, strict=False))]


def check(folder: Path, rows: list[Row]) -> TaskCheck:
    write_tasks(folder, {"tree_depth": rows})
    checks, faults = check_source(str(folder))
    assert faults == []
    return checks[0]


def test_sound_files_have_no_faults(tmp_path: Path) -> None:
    found = check(tmp_path, draw_rows())
    assert (list(found.faults), found.repeated, found.shared, found.contradicted) == ([], 0, 0, 0)
    assert found.sentences == {"train": 120, "dev": 30, "test": 30}
    assert (found.classes, found.class_shares, found.words) == (2, (0.5, 0.5), (5, 5, 5))


def test_each_planted_repetition_is_counted_once(tmp_path: Path) -> None:
    rows = draw_rows()
    rows[1] = ("train", rows[1][1], rows[3][2])  # within train, same label
    rows[125] = ("dev", rows[0][1], rows[0][2])  # train and dev
    rows[160] = ("test", rows[5][1], rows[5][2])  # train and test
    rows[161] = ("test", "A" if rows[7][1] == "B" else "B", rows[7][2])  # likewise, with the other label
    found = check(tmp_path, rows)
    assert (found.repeated, found.shared, found.contradicted) == (1, 3, 1)
    assert [fault.split(" (")[0] for fault in found.faults] == [
        "3 x a text stands in an earlier split too",
        "1 x a text has two labels",
    ]
    assert f"line 161: {rows[160][2]}" in found.faults[0]


def test_lines_that_cannot_be_used_are_listed_and_the_rest_is_read(tmp_path: Path) -> None:
    path = tmp_path / "tree_depth.txt"
    write_tasks(tmp_path, {"tree_depth": draw_rows()})
    path.write_bytes(path.read_bytes() + b"tr\tA\t\xff\nno tabs\nxx\tA\tb c\ntr\tA\t \ntr\t\tb c\n")
    found = check_source(str(tmp_path))[0][0]
    assert found.sentences["train"] == 120
    assert found.shortcuts is not None
    assert [fault.rpartition(f"{path}")[2] for fault in found.faults] == [
        ":181: byte 0xff is not UTF-8; save the file as UTF-8",
        ":182: expected split, label and sentence with tabs between, got 1 field(s)",
        ":183: unknown split 'xx'; expected one of tr, va, te",
        ": 2 more lines that cannot be used",
    ]


def test_one_broken_file_hides_no_other(tmp_path: Path) -> None:
    write_tasks(tmp_path, {"bigram_shift": draw_rows(), "tree_depth": draw_rows(seed=1)})
    (tmp_path / "past_present.txt").write_bytes(b"\x00\xff\xfe")
    (tmp_path / "mine.csv").write_text("text,label\n")
    (tmp_path / "mine.jsonl").write_text("{}\n")
    (tmp_path / "broken.parquet").write_text("no")
    (tmp_path / "loose.txt").write_text("a sentence without tabs\n")
    (tmp_path / "README.txt").write_text("about these files\n")
    checks, faults = check_source(str(tmp_path))
    assert {one.task for one in checks if not one.faults} == {"BShift", "TreeDepth"}
    assert {one.task for one in checks if one.faults} == {"Tense", "mine", "broken"}
    assert [fault.split(":")[0] for fault in faults] == [
        f"task mine stands twice, in {tmp_path / 'mine.csv'} and {tmp_path / 'mine.jsonl'}; keep one of them",
        str(tmp_path / "loose.txt"),
    ]


def make_split(texts: list[str], labels: list[int]) -> Split:
    return Split(tuple((text,) for text in texts), np.array(labels))


def test_length_is_measured_as_a_table_of_lengths_would() -> None:
    train = make_split(["a", "b", "a b", "c d", "e f"], [0, 0, 1, 1, 0])
    # one word: 0, two words: 1; three words were never seen, so the class most frequent in train: 0
    test = make_split(["x", "x y", "x y", "x y z"], [0, 1, 0, 0])
    assert score_length(train, test) == 3 / 4


def test_a_bag_of_words_finds_a_word_and_no_order() -> None:
    rng = np.random.default_rng(0)
    words = [rng.choice(list("abcdefgh"), size=6) for _ in range(800)]
    ordered = [int(list(one).index("a") < list(one).index("b")) if {"a", "b"} <= {*one} else 0 for one in words]
    texts = [" ".join(one) for one in words]
    for labels, low, high in (([int("a" in one) for one in words], 0.99, 1.0), (ordered, 0.0, 0.85)):
        score = score_bag_of_words(make_split(texts[:600], labels[:600]), make_split(texts[600:], labels[600:]))
        assert low <= score <= high
    assert max(np.mean(ordered), 1 - np.mean(ordered)) > 0.6  # what is left is the majority


def test_telling_words_are_frequent_enough_and_of_a_rare_enough_class() -> None:
    texts = ["was here"] * 9 + ["was there"] + ["is there"] * 9 + ["is once"]
    split = make_split(texts, [0] * 9 + [1] * 11)
    # was: 9 of 10 are 0. here: 9 of 9. there: 10 of class 1. is: 10 of 10. once stands in one sentence only.
    assert find_telling_words(split) == {"is": 1, "there": 1, "was": 0, "here": 0}
    mostly = make_split(texts, [0] * 5 + [1] * 15)
    assert 1 not in find_telling_words(mostly).values()


@pytest.mark.slow
def test_the_controlled_corpus_is_sound_and_hides_what_it_should() -> None:
    sizes = {"train": 600, "dev": 100, "test": 400}
    made = make_rows(["bigram_shift", "past_present", "coordination_inversion"], 0, sizes)
    found = {name: check_rows(name, rows, "controlled") for name, rows in made.items()}
    assert [list(one.faults) for one in found.values()] == [[], [], []]
    for one in found.values():
        shortcuts = one.shortcuts
        assert shortcuts is not None
        # Five standard errors of a share of 400 sentences around one half.
        assert abs(shortcuts.bag_of_words - 0.5) < 5 * 0.025
        assert abs(shortcuts.length - 0.5) < 5 * 0.025


def test_nothing_to_check_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no task files"):
        check_source(str(tmp_path))
    with pytest.raises(InputError, match="no such folder"):
        check_source(str(tmp_path / "nowhere"))


@pytest.mark.slow
def test_the_script_tells_writes_json_and_says_it_by_its_exit_code(tmp_path: Path) -> None:
    rows = draw_rows()
    write_tasks(tmp_path / "sound", {"tree_depth": rows})
    write_tasks(tmp_path / "faulty", {"tree_depth": [*rows, ("test", "A", rows[0][2])]})
    for folder, expected in (("sound", 0), ("faulty", 1), ("nowhere", 2)):
        command = [sys.executable, "-I", "-W", "error", str(SCRIPT), "--check", folder, "--report", f"{folder}.json"]
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert result.returncode == expected, result.stderr
        assert "Traceback" not in result.stderr
    report = json.loads((tmp_path / "faulty.json").read_text(encoding="utf-8"))
    assert report["tasks"][0]["shared"] == 1
    assert "stands in an earlier split too" in report["tasks"][0]["faults"][0]
    assert not (tmp_path / "nowhere.json").exists()
