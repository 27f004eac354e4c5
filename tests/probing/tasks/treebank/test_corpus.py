"""The whole way from treebank files to task rows."""

import os
from collections import Counter
from pathlib import Path

import pytest

from probing.records import SPLITS, InputError
from probing.tasks.files.senteval import Row
from probing.tasks.treebank.conllu import read_conllu
from probing.tasks.treebank.corpus import NEED_DEPENDENCIES, build_corpus, clean
from probing.tasks.treebank.sampling import Floor, normalise

real = pytest.mark.skipif("PROBING_CORPORA" not in os.environ, reason="PROBING_CORPORA is not set: no real corpora")


def write(folder: Path, name: str, sentences: list[str], misc: str = "_") -> Path:
    """Sentences of `form|UPOS|feats`, all words but the first hanging on the first."""
    path = folder / f"{name}.conllu"
    blocks = []
    for text in sentences:
        rows = []
        for index, word in enumerate(text.split(), start=1):
            form, upos, feats = (*word.split("|"), "X", "_")[:3] if "|" in word else (word, "X", "_")
            head, relation = (0, "root") if index == 1 else (1, "dep")
            rows.append(f"{index}\t{form}\t_\t{upos}\t_\t{feats}\t{head}\t{relation}\t_\t{misc}\n")
        blocks.append("".join(rows) + "\n")
    path.write_text("".join(blocks), encoding="utf-8")
    return path


def test_a_sentence_counts_once_and_in_one_split(tmp_path: Path) -> None:
    files = [
        write(
            tmp_path,
            "train",
            ["a b c d e", "a b c d e", "A b c d e !", "only here in train now", "too short", "_ _ y _ v"],
        ),
        write(tmp_path, "dev", ["a b c d e .", "only here in dev now"]),
        write(tmp_path, "test", ["only here in test now"]),
    ]
    kept, dropped = clean([sentence for path in files for sentence in read_conllu(path).sentences])
    assert [sentence.text for sentence in kept] == [
        "only here in train now", "a b c d e .", "only here in dev now", "only here in test now",
    ]  # fmt: skip
    assert dropped == {"length": 1, "text withheld": 1, "repeated in its split": 0, "also in another split": 3}


def test_repetition_within_a_split_is_told_by_case(tmp_path: Path) -> None:
    path = write(tmp_path, "train", ["a b c d e", "a b c d e", "A b c d e"])
    assert [sentence.text for sentence in clean(read_conllu(path).sentences)[0]] == ["a b c d e", "A b c d e"]


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
        files.append(write(tmp_path, split, texts, "SpaceAfter=No"))
    build = build_corpus(files)
    assert "が" in build.rows["bigram_shift"][0][2]
    assert not any(" " in text for _, _, text in build.rows["bigram_shift"])
    assert all(text.endswith("。") for _, _, text in build.rows["bigram_shift"])
    assert "column FEATS" in build.report["unsupported"]["past_present"]
    assert len(build.rows) + len(build.report["unsupported"]) == 10
    assert "of their roots 0 have Tense" in build.report["unsupported"]["past_present"]


def test_the_report_names_sources_by_hash_and_licence(tmp_path: Path) -> None:
    (tmp_path / "LICENSE.txt").write_text("\nFree for all\nmore\n", encoding="utf-8")
    files = [write(tmp_path, split, [f"{split} b c d e{n}" for n in range(9)]) for split in SPLITS]
    report = build_corpus(files, floor=Floor(1, 1)).report
    assert [source["licence"] for source in report["sources"]] == ["Free for all"] * 3
    assert all(len(source["sha256"]) == 64 for source in report["sources"])
    assert report["sentences"]["kept"] == dict.fromkeys(SPLITS, 9)


def vary(split: str, size: int = 60) -> list[str]:
    """Sentences of two lengths, no two alike."""
    return [f"{split} b{n} c d e" + " f g h i j" * (n % 2) for n in range(size)]


def test_a_bad_sentence_costs_itself_and_is_counted_named_and_told(tmp_path: Path) -> None:
    files = [write(tmp_path, split, vary(split)) for split in SPLITS]
    with files[0].open("a") as file:
        file.write("# sent_id = bad\n" + "".join(f"{n}\tw\tw\tX\t_\t_\t0\troot\t_\t_\n" for n in (1, 2)) + "\n")
    lines: list[str] = []
    report = build_corpus(files, log=lines.append).report
    assert report["sentences"]["dropped"]["cannot be used"] == 1
    [fault] = report["sentences"]["faults"]
    assert fault.startswith("train.conllu:")
    assert fault.endswith(": has 2 roots; expected one word with head 0")
    assert f"left out: the sentence at {fault}" in lines
    assert report["sentences"]["kept"] == dict.fromkeys(SPLITS, 60)


def test_without_heads_the_tasks_are_made_that_need_none(tmp_path: Path) -> None:
    files = [write(tmp_path, split, vary(split)) for split in SPLITS]
    with_heads = build_corpus(files).rows
    for path in files:
        rows = [line.split("\t") for line in path.read_text().split("\n")]
        path.write_text("\n".join("\t".join([*row[:6], "_", "_", *row[8:]]) if len(row) > 1 else "" for row in rows))
    build = build_corpus(files)
    assert build.rows["sentence_length"] == with_heads["sentence_length"]
    assert build.rows["bigram_shift"] == with_heads["bigram_shift"]
    for name in NEED_DEPENDENCIES:
        assert build.report["unsupported"][name] == "none of 180 sentences has dependencies (column HEAD)"


def test_where_nothing_can_be_made_it_is_said_why(tmp_path: Path) -> None:
    withheld = [write(tmp_path, split, ["_ _ _ _ _ .|PUNCT"] * 30) for split in SPLITS]
    with pytest.raises(InputError, match="all 90 sentences have their words withheld; see the treebank's README"):
        build_corpus(withheld)
    short = [write(tmp_path, split, ["a b"] * 3) for split in SPLITS]
    with pytest.raises(InputError, match=r"none of 9 sentences can be used \(9 length\); expected 5 to 28 tokens"):
        build_corpus(short)
    few = [write(tmp_path, split, [f"a b c d {split}{n}" for n in range(9)]) for split in SPLITS]
    with pytest.raises(InputError, match="no task can be made of 27 sentences, for SentLen, to name one, needs"):
        build_corpus(few)


def test_an_underscore_that_was_written_is_kept(tmp_path: Path) -> None:
    kept, dropped = clean(read_conllu(write(tmp_path, "train", ["name it user _ name", "_ _ _ b _"])).sentences)
    assert [sentence.text for sentence in kept] == ["name it user _ name"]
    assert dropped["text withheld"] == 1


def test_a_clitic_is_written_as_it_was_and_never_moved(tmp_path: Path) -> None:
    files = []
    for split, size in (("train", 80), ("dev", 30), ("test", 30)):
        path = write(tmp_path, split, [f"wa{split} ra{n} fi- bayt{n} akbar jiddan haqqan" for n in range(size)])
        path.write_text(
            path.read_text().replace("fi-\t_\tX\t_\t_\t1\tdep\t_\t_", "fi-\t_\tX\t_\t_\t1\tdep\t_\tSpaceAfter=No")
        )
        files.append(path)
    rows = build_corpus(files).rows["bigram_shift"]
    assert all(text.split()[2].startswith("fi-bayt") for _, _, text in rows)
    assert {len(text.split()) for _, _, text in rows} == {6}
    assert {label for _, label, _ in rows} == {"I", "O"}


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
