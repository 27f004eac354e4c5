from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from transformers import AlbertConfig, AutoModel, BertConfig, DistilBertConfig, ElectraConfig, ModernBertConfig

from probing.contracts.pooling import find_shares
from probing.encoders import fused, placement
from probing.encoders.bert import build
from probing.encoders.checkpoints import find_checkpoint, load_model
from probing.encoders.fused import FusedModel, find_obstacle
from probing.encoders.lv_bert_model import LvBertConfig
from probing.encoders.transformer import TransformerEncoder
from probing.kernels import load_kernels
from probing.records import InputError
from probing.registry import ENCODERS, POOLINGS
from probing.representations.pooling import Pooling, pool_mean
from probing.representations.shard_encoding import encode_in_shards
from tests.helpers import WORDS, build_model, save_encoder, save_tokenizer

LONGEST = 80
SIZES = {
    "hidden_size": 64,
    "num_attention_heads": 2,
    "intermediate_size": 96,
    "max_position_embeddings": LONGEST,
}
DISTILLED = {"dim": 64, "n_heads": 2, "hidden_dim": 96, "max_position_embeddings": LONGEST}
MODERN = SIZES | {"num_hidden_layers": 4, "local_attention": 24, "global_attn_every_n_layers": 3}
"""Layers that read all tokens, 12 on either side, 12 on either side, and all: of 80 tokens, some blocks of 32."""
SHAPES = {
    "bert": ("bert", SIZES),
    "bert with heads of 64": ("bert", SIZES | {"hidden_size": 128}),
    "bert with a wide inner layer": ("bert", SIZES | {"intermediate_size": 512}),
    "roberta": ("roberta", SIZES | {"max_position_embeddings": LONGEST + 2}),
    "xlm-roberta": ("xlm_roberta", SIZES | {"max_position_embeddings": LONGEST + 2}),
    "distilbert": ("distilbert", DISTILLED),
    "distilbert with heads of 64": ("distilbert", DISTILLED | {"dim": 128}),
    "electra": ("electra", SIZES | {"embedding_size": 64}),
    "electra with narrow embeddings": ("electra", SIZES | {"embedding_size": 32, "hidden_size": 128}),
    "electra with wide embeddings": ("electra", SIZES | {"embedding_size": 160}),
    "mpnet": ("mpnet", SIZES | {"max_position_embeddings": LONGEST + 2}),
    "lv_bert": ("lv_bert", SIZES | {"embedding_size": 32, "conv_kernel_size": 5}),
    "lv_bert with heads of 64": ("lv_bert", SIZES | {"hidden_size": 128, "embedding_size": 128}),
    "modernbert": ("modernbert", MODERN),
    "modernbert with heads of 64": ("modernbert", MODERN | {"hidden_size": 128, "local_attention": 100}),
    "modernbert with biases": ("modernbert", MODERN | dict.fromkeys(("attention_bias", "mlp_bias", "norm_bias"), True)),
}
RARER = (
    "xlm-roberta",
    "distilbert with heads of 64",
    "lv_bert with heads of 64",
    "electra",
    "electra with wide embeddings",
    "modernbert",
)
LENGTHS = (0, 1, 3, 13, 14, 15, 29, 30, 31, 45, 46, 62, 63, 77, 200)
"""Words: with two special tokens, on both sides of the borders of 16, 32, 48, 64 and 80 tokens; the last one is cut."""
ENGINES = dict(load_kernels().list_engines()) if load_kernels() else {}

YARN = {
    "full_attention": {"rope_type": "yarn", "rope_theta": 1e4, "factor": 2.0, "original_max_position_embeddings": 512}
}
"""Another kind of rotations than the kernels'."""

pytestmark = pytest.mark.skipif(not ENGINES, reason="the kernels are not compiled")


