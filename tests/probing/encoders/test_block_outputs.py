"""The output of one block changed, the blocks above it run on what it became."""

import numpy as np
import pytest
import torch

from probing.contracts.encoder import ChangeableEncoder
from probing.encoders.bert import build
from probing.registry import ENCODERS
from tests.helpers import N_LAYERS

TEXTS = [("ada sees the dog .",), ("ben knew a tree often today .",), ("eva saw cats .",)]
OURS = ("bert", "bermo", "c_bert", "kdlsq_bert", "lv_bert", "nas_bert", "untrained")
ROWS = np.arange(len(TEXTS))


@pytest.fixture(scope="module")
def encoder(tiny_folder):
    return build(str(tiny_folder), dtype="float32", device="cpu")


def shrink(states):
    """Another state for every token, whatever norm stands behind it."""
    return states * torch.linspace(0, 1, states.shape[-1])


def encode_by_hand(encoder, text, layer):
    """BERT's blocks one after the other, by their own modules."""
    model, ids = encoder.model, torch.from_numpy(encoder.tokenize([text]).ids[0])[None]
    states = [model.embeddings(input_ids=ids)]
    for number, block in enumerate([None, *model.encoder.layer]):
        if block is not None:
            states.append(block(states[-1]))
        if number == layer:
            states[-1] = shrink(states[-1])
    return states


@pytest.mark.parametrize("layer", range(N_LAYERS + 1))
def test_blocks_above_a_change_compute_from_it(encoder, layer):
    tokens = encoder.tokenize(TEXTS)
    _, changed = encoder.encode_changed(tokens, ROWS, [(layer, shrink)])
    with torch.inference_mode():
        for row, text in enumerate(TEXTS):
            for found, wanted in zip(changed.layers, encode_by_hand(encoder, text, layer), strict=True):
                torch.testing.assert_close(found[row, : wanted.shape[1]], wanted[0], atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("name", OURS)
def test_what_changes_nothing_gives_the_same_states_to_the_bit(name, tmp_path):
    part = ENCODERS.load(name)
    encoder = part.build(part.tiny(tmp_path), dtype="float32", device="cpu")
    assert isinstance(encoder, ChangeableEncoder)
    assert encoder.find_change_obstacle() == ""
    tokens, layers = encoder.tokenize(TEXTS), range(len(encoder.layer_names))
    changes = [(layer, lambda states: states.clone()) for layer in layers]
    for states in encoder.encode_changed(tokens, ROWS, changes):
        for found, wanted in zip(states.layers, encoder.encode(tokens, ROWS).layers, strict=True):
            assert torch.equal(found, wanted)


@pytest.mark.parametrize("name", OURS)
def test_a_change_moves_all_layers_above_it_and_none_below(name, tmp_path):
    part = ENCODERS.load(name)
    encoder = part.build(part.tiny(tmp_path), dtype="float32", device="cpu")
    layers = range(len(encoder.layer_names))
    plain, *others = encoder.encode_changed(encoder.tokenize(TEXTS), ROWS, [(layer, shrink) for layer in layers])
    for layer, states in zip(layers, others, strict=True):
        same = [torch.equal(found, wanted) for found, wanted in zip(states.layers, plain.layers, strict=True)]
        assert same == [number < layer for number in layers]


@pytest.mark.parametrize("architecture", ["roberta", "distilbert", "electra", "deberta_v2", "modernbert"])
def test_architectures_of_others_can_be_changed(architecture, tiny_folders):
    assert build(str(tiny_folders(architecture)), dtype="float32", device="cpu").find_change_obstacle() == ""


def test_shared_weights_are_an_obstacle_that_has_a_name(tiny_folders):
    albert = build(str(tiny_folders("albert")), dtype="float32", device="cpu")
    assert "share weights" in albert.find_change_obstacle()


def test_a_block_whose_output_is_no_layer_is_an_obstacle(encoder, monkeypatch):
    """As where the model adds something behind the block."""
    usual = encoder.encode
    monkeypatch.setattr(
        encoder, "encode", lambda *given: (found := usual(*given)).__class__(
            tuple(states + 1 for states in found.layers), found.mask, found.special
        )
    )  # fmt: skip
    assert "not what its block gives" in encoder.find_change_obstacle()


def test_nothing_is_left_behind(encoder):
    tokens = encoder.tokenize(TEXTS)
    before = encoder.encode(tokens, ROWS).layers
    list(encoder.encode_changed(tokens, ROWS, [(1, shrink), (0, shrink)]))
    assert all(torch.equal(one, other) for one, other in zip(before, encoder.encode(tokens, ROWS).layers, strict=True))
    assert not any("forward" in vars(module) for module in encoder.model.modules())


def test_a_batch_is_changed_as_its_sentences_alone(encoder):
    tokens = encoder.tokenize(TEXTS)
    _, together = encoder.encode_changed(tokens, ROWS, [(1, shrink)])
    for row in ROWS:
        _, alone = encoder.encode_changed(tokens, ROWS[row : row + 1], [(1, shrink)])
        for one, other in zip(together.layers, alone.layers, strict=True):
            torch.testing.assert_close(one[row, : other.shape[1]], other[0], atol=2e-6, rtol=1e-5)
