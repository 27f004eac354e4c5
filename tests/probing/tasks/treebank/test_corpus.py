"""The whole way from treebank files to task rows."""

import os
from collections import Counter
from pathlib import Path

import pytest

from probing.records import SPLITS, InputError
from probing.tasks.files.senteval import Row
from probing.tasks.treebank.conllu import read_conllu
from probing.tasks.treebank.corpus import build_corpus, clean
from probing.tasks.treebank.sampling import Floor, normalise

real = pytest.mark.skipif("PROBING_CORPORA" not in os.environ, reason="PROBING_CORPORA is not set: no real corpora")


def write(folder: Path, name: str, sentences: list[str]) -> Path:
    """Sentences of `form/UPOS/feats`, all words but the first hanging on the first."""
    path = folder / f"{name}.conllu"
    blocks = []
    for text in sentences:
        rows = []
        for index, word in enumerate(text.split(), start=1):
            form, upos, feats = (*word.split("|"), "X", "_")[:3] if "|" in word else (word, "X", "_")
            head, relation = (0, "root") if index == 1 else (1, "dep")
            rows.append(f"{index}\t{form}\t_\t{upos}\t_\t{feats}\t{head}\t{relation}\t_\tSpaceAfter=No\n")
        blocks.append("".join(rows) + "\n")
    path.write_text("".join(blocks), encoding="utf-8")
    return path


def test_a_sentence_counts_once_and_in_one_split(tmp_path: Path) -> None:
    files = [
        write(
            tmp_path,
            "train",
            ["a b c d e", "a b c d e", "A b c d e !", "only here in train now", "too short", "x _ y z v"],
        ),
        write(tmp_path, "dev", ["a b c d e .", "only here in dev now"]),
        write(tmp_path, "test", ["only here in test now"]),
    ]
    kept, dropped = clean([sentence for path in files for sentence in read_conllu(path)])
    assert [sentence.text for sentence in kept] == [
        "only here in train now", "a b c d e .", "only here in dev now", "only here in test now",
    ]  # fmt: skip
    assert dropped == {"length": 1, "text withheld": 1, "repeated in its split": 0, "also in another split": 3}


def test_repetition_within_a_split_is_told_by_case(tmp_path: Path) -> None:
    path = write(tmp_path, "train", ["a b c d e", "a b c d e", "A b c d e"])
    assert [sentence.text for sentence in clean(read_conllu(path))[0]] == ["a b c d e", "A b c d e"]


def test_a_treebank_without_train_and_dev_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file for split train and dev among test\.conllu"):
        build_corpus([write(tmp_path, "test", ["a b c d e"])])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"de-ud-\*\.conllu: no such file"):
        build_corpus([tmp_path / "de-ud-*.conllu"])


def test_a_script_without_spaces_case_and_features_is_served_as_far_as_it_goes(tmp_path: Path) -> None:
    nouns = ["犬", "猫", "鳥", "魚", "馬", "牛", "羊", "虎"]
    files = []
    for offset, (split, size) in enumerate((("train", 60), ("dev", 20), ("test", 20))):
        texts = [f"{nouns[n % 8]} が {nouns[n // 8 % 8]}{n + 100 * offset} を 見 た 。|PUNCT" for n in range(size)]
        files.append(write(tmp_path, split, texts))
    build = build_corpus(files)
    assert "。" in build.rows["bigram_shift"][0][2]
    assert all(text.endswith(" 。") for _, _, text in build.rows["bigram_shift"])
    assert "column FEATS" in build.report["unsupported"]["past_present"]
    assert len(build.rows) + len(build.report["unsupported"]) == 10


def test_the_report_names_sources_by_hash_and_licence(tmp_path: Path) -> None:
    (tmp_path / "LICENSE.txt").write_text("\nFree for all\nmore\n", encoding="utf-8")
    files = [write(tmp_path, split, [f"{split} b c d e{n}" for n in range(9)]) for split in SPLITS]
    report = build_corpus(files, floor=Floor(1, 1)).report
    assert [source["licence"] for source in report["sources"]] == ["Free for all"] * 3
    assert all(len(source["sha256"]) == 64 for source in report["sources"])
    assert report["sentences"]["kept"] == dict.fromkeys(SPLITS, 9)


@pytest.fixture(scope="module")
def english() -> dict[str, list[Row]]:
    """Flight queries: a real treebank, small and narrow."""
    folder = Path(os.environ["PROBING_CORPORA"]) / "treebanks/UD_English-Atis"
    return {name: list(rows) for name, rows in build_corpus(sorted(folder.glob("*.conllu"))).rows.items()}


@real
def test_no_sentence_of_a_real_task_stands_in_two_splits(english: dict[str, list[Row]]) -> None:
    for rows in english.values():
        homes = Counter(text for text, _ in {(normalise(text), split) for split, _, text in rows})
        assert set(homes.values()) == {1}


@real
def test_real_binary_tasks_are_exactly_balanced(english: dict[str, list[Row]]) -> None:
    for name in ("bigram_shift", "odd_man_out", "obj_number"):
        for split in SPLITS:
            counts = Counter(label for place, label, _ in english[name] if place == split)
            assert len(counts) == 2
            assert len(set(counts.values())) == 1
