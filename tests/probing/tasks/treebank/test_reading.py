"""CoNLL-U and brackets are read as they stand, and what is wrong with them is said in one line."""

import os
from pathlib import Path

import pytest

from probing.records import InputError
from probing.tasks.treebank.conllu import read_conllu, split_of
from probing.tasks.treebank.sentences import Sentence
from probing.tasks.treebank.trees import (
    attach_trees,
    constituency_depth,
    dependency_depth,
    find_tree_files,
    read_brackets,
    top_constituents,
    top_dependents,
)

GERMAN = """# sent_id = de-1
# text = Wir gehen zum „Café“, okay?
1	Wir	wir	PRON	PPER	Number=Plur	2	nsubj	_	_
2	gehen	gehen	VERB	VVFIN	Mood=Ind|Tense=Pres|VerbForm=Fin	0	root	_	_
3-4	zum	_	_	_	_	_	_	_	_
3	zu	zu	ADP	APPR	_	6	case	_	_
4	dem	der	DET	ART	_	6	det	_	_
5	„	„	PUNCT	$(	_	6	punct	_	SpaceAfter=No
6	Café	Café	NOUN	NN	Number=Sing	2	obl	_	SpaceAfter=No
7	“	“	PUNCT	$(	_	6	punct	_	SpaceAfter=No
8	,	,	PUNCT	$,	_	9	punct	_	_
8.1	ist	sein	AUX	_	_	_	_	2:aux	_
9	okay	okay	ADJ	ADJD	_	2	parataxis	_	SpaceAfter=No
10	?	?	PUNCT	$.	_	2	punct	_	_

"""
TREE = (
    "(ROOT (S (NP-SBJ (PRP Wir)) (VP (VBP gehen) (PP (IN zu) (NP (DT dem) (`` „) (NN Café) ('' “))))"
    " (, ,) (ADJP (JJ okay)) (. ?)))"
)


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


@pytest.fixture
def german(tmp_path: Path) -> Sentence:
    return read_conllu(write(tmp_path, "de_x-ud-train.conllu", GERMAN))[0]


def test_a_contraction_is_one_token_and_two_words(german: Sentence) -> None:
    assert german.text == "Wir gehen zum „ Café “ , okay ?"
    assert [word.form for word in german.words][2:4] == ["zu", "dem"]
    assert german.length == 9
    assert german.has_double_quotes


def test_space_after_gives_back_the_printed_text(german: Sentence) -> None:
    assert german.raw == "Wir gehen zum „Café“, okay?"


def test_windows_line_ends_and_a_byte_order_mark_change_nothing(german: Sentence, tmp_path: Path) -> None:
    path = write(tmp_path, "dev.conllu", "\ufeff" + GERMAN.replace("\n", "\r\n"))
    assert read_conllu(path)[0].tokens == german.tokens


def test_a_space_inside_a_word_counts_as_two_tokens(tmp_path: Path) -> None:
    text = "1\t10 000\t10000\tNUM\t_\t_\t0\troot\t_\t_\n\n"
    assert read_conllu(write(tmp_path, "test.conllu", text))[0].length == 2


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("de_gsd-ud-train", "train"),
        ("train", "train"),
        ("en_dev", "dev"),
        ("cs_pdt-ud-train-l", "train"),
        ("Test", "test"),
    ],
)
def test_the_file_name_tells_the_split(name: str, split: str) -> None:
    assert split_of(Path(f"{name}.conllu")) == split


@pytest.mark.parametrize("name", ["latest", "sentences", "train-test", "contested"])
def test_a_name_that_tells_no_split_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="one of train, dev, test"):
        split_of(Path(f"{name}.conllu"))


