import numpy as np
import pytest
import torch

from probing.encoders.checkpoints import find_checkpoint
from probing.encoders.classifiers import build_bermo, build_bert
from probing.training.contracts import HasMeasures, HasRates
from probing.training.optimiser import Rates, gradient_norms, make_optimiser, set_rates
from probing.training.transforms.freezing import Freezing
from tests.helpers import N_LAYERS

OWN = {"mix": 1e-2}


@pytest.fixture
def model(tiny_folder):
    return build_bermo(find_checkpoint(str(tiny_folder)), 2, 0.0, torch.Generator().manual_seed(0))


def backward(model):
    model(input_ids=torch.tensor([[2, 7, 8, 3]]), labels=torch.tensor([1])).loss.backward()


def test_rates_rise_to_the_highest_and_fall_to_nothing_in_straight_lines(model):
    optimiser = make_optimiser(model, Rates(1e-3, own=OWN))
    factors = [set_rates(optimiser, step, 100, 0.1) for step in range(100)]
    np.testing.assert_allclose(factors[:10], np.arange(1, 11) / 10)
    np.testing.assert_allclose(factors[10:], np.arange(90, 0, -1) / 90)
    assert optimiser.param_groups[0]["lr"] == pytest.approx(1e-3 / 90)


def test_without_warm_up_the_first_step_has_the_whole_rate(model):
    assert set_rates(make_optimiser(model, Rates(own=OWN)), 0, 50, 0.0) == 1


def test_every_trainable_parameter_is_in_one_group_and_the_mix_has_its_own_rate_and_no_decay(model):
    optimiser = make_optimiser(model, Rates(weight_decay=0.1, own={"mix": 0.5}))
    parameters = [id(one) for group in optimiser.param_groups for one in group["params"]]
    assert sorted(parameters) == sorted(map(id, model.parameters()))
    mix = next(group for group in optimiser.param_groups if group["lr"] == 0.5)
    assert set(map(id, mix["params"])) == set(map(id, model.bermo.mix.parameters()))
    assert mix["weight_decay"] == 0


def test_matrices_decay_and_biases_and_norms_do_not(model):
    optimiser = make_optimiser(model, Rates(weight_decay=0.1, own=OWN))
    for group in optimiser.param_groups:
        assert {one.ndim > 1 for one in group["params"]} <= {group["weight_decay"] > 0}


def test_frozen_layers_are_not_optimised(model):
    Freezing(1).apply(model)
    free = {id(one) for group in make_optimiser(model, Rates(own=OWN)).param_groups for one in group["params"]}
    backbone = model.bermo.backbone
    assert not free & set(map(id, [*backbone.embeddings.parameters(), *backbone.encoder.layer[0].parameters()]))
    assert set(map(id, backbone.encoder.layer[1].parameters())) <= free


def test_gradient_norms_are_those_of_all_gradients_of_a_layer_side_by_side(model):
    backward(model)
    norms = gradient_norms(model)
    assert len(norms) == N_LAYERS + 1
    gradients = [one.grad.numpy().ravel() for one in model.bermo.backbone.encoder.layer[0].parameters()]
    assert norms[1] == pytest.approx(np.linalg.norm(np.concatenate(gradients)), rel=1e-5)


def test_a_frozen_layer_has_no_gradient(model):
    Freezing(0).apply(model)
    backward(model)
    assert gradient_norms(model)[0] == 0
    assert gradient_norms(model)[1] > 0


def test_a_model_without_a_mix_has_neither_rates_nor_measures_of_its_own(model, tiny_folder):
    bert = build_bert(find_checkpoint(str(tiny_folder)), 2, 0.0, torch.Generator().manual_seed(0))
    assert isinstance(model, HasRates)
    assert isinstance(model, HasMeasures)
    assert not isinstance(bert, HasRates)
    assert not isinstance(bert, HasMeasures)


def test_a_model_measures_the_weights_of_its_mix_by_layer_and_gamma(model):
    with torch.no_grad():
        model.bermo.mix.logits.copy_(torch.tensor([0.0, np.log(3.0)]))
        model.bermo.mix.gamma.fill_(2.0)
    measured = model.measure()
    assert [row[:2] for row in measured] == [("weight", 1), ("weight", 2), ("gamma", -1)]
    np.testing.assert_allclose([row[2] for row in measured], [0.25, 0.75, 2.0], rtol=1e-6)  # float32
