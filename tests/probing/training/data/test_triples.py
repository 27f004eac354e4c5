"""Triples in batches: false ones are new in every epoch, the same for a seed, and never true."""

import numpy as np
import pytest
from transformers import AutoConfig, AutoTokenizer

from probing.encoders.inputs import ModelInputs
from probing.tasks.graphs.sources import load_graph
from probing.training.data.triples import TripleData, TripleExamples, TripleTokens
from tests.helpers import LIMIT

K, SIZE = 3, 16


@pytest.fixture(scope="module")
def graph():
    return load_graph("made").limit(50, 10)


@pytest.fixture(scope="module")
def tokens(tiny_folder, graph):
    return make_tokens(tiny_folder, graph)


def make_tokens(folder, graph, limit=LIMIT):
    inputs = ModelInputs(AutoTokenizer.from_pretrained(folder), AutoConfig.from_pretrained(folder), limit)
    return TripleTokens(inputs, graph, limit)


def make_data(tokens, graph, seed=0):
    return TripleData(tokens, graph.true["train"], graph.known, K, SIZE, seed)


def read_epoch(data, epoch):
    steps = range(epoch * data.n_steps_per_epoch, (epoch + 1) * data.n_steps_per_epoch)
    batches = [data.batch(step) for step in steps]
    triples = np.concatenate([batch.split.triples[batch.rows] for batch in batches])
    labels = np.concatenate([batch.split.labels[batch.rows] for batch in batches])
    return triples, labels, [len(batch) for batch in batches]


def test_an_epoch_has_each_true_triple_once_and_k_false_ones_beside_it(tokens, graph):
    data = make_data(tokens, graph)
    triples, labels, sizes = read_epoch(data, 0)
    true = graph.true["train"]
    assert sorted(map(tuple, triples[labels == 1].tolist())) == sorted(map(tuple, true.tolist()))
    assert (labels == 0).sum() == K * len(true)
    assert not graph.known.contain(triples[labels == 0]).any()
    assert len(sizes) == -(-(1 + K) * len(true) // SIZE)
    assert sorted(sizes)[1:] == [SIZE] * (len(sizes) - 1)
    assert len(data) == len(true)


def test_false_triples_are_new_in_every_epoch_and_the_same_for_a_seed(tokens, graph):
    data = make_data(tokens, graph)
    first, second = (read_epoch(data, epoch) for epoch in (0, 1))
    false = [{*map(tuple, triples[labels == 0].tolist())} for triples, labels, _ in (first, second)]
    assert len(false[0] & false[1]) < len(false[0]) / 4
    again = read_epoch(make_data(tokens, graph), 1)
    np.testing.assert_array_equal(second[0], again[0])
    other = read_epoch(make_data(tokens, graph, seed=1), 1)
    assert not np.array_equal(second[0], other[0])


def test_any_step_may_be_asked_for_first(tokens, graph):
    whole, fresh = make_data(tokens, graph), make_data(tokens, graph)
    step = whole.n_steps_per_epoch + 3
    read_epoch(whole, 0)
    one, other = whole.batch(step), fresh.batch(step)
    np.testing.assert_array_equal(one.split.triples[one.rows], other.split.triples[other.rows])
    assert one.n_tokens == other.n_tokens


def test_tokens_are_those_of_the_three_texts(tokens, graph, tiny_folder):
    triples = graph.true["train"][:8]
    inputs = ModelInputs(AutoTokenizer.from_pretrained(tiny_folder), AutoConfig.from_pretrained(tiny_folder), LIMIT)
    texts = [(graph.entity_texts[h], graph.relation_texts[r], graph.entity_texts[t]) for h, r, t in triples.tolist()]
    expected, found = inputs.tokenize(texts), tokens.make(triples)
    for name in ("ids", "types", "special"):
        for one, other in zip(getattr(expected, name), getattr(found, name), strict=True):
            np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(tokens.measure(triples), expected.lengths)
    assert tokens.count_cut(triples) == expected.truncated.sum() > 0


def test_rows_keep_their_labels_in_a_batch(tokens, graph):
    triples = graph.true["train"][:6]
    examples = TripleExamples(tokens, triples, np.array([1, 0, 0, 1, 1, 0]))
    rows = np.array([4, 1, 3])
    batch = examples.collate(rows, "cpu")
    assert batch.labels.tolist() == [1, 0, 1]
    alone = examples.collate(rows[:1], "cpu").inputs["input_ids"][0]
    assert batch.inputs["input_ids"][0][: len(alone)].tolist() == alone.tolist()
    assert sorted(np.concatenate(examples.list_batches(40)).tolist()) == list(range(6))
