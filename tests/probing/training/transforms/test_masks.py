import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from probing.training.transforms.masks import MagnitudeMask, MovementMask, SoftMovementMask, keep_top

WEIGHT = torch.tensor([[0.5, -3.0, 1.0, 0.1], [-0.2, 2.0, -0.7, 0.0]])
SCORES = torch.tensor([[0.3, -2.0, 5.0, 0.1], [0.2, -4.0, -0.1, 1.0]])


def make(mask_class, scores=None, weight=WEIGHT):
    mask = mask_class(weight)
    if scores is not None:
        mask.scores.data.copy_(scores)
    return mask


def test_magnitude_keeps_the_largest_weights_of_either_sign():
    mask = make(MagnitudeMask)
    mask.update(WEIGHT, 0.5)
    assert mask(WEIGHT).tolist() == [[0.0, -3.0, 1.0, 0.0], [0.0, 2.0, pytest.approx(-0.7), 0.0]]


def test_movement_keeps_the_highest_scores_whatever_the_weights_are():
    mask = make(MovementMask, SCORES)
    mask.update(WEIGHT, 0.375)
    assert mask(WEIGHT).tolist() == [[0.5, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]]  # the third, of score 1, is a 0
    assert mask.kept.int().tolist() == [[1, 0, 1, 0], [0, 0, 0, 1]]


def test_soft_movement_keeps_what_is_above_the_threshold():
    mask = make(SoftMovementMask, SCORES)
    mask.update(WEIGHT, 0.45)
    expected = 1 / (1 + np.exp(-SCORES.double().numpy())) > 0.45
    np.testing.assert_array_equal(mask.kept.numpy(), expected)
    assert expected.sum() == 6


def test_soft_movement_keeps_the_best_half_percent_of_a_matrix_that_is_below_the_threshold():
    scores = torch.linspace(-9, -5, 400).view(20, 20)
    mask = make(SoftMovementMask, scores, torch.ones(20, 20))
    mask.update(torch.ones(20, 20), 0.1)
    assert mask.kept.flatten().nonzero().flatten().tolist() == [398, 399]


def test_soft_movement_lets_go_of_all_that_is_below_where_more_than_half_a_percent_is_above():
    scores = torch.linspace(-9, -5, 400).view(20, 20)
    scores[0, :3] = 0.0
    mask = make(SoftMovementMask, scores, torch.ones(20, 20))
    mask.update(torch.ones(20, 20), 0.1)
    assert mask.kept.flatten().nonzero().flatten().tolist() == [0, 1, 2]


def test_penalty_is_the_mean_sigmoid_of_the_scores():
    expected = (1 / (1 + np.exp(-SCORES.double().numpy()))).mean()
    assert make(SoftMovementMask, SCORES).penalty().item() == pytest.approx(expected, rel=1e-6)  # float32


@pytest.mark.parametrize("mask_class", [MovementMask, SoftMovementMask])
def test_scores_start_at_zero_and_everything_is_kept(mask_class):
    mask = make(mask_class)
    assert torch.equal(mask(WEIGHT), WEIGHT)
    assert mask.scores.count_nonzero() == 0


@pytest.mark.parametrize("mask_class", [MagnitudeMask, MovementMask])
def test_a_full_share_keeps_all_and_an_empty_one_nothing(mask_class):
    mask = make(mask_class)
    for share, n_kept in ((1.0, 8), (0.0, 0)):
        mask.update(WEIGHT, share)
        assert int(mask.kept.sum()) == n_kept


@pytest.mark.parametrize("n_kept", [0, 1, 5, 99, 100])
@pytest.mark.parametrize("distinct", [3, 10**6])
def test_exactly_as_many_are_kept_as_asked_for_among_equals_too(n_kept, distinct):
    values = torch.from_numpy(np.random.default_rng(0).integers(0, distinct, (10, 10)).astype(np.float32))
    order = np.argsort(-values.numpy().ravel(), kind="stable")
    expected = np.zeros(100, dtype=bool)
    expected[order[:n_kept]] = True
    np.testing.assert_array_equal(keep_top(values, n_kept).numpy().ravel(), expected)


def differentiate(mask, level, weight=WEIGHT):
    """A masked linear layer with a squared loss: gradients of weight and scores, and dL/dW' by hand."""
    layer = nn.Linear(4, 2, bias=False)
    layer.weight.data.copy_(weight)
    mask.update(weight, level)
    parametrize.register_parametrization(layer, "weight", mask)
    inputs, goal = torch.arange(12.0).view(3, 4) / 5, torch.ones(3, 2)
    (0.5 * (layer(inputs) - goal) ** 2).sum().backward()
    masked = (weight * mask.kept).double().numpy()
    by_hand = (inputs.double().numpy() @ masked.T - 1).T @ inputs.double().numpy()
    return layer.parametrizations.weight.original.grad, getattr(mask, "scores", None), by_hand


@pytest.mark.parametrize(("mask_class", "level"), [(MovementMask, 0.5), (SoftMovementMask, 0.45)])
def test_scores_get_the_gradient_of_the_masked_weight_times_the_weight(mask_class, level):
    mask = make(mask_class, SCORES)
    weight_gradient, scores, by_hand = differentiate(mask, level)
    np.testing.assert_allclose(scores.grad.numpy(), by_hand * WEIGHT.double().numpy(), rtol=1e-5)  # float32
    assert scores.grad[0, 1] != 0  # masked: it can return
    np.testing.assert_allclose(weight_gradient.numpy(), by_hand * mask.kept.numpy(), rtol=1e-5)


def test_with_magnitude_what_is_masked_gets_no_gradient():
    mask = make(MagnitudeMask)
    gradient, scores, by_hand = differentiate(mask, 0.5)
    assert scores is None
    np.testing.assert_allclose(gradient.numpy(), by_hand * mask.kept.numpy(), rtol=1e-5)  # float32


def test_masks_are_no_part_of_the_state_and_scores_are():
    layer = nn.Linear(4, 2)
    parametrize.register_parametrization(layer, "weight", MovementMask(layer.weight))
    assert set(layer.state_dict()) == {"bias", "parametrizations.weight.original", "parametrizations.weight.0.scores"}
