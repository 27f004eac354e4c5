"""What the check of an encoder finds, and that an encoder keeps its contract after it."""

import json
import shutil
import warnings

import numpy as np
import pytest
import torch

from probing.contracts.encoder import HiddenStates
from probing.encoders import bermo, untrained
from probing.encoders.bert import build
from probing.encoders.checkpoint_check import check_encoder
from probing.encoders.checkpoints import find_checkpoint, load_model
from probing.encoders.transformer import TransformerEncoder
from probing.kernels import load_kernels
from probing.records import InputError
from probing.representations import batches
from probing.representations.extraction import Extractor
from probing.representations.pooling import Pooling
from probing.representations.shard_encoding import encode_in_shards
from probing.settings.run import EMBEDDED
from probing.store.cache import StackCache
from tests.probing.encoders.odd_checkpoints import draw, write, write_tokenizer

TEXTS = [("ada sees the dog .",), ("ben",), ("ada saw the tree today often here now here .",), ("ben saw a cat .",)]
OPTIONS = {"dtype": "float32", "device": "cpu", "backend": "torch"}
CLOSE = {"rtol": 1e-4, "atol": 1e-4}


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    """Function: the folder of a tiny checkpoint, made once."""
    made = {}

    def make(name):
        if name not in made:
            made[name] = write(tmp_path_factory.mktemp(name), name)
        return str(made[name])

    return make


def measure_padding(encoder):
    """How far states of the texts move when they are encoded together."""
    tokens = encoder.tokenize(TEXTS)
    together = torch.stack(encoder.encode(tokens, np.arange(len(TEXTS))).layers).float()
    distance = 0.0
    for row, length in enumerate(tokens.lengths):
        alone = torch.stack(encoder.encode(tokens, np.array([row])).layers)[:, 0].float()
        distance = max(distance, float((together[:, row, :length] - alone).abs().max()))
    return distance


def refused(encoder, pooling="mean"):
    with pytest.raises(InputError) as caught:
        check_encoder(encoder, pooling)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["bert", "roberta", "squeezebert", "xlnet", "longformer", "gpt2", "t5", "bart"])
def test_what_does_not_depend_on_padding_is_encoded_in_any_batch(name, folder_of):
    encoder = build(folder_of(name), **OPTIONS)
    findings = check_encoder(encoder)
    told = [line for line in findings.warnings if "final norm" not in line]
    assert (findings.facts["batching"], told, encoder.batching) == ("padded", [], "padded")
    assert measure_padding(encoder) < 1e-5


@pytest.mark.parametrize("name", ["convbert", "mobilebert", "fnet", "nystromformer"])
@pytest.mark.parametrize("dtype", ["float32", "auto"])
def test_what_depends_on_padding_is_encoded_without_and_is_right_then(name, dtype, folder_of):
    encoder = build(folder_of(name), **OPTIONS | {"dtype": dtype})
    rounding = 1e-4 if encoder.dtype == "float32" else 0.1
    assert measure_padding(encoder) > 2 * rounding, "else this shows nothing"
    findings = check_encoder(encoder)
    assert findings.facts["batching"] == encoder.batching == "equal lengths"
    assert any("depend on padding" in line for line in findings.warnings)
    assert measure_padding(encoder) < rounding


def test_gradients_flow_through_batches_that_were_taken_apart(folder_of):
    encoder = build(folder_of("convbert"), **OPTIONS)
    check_encoder(encoder)
    name, weight = next(iter(encoder.model.named_parameters()))
    tensors = {name: weight.detach().clone().requires_grad_()}
    tokens = encoder.tokenize(TEXTS)
    together = encoder.compute_states(tokens, np.arange(len(TEXTS)), tensors).layers[-1].sum()
    apart = sum(encoder.compute_states(tokens, np.array([row]), tensors).layers[-1].sum() for row in range(len(TEXTS)))
    found, expected = (torch.autograd.grad(total, tensors[name])[0] for total in (together, apart))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_attention_that_is_zero_is_refused(folder_of):
    assert "depends on any other word" in refused(build(folder_of("mra"), **OPTIONS))


def test_states_of_other_lengths_than_the_tokens_are_refused(folder_of):
    """Where shapes are checked as in these tests, that is what throws first."""
    line = refused(build(folder_of("funnel"), **OPTIONS))
    assert "FunnelModel" in line
    assert "of other lengths" in line or "TypeCheckError" in line


def test_where_bfloat16_cannot_be_computed_float32_is_taken_or_asked_for(folder_of, monkeypatch):
    monkeypatch.setattr("probing.encoders.placement.torch.cpu.get_capabilities", lambda: {"avx512_bf16": True})
    encoder = build(folder_of("fnet"), device="cpu")
    assert encoder.dtype == "float32"
    assert any("in float32" in line for line in check_encoder(encoder).warnings)
    with pytest.raises(InputError, match="use --dtype float32"):
        build(folder_of("fnet"), device="cpu", dtype="bfloat16")
    assert build(folder_of("convbert"), device="cpu").dtype == "bfloat16"


