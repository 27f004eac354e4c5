"""Classifiers on word vectors, against numpy and against a text by itself."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

import probing.encoders.architectures  # noqa: F401 - so that transformers knows ours
from probing.encoders.checkpoints import find_checkpoint, load_model
from probing.encoders.word_networks import build_word_network
from probing.records import InputError

TEXTS = ([5, 3, 4, 9, 2, 7, 1], [6, 2], [8, 8, 1, 4])


def build(network):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_word_network(network, torch.randn(10, 6), 3, 0).eval()


@pytest.fixture(params=["cnn", "lstm"])
def model(request):
    return build(request.param)


def pad(texts):
    width = max(map(len, texts))
    ids = torch.tensor([[*text, *[0] * (width - len(text))] for text in texts])
    return {"input_ids": ids, "attention_mask": (ids != 0).long()}


@torch.no_grad()
def test_a_text_does_not_depend_on_its_batch_mates_or_on_padding(model):
    together = model(**pad(TEXTS)).logits
    alone = torch.cat([model(torch.tensor([text])).logits for text in TEXTS])
    torch.testing.assert_close(together, alone)
    assert len(torch.unique(together, dim=0)) == len(TEXTS)


@torch.no_grad()
def test_a_convolution_takes_the_largest_of_all_windows():
    model = build("cnn")
    vectors = model.embeddings.weight.double().numpy()[TEXTS[0]]
    expected = []
    for width, window in zip((3, 4, 5), model.blocks[0].windows, strict=True):
        weights, bias = window.weight.double().numpy(), window.bias.double().numpy()
        behind = np.vstack([vectors, np.zeros((width - 1, 6))])
        windows = [np.einsum("ohw,wh->o", weights, behind[at : at + width]) + bias for at in range(len(vectors))]
        expected.append(np.maximum(windows, 0).max(axis=0))
    found = model.blocks[0](model.embeddings(torch.tensor([TEXTS[0]])), torch.tensor([7]))
    np.testing.assert_allclose(found[0].numpy(), np.concatenate(expected), atol=1e-5)  # float32, sums of 30 products


def test_it_has_the_papers_300_units_and_starts_from_the_vectors(model):
    assert model.blocks[0].size == 300
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vectors = torch.randn(10, 6)
    assert torch.equal(model.embeddings.weight[1:], vectors[1:])
    assert not model.embeddings.weight[0].any()


@torch.no_grad()
def test_it_loads_by_transformers_own_class(model, tmp_path):
    model.save_pretrained(tmp_path)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(again(**pad(TEXTS)).logits, model(**pad(TEXTS)).logits)  # an LSTM moves its weights


def test_it_is_no_encoder_and_that_is_said(model, tmp_path):
    model.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="a word_network, which has no bare encoder whose layers could be read"):
        load_model(find_checkpoint(str(tmp_path)))