ROW = "1\tA\ta\tNOUN\t_\t_\t0\troot\t_\t_\n"


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("hello world\n", 1, "not CoNLL-U"),
        (ROW + "\n" + "1\tA\ta\tNOUN\n", 3, "ten columns"),
        (ROW + "\n\n# only a comment\n", 4, "ten columns"),
        (ROW.replace("\t0\t", "\tx\t"), 1, "not CoNLL-U"),
        (ROW.replace("\t0\t", "\t7\t"), 1, "column 7"),
        (ROW.replace("\t0\t", "\t_\t"), 1, "column 7"),
        (ROW.replace("1\t", "2\t", 1), 1, "1, 2, 3"),
        (ROW.replace("\tA\t", "\t\t"), 1, "without a form"),
        (ROW + ROW.replace("1\t", "2\t", 1), 1, "2 roots"),
        (ROW + "2\tB\tb\tX\t_\t_\t3\tdep\t_\t_\n3\tC\tc\tX\t_\t_\t2\tdep\t_\t_\n", 1, "circle"),
    ],
)
def test_broken_conllu_is_named_by_file_and_line(tmp_path: Path, text: str, line: int, reason: str) -> None:
    path = write(tmp_path, "train.conllu", text)
    with pytest.raises(InputError) as error:
        read_conllu(path)
    assert str(error.value).startswith(f"{path}:{line}: ")
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


def test_bytes_that_are_not_utf8_are_named_by_line(tmp_path: Path) -> None:
    path = tmp_path / "train.conllu"
    path.write_bytes(ROW.encode() + b"\n\n\xff\xfe")
    with pytest.raises(InputError, match=r"train\.conllu:4: byte 0xff is not UTF-8"):
        read_conllu(path)


def test_a_tree_gives_its_depth_and_top_constituents(german: Sentence, tmp_path: Path) -> None:
    write(tmp_path, "all.ptb", TREE + "\n")
    write(tmp_path, "all.ids", "de-1\n")
    (sentence,), misfits = attach_trees([german], read_brackets(find_tree_files(tmp_path)))
    assert misfits == 0
    # ROOT-S-VP-PP-NP-DT-word: six edges, counted by hand.
    assert constituency_depth(sentence) == 6
    assert top_constituents(sentence) == "NP_VP_ADJP"


def test_depth_does_not_depend_on_whether_the_brackets_have_a_root_node(german: Sentence) -> None:
    bare = TREE.removeprefix("(ROOT ")[:-1]
    depths = [
        constituency_depth(attach_trees([german], {"de-1": ("f:1", tree)})[0][0]) for tree in (TREE, bare, f"( {bare})")
    ]
    assert depths == [6, 6, 6]


def test_dependencies_give_depth_and_order_around_the_root(german: Sentence) -> None:
    assert dependency_depth(german) == 3  # gehen > Café > zu
    assert top_dependents(german) == "nsubj_VERB_obl_parataxis"


@pytest.mark.parametrize(
    ("brackets", "ids", "reason"),
    [
        ("(ROOT (S (NP Wir))", "de-1", "not one tree in brackets"),
        ("(ROOT (S (NP Ihr)))", "de-1", "none of 1 trees fits"),
        ("(ROOT (S (NP Wir)))", "other", "none of 1 trees fits"),
        (TREE, "de-1\nde-2", "1 trees for 2 ids"),
    ],
)
def test_brackets_that_do_not_fit_are_refused(
    german: Sentence, tmp_path: Path, brackets: str, ids: str, reason: str
) -> None:
    write(tmp_path, "x.ptb", brackets + "\n")
    write(tmp_path, "x.ids", ids + "\n")
    with pytest.raises(InputError, match=reason):
        attach_trees([german], read_brackets(find_tree_files(tmp_path)))


@pytest.mark.skipif("PROBING_CORPORA" not in os.environ, reason="PROBING_CORPORA is not set: no real corpora")
def test_printed_text_of_a_real_treebank_is_rebuilt_exactly() -> None:
    path = Path(os.environ["PROBING_CORPORA"]) / "treebanks/UD_English-ESLSpok/dev.conllu"
    lines = path.read_text(encoding="utf-8").split("\n")
    texts = [line.removeprefix("# text = ").strip() for line in lines if line.startswith("# text = ")]
    assert [sentence.raw for sentence in read_conllu(path)] == texts
