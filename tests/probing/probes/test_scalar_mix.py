import numpy as np
import pytest
import torch

from probing.probes import scalar_mix
from probing.probes.linear import LinearProbe, LogisticProblem
from probing.probes.scalar_mix import (
    MixProblem,
    ScalarMixProbe,
    compute_contribution,
    compute_covariance,
    measure_lengths,
)
from tests.helpers import draw_stack

TIGHT = {"tolerance": 1e-6, "max_iterations": 2000}


def fit(stack, labels, dev=None, **options):
    X_dev, y_dev = dev or (stack, labels)
    return ScalarMixProbe(**options).fit(stack, labels, X_dev, y_dev)


def problem_of(stack, labels, strengths=(0.1, 0.01)):
    return MixProblem(torch.tensor(stack), torch.from_numpy(labels), strengths)


def draw_points(problem, n, scale=1.0, seed=0):
    n_parameters = problem.n_classes * (problem.vectors.shape[2] + 1) + len(problem.vectors)
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
    logits, weights, intercepts = problem.unpack(points)
    for number, strength in enumerate((0.1, 0.01)):
        shares = logits[number].softmax(dim=0).numpy()
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
    monkeypatch.setattr("probing.probes.scalar_mix.block_rows", lambda n_logits: 7)
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


def test_covariance_between_layers_against_numpy():
    stack, _ = draw_stack(dtype=np.float64)
    found = compute_covariance(torch.from_numpy(stack - stack.mean(axis=1, keepdims=True)))
    for unit in range(stack.shape[2]):
        np.testing.assert_allclose(found[:, :, unit].numpy(), np.cov(stack[:, :, unit], bias=True), atol=1e-12)


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_with_all_weight_on_one_layer_it_is_that_layers_linear_probe(layer):
    """Same loss at the same classifier, so the same optimum: the mix can lose to a layer by optimisation alone."""
    stack, labels = draw_stack(dtype=np.float64)
    linear = LogisticProblem(torch.from_numpy(stack[layer : layer + 1].copy()), torch.from_numpy(labels), [0.1])
    solution = linear.solve(1e-9, 1000)
    weights, intercepts = (part[0, 0] for part in linear.unpack(solution))
    problem = problem_of(stack, labels, (0.1,))
    # The mix's own coordinates of that classifier: directions of the even mix, scaled; logits -1e3 beside 0.
    slopes = (weights @ problem.basis) / problem.root[0]
    classifier = torch.cat([slopes, intercepts[:, None] / problem.n_classes**0.5], dim=1).flatten()
    logits = torch.full((3,), -1000.0, dtype=torch.float64)
    logits[layer] = 0
    losses, gradients = problem(torch.cat([classifier, logits])[None], torch.arange(1))
    assert float(losses[0]) == pytest.approx(float(solution.losses[0]), rel=1e-10)
    assert float(gradients[0].abs().max()) < 1e-6  # the optimum of the classifier; saturated weights do not move


def test_finds_the_layer_that_has_the_label():
    stack, labels = draw_stack(n=300, signal=0)
    stack[2, :, 0] += 6 * labels
    probe = fit(stack, labels)
    assert probe.weights_.argmax() == 2
    assert probe.weights_[2] > 0.6
    moved = stack[[2, 1, 0]]
    assert fit(moved, labels).weights_.argmax() == 0


def test_is_at_least_as_good_on_train_as_the_best_single_layer():
    stack, labels = draw_stack(n=200)
    mixed = fit(stack, labels, strengths=(0.01,), **TIGHT)
    single = LinearProbe(strengths=(0.01,), **TIGHT).fit(stack, labels, stack, labels)
    assert mixed.converged_
    # Not convex in the weights: a guarantee it is not, but here one basin holds the start and the best layer.
    assert mixed.loss_ <= single.loss_.min() + 1e-4


def test_weights_sum_to_one_and_are_the_softmax_of_the_logits():
    probe = fit(*draw_stack())
    assert float(probe.weights_.sum()) == pytest.approx(1, abs=1e-6)
    raised = np.exp(probe.logits_ - probe.logits_.max())
    np.testing.assert_allclose(probe.weights_, raised / raised.sum(), rtol=1e-5)


def test_a_constant_on_all_logits_changes_nothing():
    stack, labels = draw_stack(dtype=np.float64)
    problem = problem_of(stack, labels)
    points = draw_points(problem, 2)
    moved = points.clone()
    moved[:, -3:] += 5
    torch.testing.assert_close(problem(moved, torch.arange(2)), problem(points, torch.arange(2)))


def test_logits_are_gamma_times_a_classifier_of_unit_length_on_the_raw_mix():
    """logits = gamma * V . (sum_l s_l h_l) + b' with mean_c ||V_c||^2 = 1."""
    stack, labels = draw_stack()
    probe = fit(stack, labels)
    raw = probe.coef_ / probe.scale_
    V = raw / probe.gamma_
    assert (V**2).sum(axis=1).mean() == pytest.approx(1, rel=1e-5)
    shift = probe.intercept_ - raw @ probe.mean_
    logits = probe.gamma_ * np.tensordot(probe.weights_, stack, axes=1) @ V.T + shift
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    expected = raised / raised.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probe.predict_proba(stack)[0], expected, rtol=1e-3, atol=1e-5)  # float32
    assert np.array_equal(probe.predict(stack)[0], expected.argmax(axis=1))


