"""NAS-BERT: its size, its names, its filled-up states, and whatever transformers wants of it."""

import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification

from probing.encoders import nas_bert
from probing.encoders.blocks import find_blocks
from probing.encoders.nas_bert_model import RELEASED, NasBertConfig, NasBertModel
from probing.encoders.operations import KINDS, count_body, read_blocks, write_blocks
from probing.encoders.tiny_checkpoints import disturb, write_bert
from probing.records import InputError

BLOCKS = (("convolution_5-8", "attention-8"), ("feed_forward-4", "identity"), ("attention-4", "identity-4"))
IDS = torch.tensor([[2, 7, 12, 18, 3], [2, 5, 3, 0, 0]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])


def config(**changes):
    sizes = {"vocab_size": 40, "embedding_size": 6, "blocks": BLOCKS, "head_size": 4, "max_position_embeddings": 16}
    return NasBertConfig(**(sizes | changes))


def make(auto=AutoModel, **changes):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return disturb(auto.from_config(config(**changes))).eval()


def run(model, **inputs):
    with torch.no_grad():
        return model(IDS, attention_mask=MASK, **inputs)


def count_by_hand(h, taps):
    """A separable convolution: twice H^2 + k H of products, a bias for each map, scale and shift of a norm."""
    return 2 * (h * h + taps * h) + 2 * (h + h) + 2 * (h + h)


def test_operations_have_the_parameters_of_the_papers_table():
    for h in (128, 192):
        each = {
            "attention": 4 * (h * h + h) + 2 * h,
            "feed_forward": (h * 4 * h + 4 * h) + (4 * h * h + h) + 2 * h,
            **{f"convolution_{taps}": count_by_hand(h, taps) for taps in (3, 5, 7)},
        }
        assert tuple(each) == KINDS
        for kind, expected in each.items():
            with torch.device("meta"):
                model = NasBertModel(NasBertConfig(blocks=[[f"{kind}-{h}"]]))
            found = sum(parameter.numel() for parameter in model.operations.parameters())
            assert found == expected == count_body(read_blocks([[f"{kind}-{h}"]])), kind


def test_the_released_small_model_has_some_five_million():
    """Its twelve places are three convolutions and attentions a block, of width 192, over embeddings of 64."""
    with torch.device("meta"):
        model = NasBertModel(NasBertConfig(vocab_size=50265, blocks=RELEASED))
    body = 4 * (4 * 192**2 + 6 * 192) + sum(count_by_hand(192, taps) for taps in (3, 7, 7, 7, 3, 7, 5, 3))
    assert count_body(model.config.choices) == body
    assert model.num_parameters() == body + (50265 + 512 + 2) * 64 + 2 * 64 + (64 + 1) * 192
    assert 4e6 < model.num_parameters() < 6e6


def test_hand_made_models_are_berts_of_their_size():
    """L layers of attention and feed-forward have 12 H^2 + 13 H each, as BERT's own do."""
    for layers, width in ((6, 128), (6, 256), (10, 512)):
        blocks = [[f"attention-{width}", f"feed_forward-{width}"] * layers]
        assert count_body(read_blocks(blocks)) == layers * (12 * width**2 + 13 * width)


def test_layers_are_named_after_number_kind_and_width_and_identities_have_none():
    names = ("embeddings", "1:convolution_5-8", "2:attention-8", "3:feed_forward-4", "4:attention-4")
    assert config().layer_names == names
    assert config().layer_sizes == (8, 8, 8, 4, 4)
    assert (config().hidden_size, config().output_size, config().num_hidden_layers) == (8, 4, 4)
    assert write_blocks(config().choices) == [["convolution_5-8", "attention-8"], ["feed_forward-4"], ["attention-4"]]


