"""CoNLL-U and brackets are read as they stand, and what is wrong with them is said in one line."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probing.records import InputError
from probing.tasks.treebank.conllu import find_glue, read_conllu, split_of
from probing.tasks.treebank.corpus import clean
from probing.tasks.treebank.sentences import Sentence, Word, head_depths
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
    return read_conllu(write(tmp_path, "de_x-ud-train.conllu", GERMAN)).sentences[0]


def test_a_contraction_is_one_token_and_two_words(german: Sentence) -> None:
    assert " ".join(german.tokens) == "Wir gehen zum „ Café “ , okay ?"
    assert [word.form for word in german.words][2:4] == ["zu", "dem"]
    assert german.length == 9
    assert german.has_double_quotes


def test_the_text_is_written_as_it_is_printed(german: Sentence) -> None:
    assert german.text == "Wir gehen zum „Café“, okay?"


def test_without_the_printed_text_space_after_tells_it(german: Sentence, tmp_path: Path) -> None:
    for text in (
        GERMAN.replace("# text = Wir gehen zum „Café“, okay?\n", ""),
        GERMAN.replace("okay?\n", "anderes\n", 1),
    ):
        assert read_conllu(write(tmp_path, "dev.conllu", text)).sentences[0].text == german.text


def test_without_space_after_the_printed_text_tells_it(german: Sentence, tmp_path: Path) -> None:
    path = write(tmp_path, "dev.conllu", GERMAN.replace("SpaceAfter=No", "_"))
    assert read_conllu(path).sentences[0].text == german.text


def test_windows_line_ends_and_a_byte_order_mark_change_nothing(german: Sentence, tmp_path: Path) -> None:
    path = write(tmp_path, "dev.conllu", "\ufeff" + GERMAN.replace("\n", "\r\n"))
    assert read_conllu(path).sentences[0].tokens == german.tokens


def test_a_space_inside_a_word_counts_as_two_tokens(tmp_path: Path) -> None:
    text = "1\t10 000\t10000\tNUM\t_\t_\t0\troot\t_\t_\n\n"
    assert read_conllu(write(tmp_path, "test.conllu", text)).sentences[0].length == 2


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
    ("text", "reason"),
    [
        ("hello world\n", "not CoNLL-U"),
        ("1\tA\ta\tNOUN\n", "ten columns"),
        (ROW.replace("\t", "  "), "ten columns"),
        (ROW.replace("\t0\t", "\tx\t"), "head 'x' is no number"),
        (ROW.replace("\t0\t", "\t7\t"), "column 7"),
        (ROW + ROW.replace("1\t", "2\t", 1).replace("\t0\t", "\t_\t"), "none for some words"),
        (ROW.replace("1\t", "2\t", 1), "1, 2, 3"),
        (ROW.replace("1\t", "9" * 5000 + "\t", 1), "1, 2, 3"),
        (ROW + "x" + ROW[1:], "'x' is no number of a word"),
        ("1-999999\tAB" + "\t_" * 8 + "\n" + ROW, "a token 1-999999 that is no run"),
        ("2-3\tAB" + "\t_" * 8 + "\n" + ROW, "a token 2-3 that is no run"),
        ("0.1\tA" + "\t_" * 8 + "\n", "1, 2, 3"),
        (ROW.replace("\tA\t", "\t\t"), "without a form"),
        (ROW.replace("\tA\t", "\t\u3000\t"), "without a form"),
        (ROW + ROW.replace("1\t", "2\t", 1), "2 roots"),
        (ROW.replace("\t0\t", "\t1\t"), "0 roots"),
        (ROW + "2\tB\tb\tX\t_\t_\t3\tdep\t_\t_\n3\tC\tc\tX\t_\t_\t2\tdep\t_\t_\n", "circle"),
    ],
)
def test_a_sentence_that_cannot_be_used_costs_itself_alone(tmp_path: Path, text: str, reason: str) -> None:
    path = write(tmp_path, "train.conllu", f"{ROW}\n{text}\n{ROW}")
    sentences, [fault] = read_conllu(path)
    assert [sentence.tokens for sentence in sentences] == [("A",), ("A",)]
    assert fault.line == 3
    assert reason in fault.reason
    alone = write(tmp_path, "dev.conllu", text)
    with pytest.raises(InputError) as error:
        read_conllu(alone)
    assert str(error.value).startswith(f"{alone}:1: ")
    assert str(error.value).isprintable()


@pytest.mark.parametrize("text", ["# newdoc id = d1\n\n" + ROW, ROW + "\n# end of file\n", ROW + "# after\n\n#\n\n\n"])
def test_comments_are_no_sentences(tmp_path: Path, text: str) -> None:
    sentences, faults = read_conllu(write(tmp_path, "train.conllu", text))
    assert (len(sentences), faults) == (1, [])


def test_a_file_of_comments_holds_no_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no sentence in it"):
        read_conllu(write(tmp_path, "train.conllu", "# newdoc\n\n# newpar\n"))


def test_two_spaces_are_part_of_a_column(tmp_path: Path) -> None:
    rows = ROW.replace("\tA\t", "\t10  000\t").replace("\t_\n", "\tGloss=a  b|SpaceAfter=No\n")
    rows += "2\t.\t.\tPUNCT\t_\t_\t1\tpunct\t_\t_\n"
    assert read_conllu(write(tmp_path, "train.conllu", rows)).sentences[0].text == "10 000."


def test_a_sentence_without_heads_is_read_without_a_tree(tmp_path: Path) -> None:
    [sentence], _ = read_conllu(write(tmp_path, "train.conllu", ROW.replace("\t0\t", "\t_\t")))
    assert not sentence.is_parsed


@pytest.mark.parametrize(
    ("text", "tokens", "glued"),
    [
        ("今日は 晴れ。", ["今日", "は", "晴れ", "。"], [True, False, True, False]),
        ("للولايات المتحدة", ["ل", "لولايات", "المتحدة"], [True, False, False]),
        ("a  10 000b", ["a", "10 000", "b"], [False, True, False]),
        ("a b", ["a", "c"], []),
        ("a b c", ["a", "b"], []),
    ],
)
def test_glue_is_read_off_the_printed_text(text: str, tokens: list[str], glued: list[bool]) -> None:
    assert find_glue(text, tokens) == glued


def test_depths_of_a_long_chain_and_of_circles_are_found_in_one_pass() -> None:
    def depths(heads: list[int]) -> list[int]:
        return head_depths([Word("x", "X", "_", {}, head, "dep", 0) for head in heads])

    assert depths([*range(-1, 50_000)]) == [*range(1, 50_002)]
    assert depths([1, 2, 3, -1]) == [4, 3, 2, 1]
    assert depths([1, 0, 1, -1, 3]) == [-1, -1, -1, 1, 2]


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
        ("(S " * 5000 + "Wir" + ")" * 5000, "de-1", "5000 brackets inside one another"),
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
    assert [sentence.text for sentence in read_conllu(path).sentences] == texts


COLUMN = st.one_of(
    st.sampled_from(["_", "", "1", "2", "3", "0", "1-2", "1.1", "-1", "root", "X", "Tense=Past", "SpaceAfter=No", " "]),
    st.text(max_size=3),
)
LINE = st.one_of(
    st.lists(COLUMN, min_size=9, max_size=11).map("\t".join),
    st.sampled_from(["", "# text = A B", "# sent_id = x", "#", ROW.strip(), "2\tB\tb\tX\t_\t_\t1\tdep\t_\t_"]),
    st.text(max_size=20),
)


@pytest.mark.slow
@given(lines=st.lists(LINE, max_size=12), raw=st.binary(max_size=30))
@settings(max_examples=150, deadline=None)
def test_any_lines_are_sentences_or_faults_or_one_line(lines: list[str], raw: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.conllu"
        path.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass") + raw)
        try:
            sentences, faults = read_conllu(path)
        except InputError as error:
            assert str(error).isprintable()  # noqa: PT017 - either outcome is right
        else:
            assert all(fault.reason and fault.line for fault in faults)
            assert all(len(item.tokens) == len(item.glued) and item.text for item in sentences)
            assert all(-2 <= word.head < len(item.words) for item in sentences for word in item.words)
            clean(sentences)
