"""Graphs: what is read, what is refused, and false triples that are never known to be true."""

import gzip
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probing.records import SPLITS, InputError
from probing.tasks.graphs.check import check_graph
from probing.tasks.graphs.corruption import corrupt, find_corruptible, list_free
from probing.tasks.graphs.folder import read_graph
from probing.tasks.graphs.graph import COLUMNS, HEAD, RELATION, TAIL, KnownTriples, find_reversed, find_unseen
from probing.tasks.graphs.sources import is_graph, load_graph

FILES = {
    "entities.tsv": "a\tAda\tsees much\nb\tBen\nc\tCleo\nd\tAda\n",
    "relations.tsv": "r\tlikes\ns\tknows\n",
    "train.tsv": "a\tr\tb\nb\ts\tc\na\tr\tb\nc\ts\ta\n",
    "dev.tsv": "a\ts\tc\t1\nb\ts\tc\t-1\n",
    "test.tsv": "b\tr\ta\t1\na\tr\td\t1\na\tr\tc\t-1\n",
}


@pytest.fixture
def folder(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_folder_is_read_gzipped_or_not(folder):
    plain = read_graph(folder)
    for name in ("train.tsv", "entities.tsv"):
        (folder / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes()))
        (folder / name).unlink()
    packed = read_graph(folder)
    assert packed.digest == plain.digest
    assert plain.entity_texts == ("Ada", "Ben", "Cleo", "Ada")
    assert plain.true["train"].tolist() == [[0, 0, 1], [1, 1, 2], [2, 1, 0]]
    assert plain.true["test"].tolist() == [[1, 0, 0], [0, 0, 3]]
    assert plain.false["test"].tolist() == [[0, 0, 2]]
    assert read_graph(folder, "descriptions").entity_texts[:2] == ("Ada, sees much", "Ben")


def test_the_check_counts_what_makes_a_graph_easy_or_wrong(folder):
    found = check_graph(read_graph(folder))
    assert found.n_repeated == 1
    assert found.n_shown == (0, 0)
    assert found.n_not_false == (1, 0)  # b s c is in train
    assert found.n_unseen == (0, 1)  # d
    assert found.n_reversed == (1, 1)  # c s a against a s c, and a r b against b r a
    assert found.n_alike == 2
    assert found.n_alike_relations == 0
    (folder / "relations.tsv").write_text("r\tlikes\ns\tlikes\n")
    found = check_graph(read_graph(folder))
    assert found.n_alike_relations == 2
    lines = "\n".join(found.lines("g"))
    assert "2 relations have a text that another one has too, such as 'likes' (r s)" in lines
    assert "1 (50%) have their reverse in train" in lines
    assert "1 triples that dev calls false are true by another split or by itself, such as b s c" in lines
    assert "1 true triples of test have an entity that train never shows, such as a r d" in lines
    assert "2 entities have a text that another one has too, such as 'Ada' (a d)" in lines
    assert "stand in train too" not in lines


def test_a_triple_of_train_in_test_and_one_that_test_calls_both_are_faults(folder):
    assert len(check_graph(read_graph(folder)).faults) == 1
    (folder / "dev.tsv").write_text("a\ts\tc\t1\nb\tr\tc\t-1\n")
    assert check_graph(read_graph(folder)).faults == []
    (folder / "test.tsv").write_text("b\ts\tc\t1\na\ts\ta\t1\na\ts\ta\t-1\n")
    shown, both = check_graph(read_graph(folder)).faults
    assert shown == "1 true triples of test stand in train too, such as b s c"
    assert both == "1 triples that test calls false are true by another split or by itself, such as a s a"


def test_a_graph_is_told_from_a_folder_of_tasks(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("tasks")
    for name in ("train.tsv", "dev.tsv", "test.tsv"):
        (other / name).write_text("text\tlabel\n")
    assert not is_graph(str(other))
    (folder / "relations.tsv").unlink()
    assert is_graph(str(folder))  # a graph that lacks a file is one whose fault shall be said
    assert is_graph("made")
    for name in ("no/such", "~nouser/x", "x" * 300, "", "a\0b"):
        assert not is_graph(name)
        with pytest.raises(InputError, match=r"--check .*no such folder"):
            load_graph(name, flag="--check")


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("train.tsv", "a\tr\n", r"train.tsv:1: expected head, relation, tail, separated by tabs, got 2 column"),
        ("train.tsv", "a\tr\tb\t1\n", r"train.tsv:1: expected head, relation, tail, separated by tabs, got 4 column"),
        ("dev.tsv", "a\tr\tb\ttrue\n", r"dev.tsv:1: expected 1 or -1 in the fourth column, got 'true'"),
        ("train.tsv", "a\tr\tx\n", r"train.tsv:1: entity 'x' has no text: give it a row in entities.tsv"),
        ("train.tsv", "a\tq\tb\n", r"train.tsv:1: relation 'q' has no text: give it a row in relations.tsv"),
        ("entities.tsv", "a\n", r"entities.tsv:1: 'a' has no text"),
        ("entities.tsv", "a\t \n", r"entities.tsv:1: 'a' has no text"),
        ("entities.tsv", "a\t\u200b\n", r"entities.tsv:1: the text of 'a' holds nothing that can be seen"),
        ("entities.tsv", "a\tA\0\n", r"entities.tsv:1: the text of 'a' has a NUL character"),
        ("relations.tsv", "r\t\u200d\n", r"relations.tsv:1: the text of 'r' holds nothing that can be seen"),
        ("entities.tsv", "a\tA\na\tB\n", r"entities.tsv:2: 'a' stands there twice"),
        ("train.tsv", "a\tr\tb\n", r"dev.tsv: relation 's' is never in train"),
        ("test.tsv", "", r"test.tsv: holds no rows"),
        ("test.tsv", "a\tr\tb\t-1\n", r"test.tsv: holds no true triple"),
        ("test.tsv", None, r"expected test.tsv or test.tsv.gz, got neither"),
        ("train.tsv.gz", "not gzipped", r"expected train.tsv or train.tsv.gz, got both"),
    ],
)
def test_what_is_wrong_with_a_folder_is_told_in_one_line(folder, file, text, message):
    if text is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(text)
    with pytest.raises(InputError, match=message) as error:
        read_graph(folder)
    assert "\n" not in str(error.value)


