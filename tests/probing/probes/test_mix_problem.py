import numpy as np
import pytest
import torch

from probing.probes import mix_problem
from probing.probes.logistic_problem import LogisticProblem
from probing.probes.mix_problem import MixProblem, sum_products
from probing.probes.stack_blocks import StackBlocks
from tests.helpers import draw_stack


def problem_of(stack, labels, strengths=(0.1, 0.01)):
    return MixProblem(StackBlocks(stack), torch.from_numpy(labels), strengths)


def draw_points(problem, n, scale=1.0, seed=0):
    n_parameters = problem.n_classes * (problem.mean.shape[1] + 1) + problem.n_layers
    return scale * torch.randn(n, n_parameters, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def loss_by_hand(stack, labels, weights, W, b, strength):
    """The objective as the module's docstring has it, in numpy: mix, standardise, softmax, penalty."""
    mixed = np.tensordot(weights, stack, axes=1)
    logits = (mixed - mixed.mean(axis=0)) / mixed.std(axis=0) @ W.T + b
    log_sum = np.log(np.exp(logits).sum(axis=1))
    return (log_sum - logits[np.arange(len(labels)), labels]).mean() + strength / 2 * (W**2).sum()


def test_loss_is_the_objective_in_words():
    stack, labels = draw_stack(dtype=np.float64)
    problem = problem_of(stack, labels)
    points = draw_points(problem, 2)
    losses, _ = problem(points, torch.arange(2))
    mixes, weights, intercepts = problem.unpack(points)
    for number, strength in enumerate((0.1, 0.01)):
        shares = mixes[number].numpy()
        expected = loss_by_hand(stack, labels, shares, weights[number].numpy(), intercepts[number].numpy(), strength)
        assert float(losses[number]) == pytest.approx(expected, rel=1e-10)


def test_gradient_is_that_of_the_loss_by_finite_differences():
    stack, labels = draw_stack(n=30, dtype=np.float64)
    problem = problem_of(stack, labels)
    points, numbers = draw_points(problem, 2), torch.arange(2)
    _, gradients = problem(points, numbers)
    for place in range(points.shape[1]):
        step = torch.zeros_like(points)
        step[:, place] = 1e-6
        slope = (problem(points + step, numbers)[0] - problem(points - step, numbers)[0]) / 2e-6
        # Central differences: 1e-12 of curvature's change, 1e-16 / 1e-6 of rounding.
        torch.testing.assert_close(gradients[:, place], slope, rtol=1e-6, atol=1e-7)


def test_blocks_of_sentences_add_up(monkeypatch):
    stack, labels = draw_stack(dtype=np.float64)
    problem = problem_of(stack, labels)
    points = draw_points(problem, 2)
    whole = problem(points, torch.arange(2))
    monkeypatch.setattr("probing.probes.mix_loss.block_rows", lambda n_logits: 7)
    for one, other in zip(whole, problem(points, torch.arange(2)), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("offset", [0.0, 300.0])
def test_the_mix_is_standardised_by_its_own_mean_and_deviation(offset):
    """Whatever the weights are, and also where features lie far from 0 (float32 has seven digits)."""
    stack, labels = draw_stack()
    stack = stack + np.float32(offset)
    problem = problem_of(stack, labels)
    weights = torch.softmax(torch.randn(4, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    means, deviations = problem.moments(weights)
    mixed = np.tensordot(weights.numpy().astype(float), stack.astype(float), axes=1)
    np.testing.assert_allclose(means.numpy(), mixed.mean(axis=1), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(deviations.numpy(), mixed.std(axis=1), rtol=1e-3)


@pytest.mark.parametrize("rows", [7, 1000])
def test_covariances_between_layers_and_between_units_of_a_mix_against_numpy(rows, monkeypatch):
    monkeypatch.setattr(mix_problem, "SUMMED_ROWS", rows)
    stack, _ = draw_stack(dtype=np.float64)
    weights = np.array([0.5, 0.2, 0.3])
    between_layers, between_units = sum_products(StackBlocks(stack), torch.from_numpy(weights))
    for unit in range(stack.shape[2]):
        np.testing.assert_allclose(between_layers[:, :, unit].numpy(), np.cov(stack[:, :, unit], bias=True), atol=1e-12)
    mixed = np.tensordot(weights, stack, axes=1)
    np.testing.assert_allclose(between_units.numpy(), np.cov(mixed.T, bias=True), atol=1e-12)


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_with_all_weight_on_one_layer_it_is_that_layers_linear_probe(layer):
    """Same loss at the same classifier, so the same optimum: the mix can lose to a layer by optimisation alone."""
    stack, labels = draw_stack(dtype=np.float64)
    linear = LogisticProblem(torch.from_numpy(stack[layer : layer + 1].copy()), torch.from_numpy(labels), [0.1])
    solution = linear.solve(1e-9, 1000)
    weights, intercepts = (part[0, 0] for part in linear.unpack(solution))
    problem = problem_of(stack, labels, (0.1,))
    # The mix's own coordinates of that classifier: directions of the even mix, scaled; roots of 0 beside 1.
    slopes = (weights @ problem.basis) / problem.root[0]
    classifier = torch.cat([slopes, intercepts[:, None] / problem.n_classes**0.5], dim=1).flatten()
    roots = torch.zeros(3, dtype=torch.float64)
    roots[layer] = 1
    losses, gradients = problem(torch.cat([classifier, roots])[None], torch.arange(1))
    assert float(losses[0]) == pytest.approx(float(solution.losses[0]), rel=1e-10)
    assert float(gradients[0].abs().max()) < 1e-6  # the optimum of the classifier; weights of 0 and 1 do not move


def test_the_common_length_and_the_signs_of_roots_change_nothing():
    stack, labels = draw_stack(dtype=np.float64)
    problem = problem_of(stack, labels)
    points = draw_points(problem, 2)
    moved = points.clone()
    moved[:, -3:] *= torch.tensor([5.0, -5.0, 5.0])
    torch.testing.assert_close(problem(moved, torch.arange(2))[0], problem(points, torch.arange(2))[0])


def test_slopes_by_weights_of_layers_are_those_of_the_loss_along_their_sum():
    stack, labels = draw_stack(n_layers=4, n=30, dtype=np.float64)
    problem = problem_of(stack, labels)
    mix, numbers = torch.tensor([[0.5, 0.0, 0.3, 0.2]], dtype=torch.float64), torch.arange(1)
    _, weights, intercepts = problem.unpack(draw_points(problem, 2))
    fit = numbers, mix, weights[:1], intercepts[:1]
    slopes = problem.pull(*fit)[0]
    for layer in range(4):
        # Towards the corner of one layer, all others giving way in proportion: their sum stays 1.
        towards = torch.nn.functional.one_hot(torch.tensor([layer]), 4) - mix
        ahead, behind = (problem.measure(numbers, mix + step * towards, *fit[2:]) for step in (1e-6, -1e-6))
        assert float(slopes[layer]) == pytest.approx(float((ahead - behind) / 2e-6), abs=1e-7)


@pytest.mark.parametrize("n_classes", [2, 7])
@pytest.mark.parametrize("held", [True, False])
def test_a_layer_without_weight_is_not_read_and_changes_no_sum(n_classes, held):
    stack, labels = draw_stack(n_layers=4, n=40, n_classes=n_classes, dtype=np.float64)
    loss = problem_of(stack, labels).loss
    if held:
        loss.vectors.hold()
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(2, n_classes, stack.shape[2], generator=generator, dtype=torch.float64)
    mix = torch.tensor([[0.6, 0.0, 0.4, 0.0], [0.0, 0.0, 0.3, 0.7]], dtype=torch.float64)
    arguments = torch.arange(2), mix, weights, weights[..., 0]
    *some, by_mix = loss(*arguments)
    *everything, by_all = loss(*arguments, everything=True)
    for one, other in zip(some, everything, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(by_mix[:, [0, 2, 3]], by_all[:, [0, 2, 3]], rtol=1e-12, atol=1e-12)
    assert bool((by_all[:, 1] != 0).all())
    assert bool((by_mix[:, 1] == 0).all())
