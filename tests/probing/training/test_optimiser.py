import numpy as np
import pytest
import torch

from probing.encoders.checkpoints import find_checkpoint
from probing.encoders.classifiers import build_bermo, build_bert
from probing.settings.training import TrainSettings
from probing.training.optimiser import freeze_layers, gradient_norms, make_optimiser, mix_of, set_rates
from tests.helpers import N_LAYERS


@pytest.fixture
def model(tiny_folder):
    return build_bermo(find_checkpoint(str(tiny_folder)), 2, 0.0, torch.Generator().manual_seed(0))


def backward(model):
    model(input_ids=torch.tensor([[2, 7, 8, 3]]), labels=torch.tensor([1])).loss.backward()


def test_rates_rise_to_the_highest_and_fall_to_nothing_in_straight_lines(model):
    optimiser = make_optimiser(model, TrainSettings(learning_rate=1e-3))
    factors = [set_rates(optimiser, step, 100, 0.1) for step in range(100)]
    np.testing.assert_allclose(factors[:10], np.arange(1, 11) / 10)
    np.testing.assert_allclose(factors[10:], np.arange(90, 0, -1) / 90)
    assert optimiser.param_groups[0]["lr"] == pytest.approx(1e-3 / 90)


def test_without_warm_up_the_first_step_has_the_whole_rate(model):
    assert set_rates(make_optimiser(model, TrainSettings()), 0, 50, 0.0) == 1


def test_every_trainable_parameter_is_in_one_group_and_the_mix_has_its_own_rate_and_no_decay(model):
    optimiser = make_optimiser(model, TrainSettings(mix_learning_rate=0.5, weight_decay=0.1))
    parameters = [id(one) for group in optimiser.param_groups for one in group["params"]]
    assert sorted(parameters) == sorted(map(id, model.parameters()))
    mix = next(group for group in optimiser.param_groups if group["lr"] == 0.5)
    assert set(map(id, mix["params"])) == set(map(id, mix_of(model).parameters()))
    assert mix["weight_decay"] == 0


def test_matrices_decay_and_biases_and_norms_do_not(model):
    optimiser = make_optimiser(model, TrainSettings(weight_decay=0.1))
    for group in optimiser.param_groups:
        assert {one.ndim > 1 for one in group["params"]} <= {group["weight_decay"] > 0}


def test_frozen_layers_are_not_optimised(model):
    freeze_layers(model, 1)
    free = {id(one) for group in make_optimiser(model, TrainSettings()).param_groups for one in group["params"]}
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
    freeze_layers(model, 0)
    backward(model)
    assert gradient_norms(model)[0] == 0
    assert gradient_norms(model)[1] > 0


def test_bert_has_no_mix(tiny_folder):
    bert = build_bert(find_checkpoint(str(tiny_folder)), 2, 0.0, torch.Generator().manual_seed(0))
    assert mix_of(bert) is None
