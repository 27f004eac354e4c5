"""The mix in forty lines of scipy, in the words of its definition; the fast one has to end where this one does."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from probing.probes.mix_descent import find_waking, go_downhill, guess_evenly
from probing.probes.mix_problem import MixProblem
from probing.probes.mix_search import draw_starts, find_minima
from probing.probes.scalar_mix import ScalarMixProbe
from probing.probes.stack_blocks import StackBlocks
from tests.helpers import draw_stack


def objective(numbers, stack, truth, strength, counts):
    """Loss and gradient by (layer weights before softmax, W, b), everything in float64."""
    n_layers, n, hidden = stack.shape
    raw, W, b = np.split(numbers, [n_layers, n_layers + truth.shape[1] * hidden])
    W = W.reshape(-1, hidden)
    weights = np.exp(raw - raw.max())
    weights /= weights.sum()
    centred = stack - stack.mean(axis=1, keepdims=True)
    mixed = np.tensordot(weights, centred, axes=1)
    deviation = mixed.std(axis=0)
    z = mixed / deviation
    logits = z @ W.T + b
    logits -= logits.max(axis=1, keepdims=True)
    log_shares = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    loss = -(counts[:, None] * truth * log_shares).sum() / n + strength / 2 * (W**2).sum()
    residuals = counts[:, None] * (np.exp(log_shares) - truth) / n
    by_z = residuals @ W
    # z = m / std(m), m of mean 0: dz/dm takes away what only makes m longer.
    by_mixed = (by_z - z * (by_z * z).mean(axis=0)) / deviation
    by_weights = np.tensordot(centred, by_mixed, axes=2)
    by_raw = weights * (by_weights - weights @ by_weights)
    return loss, np.concatenate([by_raw, (residuals.T @ z + strength * W).ravel(), residuals.sum(axis=0)])


def fit_by_scipy(stack, labels, strength, starts=8, counts=None, seed=0):
    """The lowest of some wide starts: loss, layer weights."""
    truth = labels if labels.ndim == 2 else np.eye(labels.max() + 1)[labels]
    rng, found = np.random.default_rng(seed), []
    arguments = (stack.astype(float), truth, strength, np.ones(len(truth)) if counts is None else counts)
    for number in range(starts):
        raw = rng.normal(scale=2.0 if number else 0.0, size=len(stack))
        start = np.concatenate([raw, np.zeros(truth.shape[1] * (stack.shape[2] + 1))])
        options = {"maxiter": 5000, "maxfun": 10_000, "ftol": 1e-14, "gtol": 1e-9}
        end = minimize(objective, start, arguments, jac=True, method="L-BFGS-B", options=options)
        weights = np.exp(end.x[: len(stack)] - end.x[: len(stack)].max())
        found.append((end.fun, weights / weights.sum()))
    return min(found, key=lambda pair: pair[0])


@pytest.mark.parametrize("strength", [0.1, 0.003])
@pytest.mark.parametrize(("n_classes", "n_layers", "graded"), [(2, 4, False), (5, 3, False), (3, 3, True)])
def test_the_mix_ends_where_the_definition_does(n_classes, n_layers, graded, strength):
    stack, labels = draw_stack(n_layers, 300, 6, n_classes, seed=n_classes)
    if graded:
        labels = np.random.default_rng(0).dirichlet(np.ones(n_classes), len(labels)).astype(np.float32)
    loss, weights = fit_by_scipy(stack, labels, strength)
    probe = ScalarMixProbe([strength], tolerance=1e-5).fit(stack, labels, stack, labels)
    assert probe.loss_ == pytest.approx(loss, rel=1e-5)
    np.testing.assert_allclose(probe.weights_, weights, atol=0.01)


def test_a_count_weighs_a_sentence_as_the_definition_has_it():
    stack, labels = draw_stack(3, 200, 5, 3)
    counts = np.random.default_rng(1).multinomial(200, np.full(200, 1 / 200)).astype(float)
    loss, weights = fit_by_scipy(stack, labels, 0.03, counts=counts)
    problem = MixProblem(StackBlocks(stack), torch.from_numpy(labels), [0.03], torch.tensor(counts[None]).float())
    found = problem.solve(1e-5, 500)
    assert float(found.losses[0]) == pytest.approx(loss, rel=1e-5)
    np.testing.assert_allclose(problem.unpack(found.points)[0][0].numpy(), weights, atol=0.01)


def plant_two_minima(n=600, seed=3):
    """Two layers that hold the label in directions at odds: together they are worse than each alone."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    stack = 0.3 * rng.normal(size=(2, n, 4))
    stack[0, :, 0] += 1.0 * (2 * labels - 1) + 0.6 * rng.normal(size=n)
    stack[1, :, 0] -= 1.0 * (2 * labels - 1) + 0.6 * rng.normal(size=n)
    return stack.astype(np.float32), labels


