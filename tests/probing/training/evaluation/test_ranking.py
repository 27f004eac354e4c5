"""Ranks against brute force and pykeen; thresholds against trying every border."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probing.tasks.graphs.graph import COLUMNS, HEAD, RELATION, SIDES, TAIL
from probing.tasks.graphs.sources import load_graph
from probing.training.evaluation.ranking import (
    count_scored,
    find_ranks,
    list_queries,
    list_sides,
    measure_ranks,
    rank_queries,
)
from probing.training.evaluation.relations import RelationTask, score_all_relations
from probing.training.evaluation.thresholds import find_threshold, find_thresholds
from probing.training.evaluation.triples import LabelledTriples, TripleTask


@pytest.fixture(scope="module")
def graph():
    return load_graph("made").limit(0, 60)


def make_score(graph, n_values=7, seed=0):
    """Scores of all triples, few of them distinct, so that there are ties."""
    shape = (len(graph.entities), len(graph.relations), len(graph.entities))
    table = np.random.default_rng(seed).integers(n_values, size=shape).astype(float)
    return lambda triples: table[triples[:, HEAD], triples[:, RELATION], triples[:, TAIL]]


def rank_by_hand(graph, triple, column, score):
    """One more than those above, and half of the others alike, of all that is not known to be true."""
    known = {tuple(one) for rows in graph.true.values() for one in rows.tolist()}
    known |= {tuple(one) for rows in load_graph("made").true.values() for one in rows.tolist()}
    above = alike = 0
    own = score(np.array([triple]))[0]
    for candidate in range(graph.known.sizes[column]):
        other = list(triple)
        other[column] = candidate
        if tuple(other) in known:
            continue
        value = score(np.array([other]))[0]
        above, alike = above + (value > own), alike + (value == own)
    return 1 + above + alike / 2


@pytest.mark.parametrize("column", COLUMNS)
def test_ranks_are_those_of_brute_force_with_ties(graph, column):
    triples, score = graph.true["test"], make_score(graph)
    ranks = rank_queries(list_queries(graph, triples, column), len(triples), score)
    assert ranks.tolist() == [rank_by_hand(graph, triple, column, score) for triple in triples.tolist()]
    assert (ranks % 1 == 0.5).any()


def test_one_score_for_all_is_in_the_middle_and_not_at_the_top(graph):
    triples = graph.true["test"]
    ranks = rank_queries(list_queries(graph, triples, TAIL), len(triples), lambda rows: np.zeros(len(rows)))
    n = [graph.known.sizes[TAIL] - graph.known.count(triple[None], TAIL)[0] + 1 for triple in triples]
    np.testing.assert_array_equal(ranks, (np.array(n) + 1) / 2)


def test_the_order_of_triples_moves_no_rank(graph):
    triples, score = graph.true["test"], make_score(graph)
    order = np.random.default_rng(0).permutation(len(triples))
    one, two = (rank_queries(list_queries(graph, rows, HEAD), len(rows), score) for rows in (triples, triples[order]))
    np.testing.assert_array_equal(one[order], two)


def test_a_score_that_is_no_number_has_no_rank():
    assert np.isnan(find_ranks(np.array([1.0, np.nan]), np.array([0.0]))).tolist() == [False, True]
    assert np.isnan(find_ranks(np.array([1.0]), np.array([0.0, np.nan]))).all()
    measures = measure_ranks(np.array([[1.0, np.nan]]))
    assert all(np.isnan(values).all() for values in measures.values())


def test_blocks_of_queries_change_no_rank(graph, monkeypatch):
    triples, score = graph.true["test"], make_score(graph)
    queries = list_queries(graph, triples, TAIL)
    whole = rank_queries(queries, len(triples), score)
    monkeypatch.setattr("probing.training.evaluation.ranking._BLOCK", 100)
    sizes = []
    np.testing.assert_array_equal(rank_queries(queries, len(triples), score, sizes.append), whole)
    assert len(sizes) > 1
    assert sum(sizes) == count_scored(queries)


def test_a_sample_of_candidates_is_false_small_and_the_same_for_all(graph):
    triples = graph.true["test"]
    for query in list_queries(graph, triples, HEAD, 5):
        candidates = query.list_candidates()
        assert len(candidates) == len(query) == 5 + len(query.rows)
        assert candidates.tolist() == query.list_candidates().tolist()
        assert not graph.known.contain(query.fill()[:5]).any()


def test_hits_and_means_are_by_hand():
    measures = measure_ranks(np.array([[1.0, 4.0], [2.5, 11.0]]))
    means = {name: values.mean() for name, values in measures.items()}
    assert means == pytest.approx(
        {"mrr": (1 + 1 / 4 + 1 / 2.5 + 1 / 11) / 4, "mean_rank": 18.5 / 4}
        | {"hits_at_1": 1 / 4, "hits_at_3": 2 / 4, "hits_at_10": 3 / 4}
    )


def test_pykeen_gives_the_same_ranks():
    """pykeen 1.11: the scores of all candidates in a row, among them the true one's."""
    pytest.importorskip("pykeen")
    import torch
    from pykeen.evaluation.ranks import Ranks

    generator = np.random.default_rng(0)
    for _ in range(20):
        scores = generator.integers(6, size=30).astype(np.float32)
        theirs = Ranks.from_scores(torch.tensor(scores[:1, None]), torch.tensor(scores[None]))
        assert find_ranks(scores[:1], scores[1:])[0] == float(theirs.realistic[0])


