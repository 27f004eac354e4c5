"""Sentences in a row have the vectors that they have in padded batches, and what does not do so is not taken."""

import numpy as np
import pytest
import torch

from probing.encoders import unpadded
from probing.encoders.bert import build
from probing.encoders.checkpoint_check import check_encoder
from probing.encoders.unpadded import Row
from probing.records import InputError
from probing.representations.pooling import Pooling
from probing.representations.shard_encoding import encode_in_shards
from tests.helpers import WORDS, save_encoder

LONGEST = 80
CHANGES = {"modernbert": {"max_position_embeddings": LONGEST}}
TAKEN = ("bert", "roberta", "xlm_roberta", "electra", "modernbert", "albert")
LENGTHS = (7, 0, 3, 3, 1, 13, 3, 60, 9, 9)


def draw_texts():
    generator = np.random.default_rng(0)
    texts = [(" ".join(generator.choice(WORDS, size=length)),) for length in LENGTHS]
    return [*texts, ("ada saw dogs", "ben sees the cat")]


def encode(folder, backend, pooling="mean", special_tokens=True, dtype="float32"):
    encoder = build(str(folder), device="cpu", dtype=dtype, backend=backend)
    assert encoder.backend == backend
    tokens = encoder.tokenize(draw_texts())
    found = np.empty((len(encoder.layer_names), len(tokens.ids), encoder.hidden_size), dtype=np.float32)
    for rows, values in encode_in_shards(encoder, tokens, Pooling(pooling, special_tokens), lambda done: None):
        found[:, rows] = values
    return found


@pytest.mark.parametrize("architecture", TAKEN)
def test_vectors_are_those_of_padded_batches(architecture, tmp_path):
    folder = save_encoder(tmp_path, architecture, **CHANGES.get(architecture, {}))
    for pooling, special in (("mean", True), ("mean", False), ("max", True), ("cls", True)):
        one, other = (encode(folder, backend, pooling, special) for backend in ("torch", "unpadded"))
        assert one == pytest.approx(other, abs=2e-5)  # float32 states of some units, and sums in another order


def test_number_formats_of_half_the_size_do_as_well(tmp_path):
    folder = save_encoder(tmp_path)
    one, other = (encode(folder, backend, dtype="bfloat16") for backend in ("torch", "unpadded"))
    assert np.linalg.norm(one - other, axis=2).max() < 0.05 * np.linalg.norm(one, axis=2).mean()


def test_an_encoder_in_a_row_passes_the_check_and_stays_usable_in_padded_batches(tmp_path):
    encoder = build(str(save_encoder(tmp_path)), device="cpu", dtype="float32", backend="unpadded")
    facts = check_encoder(encoder).facts
    assert facts["batching"] == "padded"
    assert 0 < facts["fused_difference"] < 1e-5
    assert encoder.model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("architecture", ["deberta_v2", "mpnet"])
def test_attention_of_another_kind_is_refused_with_the_reason(architecture, tmp_path):
    with pytest.raises(InputError, match=r"--backend unpadded: .*; use --backend auto"):
        build(str(save_encoder(tmp_path, architecture)), device="cpu", dtype="float32", backend="unpadded")


def test_a_row_in_which_sentences_read_one_another_is_found_out(tmp_path, monkeypatch):
    folder = str(save_encoder(tmp_path))
    monkeypatch.setattr(Row, "runs", property(lambda row: [(0, 1, int(row.lengths.sum()))]))
    with pytest.raises(InputError, match="are not those of each alone"):
        build(folder, device="cpu", dtype="float32", backend="unpadded")


def test_positions_that_go_on_from_sentence_to_sentence_are_found_out(tmp_path, monkeypatch):
    folder = str(save_encoder(tmp_path, "roberta"))
    monkeypatch.setattr(unpadded, "find_first_place", lambda model: 0)
    with pytest.raises(InputError, match="are not those of each alone"):
        build(folder, device="cpu", dtype="float32", backend="unpadded")


def test_neighbours_of_one_length_are_attended_together():
    row = Row(np.array([5, 3, 3, 3, 1, 5]), torch.device("cpu"))
    assert row.runs == [(0, 1, 5), (5, 3, 3), (14, 1, 1), (15, 1, 5)]
    assert row.starts.tolist() == [0, 5, 8, 11, 14, 15, 20]


def test_one_batch_is_begun_before_the_one_before_it_is_fetched(tmp_path, monkeypatch):
    encoder = build(str(save_encoder(tmp_path)), device="cpu", dtype="float32", backend="unpadded")
    monkeypatch.setattr("probing.representations.batches._BATCH_TOKENS", {"cpu": 16})
    steps, start = [], encoder.start_pool

    def watched(*arguments):
        wait = start(*arguments)
        steps.append("begin")
        return lambda: steps.append("fetch") or wait()

    monkeypatch.setattr(encoder, "start_pool", watched)
    list(encode_in_shards(encoder, encoder.tokenize(draw_texts()), Pooling(), lambda done: None))
    assert steps[:5] == ["begin", "begin", "fetch", "begin", "fetch"]
    assert steps.count("begin") == steps.count("fetch")