def save(folder, kind):
    architecture, sizes = SHAPES[kind]
    model = build_model(architecture, **sizes)
    with torch.no_grad():
        for parameter in model.parameters():
            # As much attention is drawn to one token in wide states as in narrow ones: it would magnify roundings.
            if parameter.ndim == 2:
                parameter.mul_((64 / model.config.hidden_size) ** 0.5)
    model.save_pretrained(folder)
    save_tokenizer(folder, architecture, limit=LONGEST)
    return str(folder)


@pytest.fixture(
    scope="module",
    params=[pytest.param(kind, marks=[pytest.mark.slow] if kind in RARER else []) for kind in SHAPES],
)
def folder(request, tmp_path_factory):
    return save(tmp_path_factory.mktemp("model"), request.param)


@pytest.fixture(scope="module")
def plain_folder(tmp_path_factory):
    return save(tmp_path_factory.mktemp("plain"), "bert")


@pytest.fixture(params=ENGINES)
def dtype(request, monkeypatch):
    """What every engine that this processor has computes in, while it is the one that is used."""
    monkeypatch.setattr(placement, "find_engine", lambda numbers: request.param)
    monkeypatch.setattr(placement, "why_not", lambda numbers: "")
    return ENGINES[request.param]


def draw_texts(seed=0):
    generator = np.random.default_rng(seed)
    texts = [(" ".join(generator.choice(WORDS, size=length)),) for length in LENGTHS]
    return [*texts, ("ada saw dogs", "ben sees the cat today"), ("", "cleo likes trees")]


def encode(encoder, texts, pooling="mean", special_tokens=True):
    tokens = encoder.tokenize(texts)
    found = np.empty((len(encoder.layer_names), len(texts), encoder.hidden_size), dtype=np.float32)
    for rows, values in encode_in_shards(encoder, tokens, Pooling(pooling, special_tokens), lambda done: None):
        found[:, rows] = values
    return found


@cache
def encode_by_torch(folder, dtype, pooling="mean", special_tokens=True):
    """The vectors of torch's model, once for all engines."""
    return encode(build(folder, device="cpu", dtype=dtype, backend="torch"), draw_texts(), pooling, special_tokens)


@cache
def build_on(engine, folder, dtype):
    """An encoder whose kernels are an engine's; the engine is the one that is used."""
    assert placement.find_engine(dtype) == engine
    return build(folder, device="cpu", dtype=dtype, backend="fused")


@cache
def encode_on(engine, folder, dtype, pooling="mean", special_tokens=True):
    """Its vectors."""
    return encode(build_on(engine, folder, dtype), draw_texts(), pooling, special_tokens)


def find_excess(found, expected, dtype):
    """Errors as a share of what a number format allows: each in float32, in bfloat16 the mean of a layer's.

    There, one text's error depends on how its attention in this random model turns on the last bit of a score.
    """
    errors = measure_errors(found, expected)
    return errors.mean(axis=1).max() / 0.03 if dtype == "bfloat16" else errors.max() / 1e-5


def measure_errors(found, expected):
    """Of each vector, relative to its length."""
    return np.linalg.norm(found - expected, axis=-1) / np.linalg.norm(expected, axis=-1)


def check_pooling(folder, dtype, pooling, special_tokens):
    engine = placement.find_engine(dtype)
    found = encode_on(engine, folder, dtype, pooling, special_tokens)
    expected = encode_by_torch(folder, "float32", pooling, special_tokens)
    assert find_excess(found, expected, dtype) < 1, (pooling, special_tokens)
    rounded = hasattr(build_on(engine, folder, dtype).model, "embeddings_project")
    assert rounded or find_excess(found[:1], expected[:1], "float32") < 1, "embeddings alone are never rounded"


@pytest.mark.parametrize(("pooling", "special_tokens"), [("mean", True), ("max", False)])
def test_gives_the_vectors_of_torch_in_float32_within_the_rounding_of_its_numbers(
    folder, dtype, pooling, special_tokens
):
    check_pooling(folder, dtype, pooling, special_tokens)