def test_a_sampled_metric_says_so_and_a_full_one_does_not(graph):
    labelled = {split: label(graph, split) for split in ("dev", "test")}
    for n, end in ((0, ""), (5, "_sampled_5")):
        task = TripleTask(graph, labelled, 0, list_sides(graph, graph.true["test"], n), n)
        metrics = [row.metric for row in task.score_triples(make_score(graph))]
        assert {f"mrr{end}", f"hits_at_10{end}", f"mrr{end}_without_reverse", "reverse_in_train"} <= set(metrics)
        assert all(("mrr" not in name and "hits" not in name) or end in name for name in metrics)


def label(graph, split):
    true = graph.true[split]
    false = np.roll(true, 1, axis=0)
    false[:, RELATION] = true[:, RELATION]
    return LabelledTriples(np.concatenate([true, false]), np.repeat([1, 0], [len(true), len(false)]))


def test_who_knows_everything_has_all_right_and_who_knows_nothing_has_half(graph):
    labelled = {split: label(graph, split) for split in ("dev", "test")}
    truth = {tuple(one) for part in labelled.values() for one in part.triples[part.labels == 1].tolist()}
    task = TripleTask(graph, labelled, 0, list_sides(graph, graph.true["test"]))

    def know(triples):
        return np.array([float(tuple(one) in truth) for one in triples.tolist()])

    found = {(row.split, row.metric): row for row in task.score_triples(know)}
    assert found["test", "mrr"].value == found["test", "hits_at_1"].value == 1
    assert found["test", "mean_rank"].value == 1
    nothing = {(row.split, row.metric): row for row in task.score_triples(lambda triples: np.zeros(len(triples)))}
    assert nothing["test", "accuracy"].value == 0.5
    assert nothing["test", "accuracy"].diverged
    assert nothing["test", "hits_at_10"].value < 0.2
    broken = task.score_triples(lambda triples: np.full(len(triples), np.nan))
    assert all(np.isnan(row.value) and row.diverged for row in broken if row.metric != "reverse_in_train")


def test_accuracy_by_relation_adds_up_to_the_whole(graph):
    task = TripleTask(graph, {split: label(graph, split) for split in ("dev", "test")}, 0)
    rows = task.score_triples(make_score(graph))
    whole = next(row for row in rows if (row.split, row.metric) == ("test", "accuracy"))
    parts = [row for row in rows if row.metric.startswith("accuracy[")]
    assert sum(row.n for row in parts) == whole.n
    assert sum(row.value * row.n for row in parts) == pytest.approx(whole.value * whole.n)


def test_relations_are_ranked_without_others_that_are_true(graph):
    score, triples = make_score(graph), graph.true["test"]
    rows = {(row.split, row.metric): row.value for row in RelationTask(graph, 0).score_triples(score)}
    expected = [rank_by_hand(graph, triple, RELATION, score) for triple in triples.tolist()]
    assert rows["test", "mean_rank"] == pytest.approx(np.mean(expected))
    table = score_all_relations(graph, triples, score)
    assert rows["test", "accuracy"] == pytest.approx((table.argmax(axis=1) == triples[:, RELATION]).mean())


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 1)), min_size=1, max_size=30))
def test_no_border_has_fewer_errors(pairs):
    scores, labels = np.array([pair[0] for pair in pairs], float), np.array([pair[1] for pair in pairs])
    errors = [((scores > border) != labels).sum() for border in np.arange(-4, 4.5, 0.5)]
    assert ((scores > find_threshold(scores, labels)) != labels).sum() == min(errors)


def test_a_relation_that_dev_has_not_takes_the_border_of_all():
    scores, labels = np.array([0.0, 1.0, 10.0, 11.0]), np.array([0, 1, 0, 1])
    borders = find_thresholds(scores, labels, np.array([0, 0, 1, 1]), 3)
    assert borders[:2].tolist() == [0.5, 10.5]
    assert borders[2] == find_threshold(scores, labels)


def test_sides_are_head_and_tail(graph):
    assert [side[0].column for side in list_sides(graph, graph.true["test"])] == list(SIDES)
