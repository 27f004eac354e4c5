"""Attention scores by hand, from weights and states; that reading them changes nothing."""

import numpy as np
import pytest
import torch

from probing.encoders.inner_states import check_scores, read_inner
from probing.records import InputError
from tests.helpers import build_model

IDS = torch.arange(5, 19).view(2, 7)
MASK = torch.tensor([[1] * 7, [1] * 4 + [0] * 3])
INPUTS = {"input_ids": IDS, "attention_mask": MASK}


@pytest.fixture
def model():
    return build_model()


def apply(linear, states):
    return states @ linear.weight.detach().double().numpy().T + linear.bias.detach().double().numpy()


@pytest.mark.parametrize("layer", [1, 2])
def test_scores_are_the_products_of_queries_and_keys_over_the_root_of_their_width(model, layer):
    found = read_inner(model, INPUTS, scored=[layer])
    assert list(found.scores) == [layer]
    attention = model.encoder.layer[layer - 1].attention.self
    states = found.hidden[layer - 1].detach().double().numpy()
    parts = [apply(one, states).reshape(2, 7, 2, 4).transpose(0, 2, 1, 3) for one in (attention.query, attention.key)]
    expected = parts[0] @ parts[1].transpose(0, 1, 3, 2) / np.sqrt(4)
    # float32 products of eight numbers of about one
    np.testing.assert_allclose(found.scores[layer].detach().numpy(), expected, atol=2e-6)


def test_states_are_those_of_the_model_which_is_left_as_it_was(model):
    usual = model.config._attn_implementation
    found = read_inner(model, INPUTS, scored=[1, 2])
    expected = model(**INPUTS, output_hidden_states=True).hidden_states
    assert model.config._attn_implementation == usual
    for one, other in zip(found.hidden, expected, strict=True):
        torch.testing.assert_close(one[MASK.bool()], other[MASK.bool()], rtol=1e-5, atol=2e-6)
    assert torch.equal(found.present, MASK.bool())


def test_what_is_not_asked_for_is_not_kept(model):
    found = read_inner(model, {"input_ids": IDS}, hidden=False)
    assert (found.hidden, dict(found.scores), found.logits) == ((), {}, None)
    assert bool(found.present.all())


def test_scores_teach_queries_and_keys(model):
    read_inner(model.requires_grad_(True), INPUTS, scored=[2]).scores[2].sum().backward()
    attention = model.encoder.layer[1].attention.self
    assert attention.query.weight.grad.norm() > 0
    assert attention.value.weight.grad is None


def test_a_model_that_attends_in_a_way_of_its_own_is_refused():
    check_scores(build_model("electra"), "it")
    with pytest.raises(InputError, match="it: the attention scores of deberta-v2 cannot be read") as error:
        check_scores(build_model("deberta_v2"), "it")
    assert "\n" not in str(error.value)