@pytest.mark.slow
def test_gives_the_vectors_of_torch_in_every_pooling_that_declares_shares(folder, dtype):
    shared = [name for name in POOLINGS.names() if find_shares(POOLINGS.load(name))]
    assert {"mean", "cls", "max", "last"} <= set(shared), "ours, and one of an installed package"
    for pooling in shared:
        check_pooling(folder, dtype, pooling, special_tokens=True)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mpnet", "modernbert"])
def test_distances_and_windows_hold_in_long_texts(kind, dtype, tmp_path):
    positions = {"mpnet": 322, "modernbert": 320}[kind]
    save_encoder(tmp_path, kind, **SHAPES[kind][1] | {"max_position_embeddings": positions})
    save_tokenizer(tmp_path, kind, limit=320)
    texts = [(" ".join(np.random.default_rng(0).choice(WORDS, size=length)),) for length in (100, 190, 255, 400)]
    exact, kernels = (
        encode(build(str(tmp_path), device="cpu", dtype=way, backend=backend), texts)
        for way, backend in (("float32", "torch"), (dtype, "fused"))
    )
    assert find_excess(kernels, exact, dtype) < 1


def pool_bare(states, positions):
    """Mean pooling that declares no shares."""
    return pool_mean(states, positions)


def test_a_pooling_without_shares_reads_hidden_states(plain_folder, dtype, monkeypatch):
    encoder = build(plain_folder, device="cpu", dtype=dtype, backend="fused")
    expected = encode(encoder, draw_texts())
    monkeypatch.setitem(POOLINGS.rows, "bare", f"{__name__}:pool_bare")
    monkeypatch.setattr(encoder, "pool", None)
    assert find_excess(encode(encoder, draw_texts(), "bare"), expected, dtype) < 2, "both are that near to float32"


def test_is_nearer_to_float32_than_a_model_converted_to_bfloat16(folder, dtype):
    kernels = encode_on(placement.find_engine(dtype), folder, dtype)
    exact, converted = (encode_by_torch(folder, way) for way in ("float32", "bfloat16"))
    assert measure_errors(kernels, exact).mean() < measure_errors(converted, exact).mean()


def test_a_text_has_the_same_bits_alone_as_among_others_in_any_order(plain_folder, dtype):
    encoder, texts = build(plain_folder, device="cpu", dtype=dtype, backend="fused"), draw_texts()
    together = encode(encoder, texts)
    alone = np.concatenate([encode(encoder, [text]) for text in texts], axis=1)
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(together[:, ::-1], encode(encoder, texts[::-1]))