def test_the_lowest_of_two_minima_is_found_from_either_side():
    stack, labels = plant_two_minima()
    loss, weights = fit_by_scipy(stack, labels, 0.01)
    for order in ([0, 1], [1, 0]):
        probe = ScalarMixProbe([0.01]).fit(stack[order], labels, stack[order], labels)
        assert probe.n_minima_ == 2
        assert probe.loss_ == pytest.approx(loss, rel=1e-4)
        assert probe.weights_[order.index(weights.argmax())] > 0.9
        assert probe.loss_spread_ > 0
    # The control: one start alone stays on its side.
    problem = MixProblem(StackBlocks(stack), torch.from_numpy(labels), [0.01])
    ends = [
        int(find_minima(problem, guess_evenly(problem, 0, torch.tensor([side])), 1e-3, 300).mixes[0].argmax())
        for side in ([0.9, 0.1], [0.1, 0.9])
    ]
    assert ends == [0, 1]


def test_a_search_ends_where_no_step_lowers_the_loss_and_says_so():
    stack, labels = draw_stack(3, 60, 5, 3)
    problem = MixProblem(StackBlocks(stack), torch.from_numpy(labels), [0.03])
    # Float32 cannot bring the gradient to a share of 1e-12.
    found = find_minima(problem, guess_evenly(problem, 0, torch.tensor(draw_starts(0, 3))), 1e-12, 10_000)
    assert found.n_iterations < 10_000
    assert float(found.slopes[0]) > 1e-12


def test_a_layer_that_was_left_out_is_woken_where_the_loss_would_fall():
    told, labels = draw_stack(n_layers=1, n=400)
    noise = np.random.default_rng(1).normal(size=(2, *told[0].shape)).astype(np.float32)
    stack = np.stack([noise[0], told[0], noise[1]])
    problem = MixProblem(StackBlocks(stack), torch.from_numpy(labels), [0.01])
    tolerances = torch.tensor([1e-4])
    ends = go_downhill(problem, guess_evenly(problem, 0, torch.eye(3)[:1]), tolerances, 200)
    # Nothing moves a weight of 0 within a descent, be the others ever so bad.
    assert ends.mixes.tolist() == [[1, 0, 0]]
    assert bool(find_waking(problem, ends, tolerances))
    # Its slopes are small all the same: with no step left, it must not pass for a minimum.
    assert float(ends.slopes[0]) <= 1e-4
    assert find_minima(problem, ends, 1e-4, 0).slopes.tolist() == [float("inf")]
    found = find_minima(problem, ends, 1e-4, 300)
    assert not bool(find_waking(problem, found, tolerances))
    loss, weights = fit_by_scipy(stack, labels, 0.01)
    assert float(found.losses[0]) == pytest.approx(loss, rel=1e-4)
    np.testing.assert_allclose(found.mixes[0].numpy(), weights, atol=0.01)
    assert weights.argmax() == 1