def test_an_embedding_layer_that_reads_its_neighbours_is_told(folder_of):
    lines = {name: check_encoder(build(folder_of(name), **OPTIONS)).warnings for name in ("mobilebert", "convbert")}
    assert any("neighbouring words" in line for line in lines["mobilebert"])
    assert not any("neighbouring words" in line for line in lines["convbert"])


def test_the_first_token_of_what_reads_from_left_to_right_is_no_sentence(folder_of):
    assert "left to right" in refused(build(folder_of("gpt2"), **OPTIONS), "cls")
    assert check_encoder(build(folder_of("gpt2"), **OPTIONS)).facts["reads"] == "left to right"
    found = check_encoder(build(folder_of("bert"), **OPTIONS), "cls")
    assert (found.facts["reads"], found.warnings) == ("both ways", [])


def test_a_first_token_that_is_a_word_is_told(folder_of):
    encoder = build(folder_of("xlnet"), **OPTIONS)
    plain = encoder._inputs._tokenizer
    plain.post_processor = None
    assert any("first word" in line for line in check_encoder(encoder, "cls").warnings)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_longformer_is_batched_by_what_it_pads_to(dtype, folder_of, monkeypatch):
    monkeypatch.setattr(batches, "_BATCH_TOKENS", {"cpu": 64})
    sizes = {}
    for name in ("longformer", "bert"):
        encoder = build(folder_of(name), **OPTIONS | {"dtype": dtype})
        check_encoder(encoder)
        tokens, seen = encoder.tokenize([("ben saw a cat",)] * 12), []
        pooling = Pooling()
        for _ in encode_in_shards(encoder, tokens, pooling, seen.append):
            sizes[name] = max(seen)
    assert sizes == {"longformer": 4, "bert": 10}, "64 tokens: four times a window of 16, or ten texts of 6"


class Peeking(TransformerEncoder):
    """An encoder whose states move with the mean of its batch, as where numbers are scaled over a batch."""

    def _compute_group(self, tokens, rows, tensors):
        states = super()._compute_group(tokens, rows, tensors)
        return tuple(layer + layer.mean(dim=(0, 1), keepdim=True) for layer in states)


class Forgetful(TransformerEncoder):
    """An encoder that gives other states each time."""

    calls = 0

    def _compute_group(self, tokens, rows, tensors):
        self.calls += 1
        return tuple(layer + 0.01 * self.calls for layer in super()._compute_group(tokens, rows, tensors))


class Short(TransformerEncoder):
    """An encoder that gives one state where it names three."""

    def _compute_group(self, tokens, rows, tensors):
        return super()._compute_group(tokens, rows, tensors)[:1]


class Infinite(TransformerEncoder):
    """An encoder whose last layer overflows."""

    def _compute_group(self, tokens, rows, tensors):
        *others, last = super()._compute_group(tokens, rows, tensors)
        return (*others, last * float("inf"))


def build_as(kind, folder, **options):
    found = find_checkpoint(folder)
    return kind(load_model(found), found, **OPTIONS | options)


def test_what_depends_on_its_batch_mates_is_encoded_by_itself(folder_of):
    encoder = build_as(Peeking, folder_of("bert"))
    assert measure_padding(encoder) > 1e-2
    findings = check_encoder(encoder)
    assert findings.facts["batching"] == "single"
    assert any("each is encoded by itself" in line for line in findings.warnings)
    assert measure_padding(encoder) == 0


@pytest.mark.parametrize(
    ("kind", "reason"),
    [(Forgetful, "other states each time"), (Short, "1 layers of"), (Infinite, "layer 2 gives NaN or infinity")],
)
def test_what_cannot_be_believed_is_refused(kind, reason, folder_of):
    assert reason in refused(build_as(kind, folder_of("bert")))


class Overflowing(TransformerEncoder):
    """An encoder whose last layer overflows at one token."""

    def _compute_group(self, tokens, rows, tensors):
        *others, last = super()._compute_group(tokens, rows, tensors)
        spoilt = [self.tokenize([("eva",)]).ids[0][1] in tokens.ids[row] for row in rows]
        last[spoilt] = float("inf")
        return (*others, last)


def test_a_sentence_that_overflows_is_named_and_not_kept(folder_of, tmp_path):
    encoder, cache = build_as(Overflowing, folder_of("bert")), StackCache(tmp_path)
    check_encoder(encoder)
    extractor = Extractor(encoder, Pooling(), cache)
    assert extractor.encode(TEXTS).n_encoded == len(TEXTS)
    with pytest.raises(InputError, match=r"layer 2 gives NaN or infinity .* 1 sentence.*'eva sees the dog'"):
        extractor.encode([("ada knows a tree",), ("eva sees the dog",)])
    with pytest.raises(KeyError):
        extractor.stack([("eva sees the dog",)])


