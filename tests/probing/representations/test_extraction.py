from threading import Thread

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from probing.encoders.bert import build
from probing.records import InputError
from probing.representations import shard_encoding
from probing.representations.batches import plan_batches
from probing.representations.extraction import Extractor, extract_stack
from probing.representations.pooling import Pooling
from probing.scalar_mix import mix_layers
from probing.store.cache import StackCache
from tests.helpers import HIDDEN, LIMIT, N_LAYERS, draw_sentences, save_encoder

TEXTS = [(sentence,) for sentence in draw_sentences(40, np.random.default_rng(0))]
MEAN = Pooling("mean")
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
"""float32 sums of at most 16 states of 8 numbers, in another order where batch mates differ."""


class Recorder:
    """An encoder that keeps which texts went through it, batch by batch."""

    def __init__(self, encoder):
        self.encoder = encoder
        self.batches = []
        self.lengths = []

    def __getattr__(self, name):
        return getattr(self.encoder, name)

    def encode(self, tokens, rows):
        self.batches.append([tokens.ids[row].tobytes() for row in rows])
        self.lengths.append(tokens.lengths[rows])
        return self.encoder.encode(tokens, rows)

    @property
    def n_encoded(self):
        return sum(map(len, self.batches))


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return build(str(save_encoder(tmp_path_factory.mktemp("bert"))), device="cpu", dtype="float32")


@pytest.fixture
def encoder(plain):
    return Recorder(plain)


@pytest.fixture
def cache(tmp_path):
    return StackCache(tmp_path)


def pool_by_hand(encoder, text, pooling="mean", special_tokens=True):
    """One sentence alone, in numpy."""
    tokens = encoder.tokenize([text])
    layers = torch.stack(encoder.encode(tokens, np.arange(1)).layers)[:, 0].numpy()
    if pooling == "cls":
        return layers[:, 0]
    read = layers if special_tokens else layers[:, ~tokens.special[0]]
    return read.mean(axis=1) if pooling == "mean" else read.max(axis=1)


@pytest.mark.parametrize("special_tokens", [True, False])
@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_every_row_is_the_pooling_of_its_own_sentence_in_the_order_given(pooling, special_tokens, encoder, cache):
    found = extract_stack(encoder, TEXTS, Pooling(pooling, special_tokens), cache)
    expected = np.stack([pool_by_hand(encoder.encoder, text, pooling, special_tokens) for text in TEXTS], axis=1)
    assert found.stack.values.shape == (N_LAYERS + 1, len(TEXTS), HIDDEN)
    assert found.stack.layer_names == ("embeddings", "1", "2")
    assert found.stack.pooling == pooling
    np.testing.assert_allclose(found.stack.values, expected, **CLOSE)


def test_each_sentence_goes_through_the_encoder_once(encoder, cache):
    found = extract_stack(encoder, TEXTS, MEAN, cache)
    through = [text for batch in encoder.batches for text in batch]
    assert len(through) == len(set(through)) == found.n_encoded == len(TEXTS)
    assert found.n_tokens == sum(encoder.tokenize(TEXTS).lengths)


def test_from_long_to_short(encoder, cache):
    extract_stack(encoder, TEXTS, MEAN, cache)
    lengths = np.concatenate(encoder.lengths)
    assert (np.diff(lengths) <= 0).all()


def test_what_is_cached_is_not_encoded_again_and_is_the_same_to_the_bit(encoder, cache):
    first = extract_stack(encoder, TEXTS, MEAN, cache)
    encoder.batches.clear()
    second = extract_stack(encoder, TEXTS, MEAN, cache)
    assert encoder.n_encoded == second.n_encoded == second.n_tokens == 0
    assert np.array_equal(first.stack.values, second.stack.values)


def test_of_two_runs_that_overlap_the_second_encodes_the_new_sentences_only(encoder, cache):
    whole = extract_stack(encoder, TEXTS[:25], MEAN, cache)
    encoder.batches.clear()
    found = extract_stack(encoder, TEXTS[15:][::-1], MEAN, cache)
    assert encoder.n_encoded == found.n_encoded == 15
    assert np.array_equal(found.stack.values[:, -10:][:, ::-1], whole.stack.values[:, 15:25])


@pytest.mark.parametrize("other", [Pooling("max"), Pooling("cls"), Pooling("mean", special_tokens=False)])
def test_another_pooling_finds_nothing_in_the_cache(other, encoder, cache):
    extract_stack(encoder, TEXTS, MEAN, cache)
    assert extract_stack(encoder, TEXTS, other, cache).n_encoded == len(TEXTS)