def test_a_broken_archive_is_named(folder):
    (folder / "train.tsv").unlink()
    (folder / "train.tsv.gz").write_bytes(gzip.compress(b"a\tr\tb\n")[:-6])
    with pytest.raises(InputError, match=r"train.tsv.gz: cannot be read"):
        read_graph(folder)


def test_no_such_graph_names_those_there_are():
    with pytest.raises(InputError, match="no such folder; expected one, made, or kinships, nations, umls"):
        load_graph("no/such/graph")


def test_the_made_graph_is_the_same_every_time_and_sound():
    one, two = load_graph("made"), load_graph("made")
    assert one.digest == two.digest
    found = check_graph(one)
    assert found.n_shown == (0, 0)
    assert found.n_unseen == (0, 0)
    assert found.n_alike == found.n_repeated == 0
    assert 0 < found.n_reversed[1] < found.n_true[1]


def draw_graph(draw, n_entities=4, n_relations=2):
    """Some of all triples over few entities, so that sides are full now and then."""
    every = list(product(range(n_entities), range(n_relations), range(n_entities)))
    chosen = draw(st.lists(st.sampled_from(every), min_size=1, unique=True))
    return np.array(chosen), {tuple(one) for one in chosen}, n_entities, n_relations


@settings(deadline=None)
@given(st.data(), st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_corruption_never_gives_a_known_triple_and_changes_one_side(data, seed, k):
    triples, true, n_entities, n_relations = draw_graph(data.draw)
    known = KnownTriples(triples, n_entities, n_relations)
    able = find_corruptible(known, triples)
    expected = [
        any((e, r, t) not in true or (h, r, e) not in true for e in range(n_entities)) for h, r, t in triples.tolist()
    ]
    assert able.tolist() == expected
    false = corrupt(known, triples, k, np.random.default_rng(seed))
    assert len(false) == k * able.sum()
    for one, origin in zip(false.tolist(), np.repeat(triples[able], k, axis=0).tolist(), strict=True):
        assert tuple(one) not in true
        assert sum(a != b for a, b in zip(one, origin, strict=True)) == 1
        assert one[RELATION] == origin[RELATION]


@settings(deadline=None)
@given(st.data())
def test_known_triples_answer_as_a_set_does(data):
    triples, true, n_entities, n_relations = draw_graph(data.draw)
    known = KnownTriples(triples, n_entities, n_relations)
    every = np.array(list(product(range(n_entities), range(n_relations), range(n_entities))))
    assert known.contain(every).tolist() == [tuple(one) in true for one in every.tolist()]
    for triple, column in product(every[::3], COLUMNS):
        others = [c for c in COLUMNS if c != column]
        fit = sorted(one[column] for one in true if all(one[c] == triple[c] for c in others))
        assert known.find(triple, column).tolist() == fit
        assert known.count(triple[None], column)[0] == len(fit)
        assert sorted([*fit, *list_free(known, triple, column)]) == list(range(known.sizes[column]))


def test_both_sides_and_all_entities_are_drawn():
    graph = load_graph("made")
    train = graph.true["train"]
    false = corrupt(graph.known, train, 5, np.random.default_rng(0))
    changed = (false != np.repeat(train, 5, axis=0)).mean(axis=0)
    assert abs(changed[HEAD] - 0.5) < 0.02  # 7,600 draws: a deviation of .006
    assert changed[HEAD] + changed[TAIL] == 1
    assert len(set(false[:, HEAD].tolist())) == len(graph.entities)


def test_reversed_and_unseen_are_as_a_loop_finds_them():
    graph = load_graph("made").limit(300, 0)
    train = {(h, t) for h, _, t in graph.true["train"].tolist()}
    seen = {entity for pair in train for entity in pair}
    for split in SPLITS:
        rows = graph.true[split].tolist()
        assert find_reversed(graph, split).tolist() == [(t, h) in train for h, _, t in rows]
        assert find_unseen(graph, split).tolist() == [not {h, t} <= seen for h, _, t in rows]


def test_a_limit_takes_the_same_triples_and_forgets_none_that_is_known():
    whole = load_graph("made")
    small, smaller = whole.limit(100, 20), whole.limit(50, 10)
    assert [len(small.true[split]) for split in SPLITS] == [100, 20, 20]
    assert {*map(tuple, smaller.true["train"].tolist())} < {*map(tuple, small.true["train"].tolist())}
    assert small.known.contain(whole.true["test"]).all()