def test_states_of_narrow_blocks_are_filled_up_with_zeros_and_heads_do_not_read_those():
    output = run(make(), output_hidden_states=True)
    assert [layer.shape[-1] for layer in output.hidden_states] == [8] * 5
    assert torch.equal(output.hidden_states[-1], output.last_hidden_state)
    for layer, size in zip(output.hidden_states, config().layer_sizes, strict=True):
        assert not layer[..., size:].any()
        assert layer[..., :size].any(dim=1).all()
    assert make(AutoModelForSequenceClassification, num_labels=3).classifier.in_features == 4
    assert make(AutoModelForMaskedLM).predictions.dense.in_features == 4


def test_maps_stand_where_widths_differ_or_everywhere_if_asked():
    def widths(model):
        return [(name, tuple(part.weight.shape)) for name, part in model.named_modules() if name.endswith(".map")]

    assert widths(make()) == [("operations.2.map", (4, 8))]
    assert widths(make(maps_always=True)) == [("operations.2.map", (4, 8)), ("operations.3.map", (4, 4))]
    assert [type(block).__name__ for block in find_blocks(make())[1:]] == [
        *("SeparableConvolution", "SelfAttention", "MappedOperation", "SelfAttention")
    ]


def test_a_convolution_reads_as_far_as_its_taps_and_no_padding():
    """Two blocks of five taps: four tokens to each side."""
    model = make(blocks=[["convolution_5-8"]])
    ids = torch.arange(5, 17)[None]
    with torch.no_grad():
        base = model(ids).last_hidden_state
        changed = ids.clone()
        changed[0, 0] = 30
        moved = (model(changed).last_hidden_state - base).abs().amax(dim=(0, 2)) > 1e-6
        assert moved.tolist() == [True] * 5 + [False] * 7
        short = model(IDS[1:, :3]).last_hidden_state
    torch.testing.assert_close(run(model).last_hidden_state[1, :3], short[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("auto", [AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification])
def test_a_saved_model_loads_as_any_other(auto, tmp_path):
    model = make(auto)
    model.save_pretrained(tmp_path)
    again = auto.from_pretrained(tmp_path).eval()
    assert type(again) is type(model)
    assert AutoConfig.from_pretrained(tmp_path).to_dict()["blocks"] == [list(block) for block in BLOCKS]
    for one, other in zip(run(model).to_tuple(), run(again).to_tuple(), strict=True):
        assert torch.equal(one, other)


def test_heads_have_losses():
    words, classes = make(AutoModelForMaskedLM), make(AutoModelForSequenceClassification, num_labels=3)
    labels = torch.full_like(IDS, -100)
    labels[0, 1] = 7
    found = run(words, labels=labels)
    assert found.loss.item() == pytest.approx(-found.logits[0, 1].log_softmax(-1)[7].item(), rel=1e-5)
    assert words.predictions.decoder.weight is words.get_input_embeddings().weight
    found = run(classes, labels=torch.tensor([2, 0]))
    by_hand = -(found.logits.log_softmax(-1)[torch.arange(2), [2, 0]]).mean()
    assert found.loss.item() == pytest.approx(by_hand.item(), rel=1e-5)


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([], "blocks: none; expected one or more"),
        ([["identity"]], "block 1 has no operation"),
        ([["attention-8"], []], "block 2 has no operation"),
        ([["attn-8"]], "block 1 has attn-8; expected one of attention"),
        ([["attention"]], "block 1 has attention; expected"),
        ([["attention-0"]], "block 1 has attention-0; expected"),
        ([["identity", "attention-8"]], "block 1 has identity; expected"),
        ([["attention-8", "feed_forward-4"]], r"block 1 has the widths \[4, 8\]; expected one"),
        ([["attention-9"]], "width 9: expected a multiple of head_size, 4"),
    ],
)
def test_blocks_that_are_none_are_refused(blocks, message):
    with pytest.raises(InputError, match=message) as error:
        config(blocks=blocks)
    assert "\n" not in str(error.value)


def test_another_architecture_is_refused(tmp_path):
    with pytest.raises(InputError, match="a bert, but --model nas_bert; use --model bert"):
        nas_bert.build(write_bert(tmp_path))