def test_another_encoder_finds_nothing_in_the_cache(encoder, cache, tmp_path):
    extract_stack(encoder, TEXTS, MEAN, cache)
    folder = save_encoder(tmp_path / "other", seed=1)
    for options in ({}, {"max_length": 7}, {"dtype": "bfloat16"}):
        other = build(str(folder), **({"device": "cpu", "dtype": "float32"} | options))
        assert extract_stack(other, TEXTS, MEAN, cache).n_encoded == len(TEXTS)


@pytest.mark.parametrize("harm", ["truncate", "flip", "empty"])
def test_a_damaged_file_is_named_and_made_anew(harm, encoder, cache):
    good = extract_stack(encoder, TEXTS, MEAN, cache)
    assert good.damaged == ()
    (path,) = cache.folder.rglob("*.safetensors")
    content = path.read_bytes()
    path.write_bytes({"truncate": content[:-50], "flip": content[:-9] + b"!" + content[-8:], "empty": b""}[harm])
    found = extract_stack(encoder, TEXTS, MEAN, cache)
    assert found.damaged == (path,)
    assert found.n_encoded == len(TEXTS)
    assert np.array_equal(found.stack.values, good.stack.values)
    again = extract_stack(encoder, TEXTS, MEAN, cache)
    assert (again.damaged, again.n_encoded) == ((), 0)


def test_sentences_that_were_cut_are_counted_also_from_the_cache(encoder, cache):
    texts = [*TEXTS[:3], ("ada saw " * LIMIT,), ("ben knew " * LIMIT,)]
    for n_encoded in (5, 0):
        found = extract_stack(encoder, texts, MEAN, cache)
        assert (found.n_truncated, found.n_encoded) == (2, n_encoded)
    assert extract_stack(encoder, TEXTS[:3], MEAN, cache).n_truncated == 0


def test_progress_counts_every_sentence_once_as_it_is_encoded(encoder, cache):
    for n_encoded in (len(TEXTS), 0):
        steps = []
        extract_stack(encoder, TEXTS, MEAN, cache, steps.append)
        assert sum(steps) == n_encoded


def test_texts_encoded_bit_by_bit_have_the_vectors_that_they_have_at_once(encoder, cache, tmp_path):
    whole = extract_stack(encoder, TEXTS, MEAN, StackCache(tmp_path / "whole")).stack.values
    extractor = Extractor(encoder, MEAN, cache)
    parts = [extractor.encode(TEXTS[start : start + 15]) for start in range(0, len(TEXTS), 10)]  # they overlap
    assert [part.n_encoded for part in parts] == [15, 10, 10, 5]
    np.testing.assert_allclose(extractor.stack(TEXTS).values, whole, **CLOSE)


def test_a_damaged_file_is_told_once(encoder, cache):
    extract_stack(encoder, TEXTS, MEAN, cache)
    (path,) = cache.folder.rglob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-1])
    extractor = Extractor(encoder, MEAN, cache)
    assert [extractor.encode(TEXTS).damaged for _ in range(2)] == [(path,), ()]