def test_gamma_undoes_a_common_scale_of_all_layers():
    stack, labels = draw_stack()
    plain, large = fit(stack, labels, **TIGHT), fit(8 * stack, labels, **TIGHT)
    np.testing.assert_allclose(large.weights_, plain.weights_, atol=1e-3)  # float32 minima
    assert large.gamma_ == pytest.approx(plain.gamma_ / 8, rel=1e-3)
    np.testing.assert_allclose(large.predict_proba(8 * stack), plain.predict_proba(stack), atol=1e-3)


def test_contribution_is_weight_times_mean_length_and_sums_to_one():
    stack, _ = draw_stack()
    weights = np.array([0.5, 0.3, 0.2], dtype=np.float32)
    sizes = [
        weight * np.mean([np.linalg.norm(row) for row in layer]) for weight, layer in zip(weights, stack, strict=True)
    ]
    found = compute_contribution(weights, measure_lengths(stack))
    np.testing.assert_allclose(found, np.array(sizes) / np.sum(sizes), rtol=1e-5)
    assert float(found.sum()) == pytest.approx(1, abs=1e-6)
    larger = stack * np.array([1, 1, 10], dtype=np.float32)[:, None, None]
    assert compute_contribution(weights, measure_lengths(larger))[2] > found[2]


def test_the_seed_moves_the_start_and_only_the_start():
    stack, labels = draw_stack(n=200)
    one, again, other = (fit(stack, labels, seed=seed, strengths=(0.03,), **TIGHT) for seed in (0, 0, 1))
    assert np.array_equal(one.logits_, again.logits_)
    assert not np.array_equal(one.logits_, other.logits_)
    assert other.loss_ == pytest.approx(one.loss_, rel=1e-3)  # one basin: both end there


@pytest.mark.parametrize("value", [0.0, 0.37, 1000.1])
def test_features_that_never_vary_in_some_layer_change_nothing(value):
    """[CLS] at layer 0 is the same in every sentence."""
    stack, labels = draw_stack(n=200)
    stack[0] = np.float32(value)
    probe = fit(stack, labels, strengths=(0.01,), **TIGHT)
    assert np.isfinite(probe.predict_proba(stack)).all()
    problem = problem_of(stack, labels)
    _, deviations = problem.moments(torch.tensor([[1.0, 0.0, 0.0]]))
    assert deviations[0].tolist() == [1] * stack.shape[2]
    without = fit(stack[1:], labels, strengths=(0.01,), **TIGHT)
    # The constant layer only shrinks the mix, and standardising undoes that.
    assert probe.loss_ == pytest.approx(without.loss_, rel=1e-3)


def test_one_layer_alone_is_a_mix_too():
    stack, labels = draw_stack(n_layers=1)
    probe = fit(stack, labels, strengths=(0.01,), **TIGHT)
    single = LinearProbe(strengths=(0.01,), **TIGHT).fit(stack, labels, stack, labels)
    assert probe.weights_.tolist() == [1]
    np.testing.assert_allclose(probe.predict_proba(stack), single.predict_proba(stack), atol=1e-3)  # float32 minima


def test_strengths_do_not_see_one_another_and_dev_chooses():
    stack, labels = draw_stack(n=100)
    dev = draw_stack(n=100, seed=4)
    together = fit(stack, labels, dev, strengths=(0.3, 0.03), **TIGHT)
    apart = [fit(stack, labels, dev, strengths=(strength,), **TIGHT) for strength in (0.3, 0.03)]
    np.testing.assert_allclose(together.dev_scores_, [probe.dev_scores_[0] for probe in apart], atol=0.011)  # 1 of 100
    assert together.strength_ == (0.3, 0.03)[together.dev_scores_.argmax()]
    accuracy = (together.predict(dev[0])[0] == dev[1]).mean()
    assert accuracy == pytest.approx(together.dev_scores_.max(), abs=0.011)


def test_too_few_iterations_are_said():
    stack, labels = draw_stack()
    assert not fit(stack, labels, max_iterations=1, tolerance=1e-6).converged_
    assert fit(stack, labels).converged_


def test_input_is_not_changed_and_refitting_gives_the_same_to_the_bit():
    stack, labels = draw_stack()
    before = stack.copy()
    one, other = fit(stack, labels), fit(stack, labels)
    assert np.array_equal(stack, before)
    assert np.array_equal(one.coef_, other.coef_)
    assert np.array_equal(one.weights_, other.weights_)


@pytest.mark.parametrize("norm", [False, True])
def test_vectors_that_may_be_overwritten_give_the_same_mix(norm):
    stack, labels = draw_stack()
    kept = stack.copy()
    options = {"strengths": (0.03, 0.01), "norm": norm}
    copied = ScalarMixProbe(**options).fit(stack, labels, kept, labels)
    assert np.array_equal(stack, kept)
    in_place = ScalarMixProbe(copy_X=False, **options).fit(stack, labels, kept, labels)
    assert not np.array_equal(stack, kept)
    for fact in ("weights_", "coef_", "intercept_", "contribution_", "dev_scores_"):
        assert np.array_equal(getattr(in_place, fact), getattr(copied, fact))


def test_sums_over_many_blocks_of_sentences_are_those_of_numpy(monkeypatch):
    stack, _ = draw_stack(n=50)
    centred = stack - stack.mean(axis=1, keepdims=True)
    monkeypatch.setattr(scalar_mix, "_SUMMED_ROWS", 7)
    found = compute_covariance(torch.from_numpy(centred))
    expected = np.einsum("lnh,knh->lkh", centred.astype(float), centred.astype(float)) / 50
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)  # float32 sums of 50 products near 1
