"""KDLSQ-BERT as transformers and the probing run want it."""

import json

import pytest
import torch
from transformers import AutoConfig, AutoModel, BertConfig

from probing.encoders import bert, kdlsq_bert
from probing.encoders.blocks import find_blocks
from probing.encoders.checkpoints import find_checkpoint, load_model
from probing.encoders.fused import find_obstacle
from probing.encoders.kdlsq_bert import pack_encoder
from probing.encoders.kdlsq_bert_model import KdlsqBertConfig, KdlsqBertModel
from probing.encoders.tiny_checkpoints import draw_bert, write_bert
from probing.records import InputError

IDS = torch.tensor([[2, 7, 12, 18, 3], [2, 5, 3, 0, 0]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return kdlsq_bert.tiny(tmp_path_factory.mktemp("kdlsq"))


def states(model):
    with torch.no_grad():
        return model(IDS, attention_mask=MASK, output_hidden_states=True).hidden_states


def test_saved_and_loaded_the_states_are_equal_and_bits_and_shapes_kept(folder):
    one, other = AutoModel.from_pretrained(folder).eval(), AutoModel.from_pretrained(folder).eval()
    assert isinstance(one, KdlsqBertModel)
    packed = pack_encoder(draw_bert(one.config.vocab_size), {0: 8, 1: 4, 2: 2, 3: 8}).eval()
    for mine, its, again in zip(states(packed), states(one), states(other), strict=True):
        assert torch.equal(mine, its)
        assert torch.equal(its, again)
    config = AutoConfig.from_pretrained(folder)
    assert set(config.weight_bits.values()) == {8, 4, 2}
    assert config.hidden_size == one.backbone.config.hidden_size


def test_states_are_not_those_of_full_precision_and_come_nearer_with_more_bits():
    plain = states(draw_bert(40))
    distances = []
    for bits in (2, 4, 8):
        packed = states(pack_encoder(draw_bert(40), dict.fromkeys(range(4), bits)).eval())
        distances.append(float((packed[-1] - plain[-1])[MASK.bool()].norm() / plain[-1][MASK.bool()].norm()))
    assert distances[0] > distances[1] > distances[2] > 1e-4


def test_its_layers_can_be_probed_by_its_own_name_and_as_a_bert(folder):
    built = kdlsq_bert.build(folder, device="cpu", dtype="float32")
    assert built.layer_names == ("embeddings", "1", "2")
    assert built.backend == "torch"
    assert "packed in few bits" in find_obstacle(load_model(find_checkpoint(folder)).backbone)
    assert len(find_blocks(load_model(find_checkpoint(folder)))) == 3
    assert bert.build(folder, device="cpu", dtype="float32").digest == built.digest


def test_the_digest_tells_encoders_apart_that_differ_in_bits_alone(tmp_path):
    digests = set()
    for number, bits in enumerate((3, 4)):  # stored alike
        kdlsq_bert.tiny(tmp_path / str(number))
        pack_encoder(draw_bert(57), dict.fromkeys(range(4), bits)).save_pretrained(tmp_path / str(number))
        digests.add(kdlsq_bert.build(str(tmp_path / str(number)), device="cpu", dtype="float32").digest)
    assert len(digests) == 2


def test_another_architecture_is_refused(tmp_path):
    with pytest.raises(InputError, match="a bert, but --model kdlsq_bert; use --model bert"):
        kdlsq_bert.build(write_bert(tmp_path))


@pytest.mark.parametrize("bits", [1, 9, 32])
def test_bits_outside_2_to_8_are_refused(bits):
    with pytest.raises(InputError, match=f"has {bits} bits; expected 2 to 8"):
        KdlsqBertConfig(BertConfig(), {"pooler.dense": bits})
    with pytest.raises(InputError, match=f"activation_bits has {bits} bits; expected 2 to 8"):
        KdlsqBertConfig(BertConfig(), activation_bits=bits)


@pytest.mark.parametrize(("name", "message"), [("encoder.no", "has no module"), ("encoder", "expected a matrix")])
def test_bits_of_what_is_no_matrix_are_refused(name, message):
    small = BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    with pytest.raises(InputError, match=message):
        KdlsqBertModel(KdlsqBertConfig(small, {name: 4}))


def test_a_damaged_configuration_ends_in_one_line(tmp_path):
    folder = kdlsq_bert.tiny(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["weight_bits"]["encoder.layer.0.attention.self.query"] = 12
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="expected 2 to 8") as error:
        kdlsq_bert.build(folder)
    assert "\n" not in str(error.value)
