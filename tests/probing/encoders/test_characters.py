"""CANINE: every layer has a state for each character, and they are those of a buffer that the text does not fill."""

import json

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from probing.cells.gradients import can_measure
from probing.encoders.bert import build
from probing.encoders.checkpoint_check import check_encoder
from probing.progress import Reporter
from tests.probing.encoders.odd_checkpoints import draw

OPTIONS = {"dtype": "float32", "device": "cpu", "backend": "torch"}
RATE, BUFFER = 4, 128
ROOM = 2 * RATE
"""A molecule that is cut off, and one that the last convolution reads."""
TEXTS = [("ada saw a cat .",), ("ben",), ("",), ("ada", "ben saw"), ("abcdefghij" * 9,)]
NAMES = ("embeddings", "characters", "molecules 0", "molecules 1", "molecules 2", "upsampled", "last characters")
ATOL = 2e-5
"""Of float32, through a few layers of width 32."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("canine")
    draw("canine", vocab_size=BUFFER).save_pretrained(folder)
    settings = {"tokenizer_class": "CanineTokenizer", "model_max_length": BUFFER}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


@pytest.fixture(scope="module")
def encoder(folder):
    return build(str(folder), **OPTIONS)


def compute_by_hand(folder, text):
    """States of each layer for a text in a buffer of padding; a character has those of the molecule that it is in."""
    inputs = AutoTokenizer.from_pretrained(folder)(*text, padding="max_length", max_length=BUFFER, return_tensors="pt")
    with torch.inference_mode():
        states = AutoModel.from_pretrained(folder).eval()(**inputs, output_hidden_states=True).hidden_states
    length = int(inputs["attention_mask"].sum())
    molecules = [1 + at // RATE for at in range(length)]  # number 0 is of [CLS] once more
    return [layer[0, :length] if layer.shape[1] == BUFFER else layer[0, molecules] for layer in states]


@pytest.mark.slow
@pytest.mark.parametrize("row", range(len(TEXTS)))
def test_states_are_those_of_the_model_in_its_buffer(row, encoder, folder):
    tokens = encoder.tokenize(TEXTS)
    expected = compute_by_hand(folder, TEXTS[row])
    for rows, place in (([row], 0), ([4, row, 0], 1)):
        found = encoder.encode(tokens, np.array(rows))
        assert len(found.layers) == len(expected) == len(encoder.layer_names)
        for name, layer, wanted in zip(NAMES, found.layers, expected, strict=True):
            np.testing.assert_allclose(layer[place, : len(wanted)], wanted, atol=ATOL, err_msg=name)


def test_layers_are_named_by_what_their_states_are_of(encoder):
    assert encoder.layer_names == NAMES


def test_it_passes_the_check_in_batches_of_any_lengths(encoder):
    found = check_encoder(encoder)
    assert (found.facts["batching"], found.facts["reads"]) == ("padded", "both ways")


def test_texts_that_are_cut_leave_room_for_padding(encoder):
    tokens = encoder.tokenize([("a" * 500,)])
    assert encoder.max_length == BUFFER - ROOM == len(tokens.ids[0])
    assert tokens.truncated.tolist() == [True]
    assert encoder.encode(tokens, np.arange(1)).layers[-1].shape[1] == BUFFER - ROOM


def test_gradients_are_left_out_with_a_warning(encoder):
    reporter = Reporter(quiet=True)
    assert not can_measure(encoder, reporter)
    assert "repeated for each character" in reporter.warnings[0]