def test_small_shards_hold_the_same_as_large_ones(encoder, cache, tmp_path, monkeypatch):
    large = extract_stack(encoder, TEXTS, MEAN, cache)
    monkeypatch.setattr(shard_encoding, "_SHARD_BYTES", 7 * 4 * (N_LAYERS + 1) * HIDDEN)
    small_cache = StackCache(tmp_path / "small")
    small = extract_stack(encoder, TEXTS, MEAN, small_cache)
    assert len(list(small_cache.folder.rglob("*.safetensors"))) == -(-len(TEXTS) // 7)
    np.testing.assert_allclose(small.stack.values, large.stack.values, **CLOSE)


def test_texts_tokenised_in_parts_give_the_same_tokens(encoder, monkeypatch):
    whole = shard_encoding.tokenise(encoder, TEXTS)
    monkeypatch.setattr(shard_encoding, "_TOKENISED", 7)
    for texts in (TEXTS, []):
        parts = shard_encoding.tokenise(encoder, texts)
        assert [ids.tolist() for ids in parts.ids] == [ids.tolist() for ids in whole.ids[: len(texts)]]
        assert len(parts.types) == len(parts.special) == len(parts.truncated) == len(texts)


def test_a_cache_that_must_be_larger_than_its_limit_says_by_how_much(encoder, tmp_path):
    found = extract_stack(encoder, TEXTS, MEAN, StackCache(tmp_path, 1))
    (path,) = tmp_path.rglob("*.safetensors")
    assert found.excess_bytes == path.stat().st_size - 1
    assert extract_stack(encoder, TEXTS, MEAN, StackCache(tmp_path, 10**9)).excess_bytes == 0


def test_a_run_that_is_killed_keeps_the_shards_that_were_done(encoder, cache, monkeypatch):
    monkeypatch.setattr(shard_encoding, "_SHARD_BYTES", 10 * 4 * (N_LAYERS + 1) * HIDDEN)
    done = []

    def kill(n):
        done.append(n)
        if sum(done) > 25:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract_stack(encoder, TEXTS, MEAN, cache, kill)
    assert extract_stack(encoder, TEXTS, MEAN, cache).n_encoded == len(TEXTS) - 20


def test_two_runs_at_once_on_one_cache_do_no_harm(plain, cache):
    found = {}

    def run(number):
        found[number] = extract_stack(plain, TEXTS[: 30 + number], MEAN, cache)

    threads = [Thread(target=run, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = extract_stack(plain, TEXTS, MEAN, StackCache(cache.folder / "alone"))
    for number in range(2):
        assert found[number].damaged == ()
        np.testing.assert_allclose(found[number].stack.values, alone.stack.values[:, : 30 + number], **CLOSE)


@pytest.mark.parametrize(("pooling", "commutes"), [("mean", True), ("cls", True), ("max", False)])
def test_which_poolings_commute_with_the_scalar_mix(pooling, commutes, plain, cache):
    stack = extract_stack(plain, TEXTS[:5], Pooling(pooling), cache).stack
    weights = torch.tensor([0.2, 0.5, 0.3])
    mixed = mix_layers(torch.from_numpy(stack.values), weights).numpy()
    for row, text in enumerate(TEXTS[:5]):
        layers = torch.stack(plain.encode(plain.tokenize([text]), np.arange(1)).layers)[:, 0]
        states = mix_layers(layers, weights).numpy()
        expected = {"mean": states.mean(axis=0), "cls": states[0], "max": states.max(axis=0)}[pooling]
        assert np.allclose(mixed[row], expected, **CLOSE) == commutes


lengths = st.lists(st.integers(1, 40), min_size=1, max_size=120).map(
    lambda drawn: np.array(sorted(drawn, reverse=True))
)


@given(lengths=lengths, budget=st.integers(10, 400))
def test_batches_take_every_sentence_once_within_the_budget(lengths, budget):
    batches = plan_batches(lengths, budget)
    assert np.concatenate(batches).tolist() == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) * lengths[batch].max() <= budget or len(batch) == 1


@given(lengths=lengths, budget=st.integers(10, 400))
def test_a_batch_that_is_large_enough_without_padding_has_none(lengths, budget):
    """Large enough: an eighth of the budget is held before the first shorter sentence."""
    for batch in plan_batches(lengths, budget):
        longest = lengths[batch].max()
        if int((lengths[batch] == longest).sum()) * longest * 8 >= budget:
            assert set(lengths[batch]) == {longest}


def test_no_batch_is_closed_early():
    """Ten sentences of one length fit: they are one batch; an eleventh is too much."""
    assert [len(batch) for batch in plan_batches(np.full(10, 5), 50)] == [10]
    assert [len(batch) for batch in plan_batches(np.full(11, 5), 50)] == [10, 1]
    assert [len(batch) for batch in plan_batches(np.array([9, 8, 7]), 10_000)] == [3]


@pytest.mark.parametrize("backend", ["auto", "torch"])
def test_a_text_that_the_tokenizer_makes_nothing_of_is_named(cache, tmp_path, backend):
    folder = save_encoder(tmp_path / "no_marks")
    letters = Tokenizer(models.BPE({letter: number for number, letter in enumerate("abcdefgh")}, []))
    letters.save(str(folder / "tokenizer.json"))
    encoder = build(str(folder), device="cpu", dtype="float32", backend=backend)
    assert extract_stack(encoder, [("bad",), ("dad",)], MEAN, cache).n_encoded == 2
    with pytest.raises(InputError, match=r"makes no token of 1 text\(s\), such as '猫': .*leave them out"):
        extract_stack(encoder, [("bad",), ("猫",), ("gab",)], MEAN, cache)