class Outside:
    """The encoder of someone else, whose batches cannot be set."""

    def __init__(self, inner):
        for name in ("checkpoint", "revision", "digest", "layer_names", "hidden_sizes", "hidden_size", "max_length",
                     "dtype", "device", "backend", "mixes_layers", "tokenize"):  # fmt: skip
            setattr(self, name, getattr(inner, name))
        self.inner = inner

    def encode(self, tokens, rows) -> HiddenStates:
        return self.inner.encode(tokens, rows)


def test_an_encoder_from_outside_is_held_to_the_contract_too(folder_of):
    assert check_encoder(Outside(build(folder_of("bert"), **OPTIONS))).facts["batching"] == "padded"
    assert "other texts of a batch" in refused(Outside(build(folder_of("convbert"), **OPTIONS)))


@pytest.mark.skipif(load_kernels() is None, reason="the kernels are not compiled")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_kernels_that_disagree_with_torch_are_refused(dtype, tmp_path, monkeypatch):
    monkeypatch.setattr("probing.encoders.placement.why_not", lambda numbers: "")
    engines = {numbers: engine for engine, numbers in load_kernels().list_engines()}
    if dtype not in engines:
        pytest.skip("this processor has no engine for it")
    monkeypatch.setattr("probing.encoders.placement.find_engine", engines.get)
    sizes = {"hidden_size": 64, "intermediate_size": 64}
    encoder = build(str(write(tmp_path, "bert", **sizes)), dtype=dtype, device="cpu", backend="fused")
    assert 0 < check_encoder(encoder).facts["fused_difference"] < (1e-5 if dtype == "float32" else 0.03)
    pool = encoder.pool
    monkeypatch.setattr(encoder, "pool", lambda *arguments: 1.2 * pool(*arguments))
    assert "use --backend torch" in refused(encoder)


@pytest.mark.skipif(load_kernels() is None, reason="the kernels are not compiled")
@pytest.mark.parametrize(("name", "inputs"), [("bert", ("input_ids", "attention_mask")), ("roberta", None)])
def test_both_backends_give_a_model_the_same_segments(name, inputs, tmp_path):
    """A BERT whose tokenizer names no segments, and a RoBERTa with one segment and BERT's tokenizer."""
    folder = write(tmp_path, name, hidden_size=64, intermediate_size=64)
    if inputs:
        write_tokenizer(folder, inputs)
    kernels, exact = (build(str(folder), dtype="float32", device="cpu", backend=way) for way in ("auto", "torch"))
    if kernels.backend != "fused":
        pytest.skip(kernels.backend_reason)
    tokens = kernels.tokenize([("ada sees dogs", "ben sees the cat")])
    assert tokens.types[0].any(), "else this shows nothing"
    length = len(tokens.ids[0])
    found = kernels.pool(tokens, np.arange(1), np.full(length, 1 / length, dtype=np.float32), False)
    expected = torch.stack([layer[0].mean(dim=0) for layer in exact.encode(tokens, np.arange(1)).layers])
    torch.testing.assert_close(torch.from_numpy(found[:, 0]), expected, **CLOSE)


@pytest.mark.parametrize("module", [bermo, untrained])
def test_every_encoder_of_ours_can_be_told_how_to_make_its_batches(module, folder_of):
    encoder = module.build(folder_of("convbert"), **OPTIONS)
    check_encoder(encoder)
    assert encoder.batching == "equal lengths"


@pytest.mark.parametrize("limit", [4, 5, 6])
def test_a_short_limit_leaves_something_to_check(limit, folder_of):
    check_encoder(build(folder_of("bert"), max_length=limit, **OPTIONS))
    check_encoder(build(folder_of("mobilebert"), max_length=limit, **OPTIONS))


@pytest.mark.slow
def test_the_embedded_encoder_passes_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = check_encoder(build(EMBEDDED, device="cpu"), "cls")
    assert (found.facts["batching"], found.facts["reads"], found.warnings) == ("padded", "both ways", [])


def test_a_tokenizer_that_has_marks_and_adds_none_is_told(folder_of, tmp_path):
    folder = shutil.copytree(folder_of("bert"), tmp_path / "bare")
    assert check_encoder(build(str(folder), **OPTIONS)).warnings == []
    stored = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps(stored | {"post_processor": None}))
    [line] = check_encoder(build(str(folder), **OPTIONS)).warnings
    assert line.startswith(f"checkpoint {folder}: its tokenizer has [CLS] and adds no mark to a text")


def test_the_check_leaves_the_random_generator_alone(folder_of):
    encoder, before = build(folder_of("bert"), **OPTIONS), torch.get_rng_state()
    check_encoder(encoder)
    assert torch.equal(torch.get_rng_state(), before)
    assert draw("bert").config.model_type == "bert"
