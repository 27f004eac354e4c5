"""LV-BERT: its size, its names, its paths, and whatever transformers and the probing run want of it."""

import numpy as np
import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForPreTraining,
    AutoModelForSequenceClassification,
    BertConfig,
    BertModel,
)

from probing.encoders import lv_bert
from probing.encoders.blocks import find_blocks
from probing.encoders.layer_patterns import AUTHORS, build_pattern, check_pattern, count_weights
from probing.encoders.lv_bert_heads import LvBertForMaskedLM, LvBertForPreTraining
from probing.encoders.lv_bert_model import SIZES, LvBertConfig, LvBertModel
from probing.encoders.tiny_checkpoints import disturb, write_bert
from probing.records import InputError
from tests.helpers import extract_path

PATTERN = (0, 1, 2, 0)
IDS = torch.tensor([[2, 7, 12, 18, 3], [2, 5, 3, 0, 0]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
LABELS = torch.tensor([[-100, 7, -100, 9, -100], [-100, 5, -100, -100, -100]])


def config(**changes):
    sizes = {"vocab_size": 40, "embedding_size": 4, "hidden_size": 8, "num_attention_heads": 2}
    sizes |= {"intermediate_size": 16, "conv_kernel_size": 3, "layer_pattern": PATTERN, "max_position_embeddings": 16}
    return LvBertConfig(**(sizes | changes))


def make(kind=LvBertModel, seed=1, **changes):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return disturb(kind(config(**changes))).eval()


def run(model, **inputs):
    with torch.no_grad():
        return model(IDS, attention_mask=MASK, **inputs)


def count_body(pattern, sizes):
    """Every parameter of the sub-layers, biases and norms included, from the table of their parts."""
    h, f, heads = sizes["hidden_size"], sizes["intermediate_size"], sizes["num_attention_heads"]
    norm_and_output = 2 * h + h
    each = {
        # values and gates, depthwise and pointwise, the map to the taps, the output
        0: 2 * (h * h + h) + 9 * h + (h * h + h) + (9 * heads * h + 9 * heads) + h * h + norm_and_output,
        1: 3 * (h * h + h) + h * h + norm_and_output,
        2: h * f + f + f * h + norm_and_output,
    }
    return sum(each[code] for code in pattern)


@pytest.mark.parametrize("size", SIZES)
def test_parameters_are_as_many_as_the_parts_have(size):
    sizes = SIZES[size]
    with torch.device("meta"):
        model = LvBertModel(LvBertConfig(**sizes))
    body = sum(parameter.numel() for parameter in model.sublayers.parameters())
    assert body == count_body(AUTHORS, sizes)
    e, h = sizes["embedding_size"], sizes["hidden_size"]
    tables = (30522 + 512 + 2) * e + 2 * e + (0 if e == h else e * h + h)
    assert model.num_parameters() == body + tables


def test_the_small_discriminator_has_thirteen_million():
    """As the authors say of it; generator not counted."""
    with torch.device("meta"):
        model = LvBertForPreTraining(LvBertConfig(**SIZES["small"]))
    assert round(model.num_parameters() / 1e6) == 13


def test_eight_of_each_kind_have_128_squares_and_interleaved_144():
    h, heads = 256, 4
    extra = 8 * (9 * heads * h + 9 * h)
    assert count_weights(AUTHORS, h, heads, 4 * h, 9) == 128 * h * h + extra
    assert count_weights(build_pattern("interleaved", 24), h, heads, 4 * h, 9) == 144 * h * h


@pytest.mark.parametrize("name", ["interleaved", "sandwich", "convolution_first", "varied"])
def test_named_patterns_hold_half_feed_forward_each_so_that_their_weights_are_nearly_equal(name):
    pattern = build_pattern(name, 12)
    assert len(pattern) == 12
    assert pattern.count(2) == 6
    weights = [count_weights(one, 128, 2, 512, 9) for one in (pattern, build_pattern("interleaved", 12))]
    assert weights[0] == pytest.approx(weights[1], rel=0.01)


def test_layers_are_named_after_number_and_kind():
    assert config().layer_names == ("embeddings", "1:conv", "2:att", "3:ffn", "4:conv")
    assert len(LvBertConfig().layer_names) == 25


def test_a_number_of_layers_alone_is_the_interleaved_order():
    assert LvBertConfig(num_hidden_layers=4).layer_pattern == [1, 2, 1, 2]
    assert LvBertConfig(num_hidden_layers=24).layer_pattern == LvBertConfig().layer_pattern == list(AUTHORS)
    changed = LvBertConfig()
    changed.num_hidden_layers = 6
    assert changed.layer_names[-1] == "6:ffn"


def test_states_are_those_of_embeddings_and_of_every_sub_layer():
    output = run(make(), output_hidden_states=True)
    assert len(output.hidden_states) == len(PATTERN) + 1
    assert torch.equal(output.hidden_states[-1], output.last_hidden_state)
    for state in output.hidden_states[1:]:
        assert state.shape == (2, 5, 8)


def test_attention_and_feed_forward_are_berts():
    """With equal weights, the pattern 1 2 is a layer of transformers' BERT."""
    ours = make(layer_pattern=(1, 2), embedding_size=8, layer_norm_eps=1e-12)
    sizes = {"vocab_size": 40, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    other = BertModel(BertConfig(**sizes, intermediate_size=16, max_position_embeddings=16), add_pooling_layer=False)
    pairs = {
        "embeddings.": "embeddings.",
        "sublayers.0.query": "encoder.layer.0.attention.self.query",
        "sublayers.0.key": "encoder.layer.0.attention.self.key",
        "sublayers.0.value": "encoder.layer.0.attention.self.value",
        "sublayers.0.output": "encoder.layer.0.attention.output.dense",
        "sublayers.0.norm": "encoder.layer.0.attention.output.LayerNorm",
        "sublayers.1.inner": "encoder.layer.0.intermediate.dense",
        "sublayers.1.output": "encoder.layer.0.output.dense",
        "sublayers.1.norm": "encoder.layer.0.output.LayerNorm",
    }
    renamed = {}
    for name, tensor in ours.state_dict().items():
        start = next(key for key in pairs if name.startswith(key))
        renamed[name.replace(start, pairs[start], 1)] = tensor
    other.load_state_dict(renamed, strict=True)
    there = MASK.bool()
    expected, found = run(other.eval()).last_hidden_state, run(ours).last_hidden_state
    torch.testing.assert_close(found[there], expected[there], rtol=1e-5, atol=1e-5)


def test_theirs_sees_padding_and_ours_does_not():
    alone = {}
    for sees in (False, True):
        model = make(convolution_sees_padding=sees)
        with torch.no_grad():
            short = model(IDS[1:, :3]).last_hidden_state
        alone[sees] = (run(model).last_hidden_state[1, :3] - short[0]).abs().max().item()
    assert alone[False] < 1e-6
    assert alone[True] > 1e-3


@pytest.mark.parametrize(
    ("auto", "changes"),
    [
        (AutoModel, {}),
        (AutoModelForMaskedLM, {"labels": LABELS}),
        (AutoModelForPreTraining, {"labels": (LABELS > 0).long()}),
        (AutoModelForSequenceClassification, {"labels": torch.tensor([0, 1])}),
    ],
)
@pytest.mark.parametrize("supernet", [False, True])
def test_a_model_survives_a_round_trip_through_its_auto_class(auto, changes, supernet, tmp_path):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = disturb(auto.from_config(config(supernet=supernet))).eval()
    model.save_pretrained(tmp_path)
    again = auto.from_pretrained(tmp_path)
    assert type(again) is type(model)
    before, after = run(model, **changes), run(again, **changes)
    torch.testing.assert_close(before[0], after[0], rtol=1e-5, atol=1e-6)
    assert AutoConfig.from_pretrained(tmp_path).to_dict() == again.config.to_dict()


def test_the_table_of_words_is_one_in_the_masked_model_also_after_loading(tmp_path):
    model = make(LvBertForMaskedLM)
    assert model.predictions.decoder.weight is model.lv_bert.embeddings.word_embeddings.weight
    model.save_pretrained(tmp_path)
    again = AutoModelForMaskedLM.from_pretrained(tmp_path)
    assert again.predictions.decoder.weight is again.lv_bert.embeddings.word_embeddings.weight


def test_losses_are_the_mean_negative_log_probabilities_by_hand():
    output = run(make(LvBertForMaskedLM), labels=LABELS)
    log_probs = output.logits.numpy().astype(float)
    log_probs -= np.log(np.exp(log_probs).sum(-1, keepdims=True))
    chosen = [log_probs[row, token, LABELS[row, token]] for row, token in ((0, 1), (0, 3), (1, 1))]
    assert output.loss.item() == pytest.approx(-np.mean(chosen), rel=1e-5)
    replaced = (LABELS > 0).long()
    output = run(make(LvBertForPreTraining), labels=replaced)
    chance = 1 / (1 + np.exp(-output.logits.numpy().astype(float)))
    losses = -np.where(replaced == 1, np.log(chance), np.log(1 - chance))
    assert output.loss.item() == pytest.approx(losses[MASK.bool().numpy()].mean(), rel=1e-5)


@pytest.mark.parametrize("path", [(2, 2, 0, 1), (1, 2, 1, 2), (0, 0, 0, 0)])
def test_a_path_of_a_supernet_is_the_plain_model_of_its_weights(path):
    supernet = make(LvBertForMaskedLM, supernet=True)
    supernet.lv_bert.take_path(path)
    plain = make(LvBertForMaskedLM, seed=2, layer_pattern=path)
    assert not torch.allclose(run(supernet).logits, run(plain).logits)
    extract_path(supernet, plain)
    torch.testing.assert_close(run(supernet).logits, run(plain).logits, rtol=1e-5, atol=1e-6)


def test_a_supernet_has_every_kind_at_every_place_and_trains_those_on_the_path():
    model = make(LvBertForMaskedLM, supernet=True)
    model.lv_bert.take_path((0, 1, 2, 2))
    model(IDS, attention_mask=MASK, labels=LABELS).loss.backward()
    moved = [
        [all(parameter.grad is not None for parameter in candidate.parameters()) for candidate in place.candidates]
        for place in model.lv_bert.sublayers
    ]
    assert moved == [[True, False, False], [False, True, False], [False, False, True], [False, False, True]]


def test_every_sub_layer_is_a_block_with_parameters_of_its_own():
    model = make(LvBertForMaskedLM)
    blocks = find_blocks(model)
    assert len(blocks) == len(PATTERN) + 1
    owned = [id(parameter) for block in blocks for parameter in block.parameters()]
    assert len(owned) == len(set(owned))
    assert len(owned) == len(list(model.lv_bert.parameters()))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layer_pattern": (0, 3)}, "3 is no code of a sub-layer; expected 0"),
        ({"layer_pattern": (0, True)}, "True is no code"),
        ({"layer_pattern": ()}, r"0 code\(s\); expected one or more"),
        ({"layer_pattern": (0, 1), "num_hidden_layers": 3}, r"2 code\(s\); expected 3"),
        ({"num_attention_heads": 3}, "hidden_size 8: expected a multiple of num_attention_heads, 3"),
        ({"conv_kernel_size": 4}, "conv_kernel_size 4: expected an odd number"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(changes, message):
    with pytest.raises(InputError, match=message) as error:
        config(**changes)
    assert "\n" not in str(error.value)


def test_other_architectures_and_patterns_are_refused(tmp_path):
    with pytest.raises(InputError, match="a bert, but --model lv_bert"):
        lv_bert.build(write_bert(tmp_path), device="cpu")
    with pytest.raises(InputError, match="expected interleaved"):
        build_pattern("interleved", 12)
    with pytest.raises(InputError, match="expected an even number"):
        build_pattern("sandwich", 5)
    with pytest.raises(InputError, match="24 code"):
        check_pattern(AUTHORS, 12)