def test_threads_and_the_size_of_blocks_change_no_bit(plain_folder, monkeypatch, dtype):
    texts = draw_texts() * 5
    few = encode(build(plain_folder, device="cpu", dtype=dtype, backend="fused"), texts)
    monkeypatch.setattr(fused, "_CACHE_BYTES", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    np.testing.assert_array_equal(encode(build(plain_folder, device="cpu", dtype=dtype, backend="fused"), texts), few)


def test_a_text_that_is_not_finite_spoils_no_neighbour(tmp_path, dtype):
    folder = save(tmp_path, "bert")
    model, encoder = AutoModel.from_pretrained(folder), build(folder, device="cpu", dtype=dtype, backend="fused")
    spoilt = encoder.tokenize([("ada",)]).ids[0][1]
    with torch.no_grad():
        model.embeddings.word_embeddings.weight[spoilt] = float("nan")
    damaged = TransformerEncoder(model, find_checkpoint(folder), device="cpu", dtype=dtype, backend="fused")
    texts = [("ben saw the dog",), ("ada",), ("cleo",), ("dan knows ada today",), ("eva sees cats",)]
    found = encode(damaged, texts)
    assert np.isfinite(found).all(axis=(0, 2)).tolist() == [True, False, True, False, True]
    np.testing.assert_array_equal(found[:, [0, 2, 4]], encode(encoder, texts)[:, [0, 2, 4]])


def test_refuses_a_token_without_an_embedding(plain_folder, dtype):
    encoder = build(plain_folder, device="cpu", dtype=dtype, backend="fused")
    tokens = encoder.tokenize([("ada",)])
    tokens.ids[0][1] = 10_000
    with pytest.raises(IndexError, match="token 10000 of"):
        encoder.pool(tokens, np.arange(1), np.ones(3, dtype=np.float32), False)


@pytest.mark.parametrize("kind", ["bert", "mpnet", "modernbert"])
def test_refuses_a_text_that_is_longer_than_its_positions(kind, tmp_path):
    encoder = build(save(tmp_path, kind), device="cpu", backend="fused")
    tokens = encoder.tokenize([("ada",)])
    for length in (LONGEST, LONGEST + 1):
        longer = replace(tokens, ids=(np.ones(length, dtype=np.int64),), types=(np.zeros(length, dtype=np.int64),))
        shares = np.full(length, 1 / length, dtype=np.float32)
        if length == LONGEST:
            assert np.isfinite(encoder.pool(longer, np.arange(1), shares, False)).all()
            continue
        with pytest.raises(IndexError, match="a text of 81 tokens, with positions for 80"):
            encoder.pool(longer, np.arange(1), shares, False)


@pytest.mark.parametrize("engine", ENGINES)
def test_weights_stay_when_the_model_is_changed_afterwards(plain_folder, engine):
    model = load_model(find_checkpoint(plain_folder)).eval()
    packed, encoder = FusedModel(model, engine), build(plain_folder, device="cpu")
    tokens, shares = encoder.tokenize([("ada saw dogs",)]), np.full(5, 0.2, dtype=np.float32)
    before = packed.pool(tokens, np.arange(1), shares, False, 1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    np.testing.assert_array_equal(packed.pool(tokens, np.arange(1), shares, False, 1), before)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (AlbertConfig(), "albert is not one of bert, "),
        (DistilBertConfig(activation="relu"), "activation is relu"),
        (ElectraConfig(embedding_size=48), "multiples of 32"),
        (LvBertConfig(supernet=True), "it is a supernet"),
        (LvBertConfig(convolution_sees_padding=True), "its convolutions read padding"),
        (ModernBertConfig(hidden_activation="silu"), "activation is silu"),
        (ModernBertConfig(rope_parameters=YARN), "rotations of the kinds default, yarn"),
        (BertConfig(**SIZES | {"hidden_act": "relu"}), "activation is relu"),
        (BertConfig(**SIZES | {"hidden_size": 48}), "multiples of 32"),
        (BertConfig(**SIZES | {"is_decoder": True}), "attends in another way"),
    ],
)
def test_says_what_it_cannot_do(config, reason):
    with torch.device("meta"):
        assert reason in find_obstacle(AutoModel.from_config(config))


def test_is_taken_where_it_can_be_and_left_where_not_and_says_why(plain_folder, monkeypatch, dtype):
    taken = build(plain_folder, device="cpu", dtype=dtype)
    assert (taken.backend, taken.backend_reason.endswith(f"engine for {dtype} on this processor")) == ("fused", True)
    left = build(plain_folder, device="cpu", dtype=dtype, backend="torch")
    assert (left.backend, left.backend_reason) == ("torch", "torch, as asked for")
    monkeypatch.setattr(placement, "why_not", lambda numbers: f"no {numbers} to be had")
    left = build(plain_folder, device="cpu", dtype=dtype)
    assert (left.backend, left.backend_reason) == ("torch", f"torch: no {dtype} to be had")
    with pytest.raises(InputError, match=f"--backend fused: no {dtype} to be had"):
        build(plain_folder, device="cpu", dtype=dtype, backend="fused")


@pytest.mark.parametrize("name", ["bert", "bermo", "untrained"])
def test_every_encoder_over_a_bert_takes_it(name, plain_folder, dtype):
    encoder = ENCODERS.load(name).build(plain_folder, device="cpu", dtype=dtype)
    assert encoder.backend == "fused"
    exact = ENCODERS.load(name).build(plain_folder, device="cpu", dtype="float32", backend="torch")
    assert find_excess(encode(encoder, draw_texts()), encode(exact, draw_texts()), dtype) < 1
