import numpy as np
import pytest
import torch

from probing.probes.linear import LinearProbe
from probing.probes.mix_problem import MixProblem
from probing.probes.mix_search import draw_starts
from probing.probes.scalar_mix import ScalarMixProbe, compute_contribution
from probing.probes.stack_blocks import StackBlocks
from tests.helpers import draw_stack

TIGHT = {"tolerance": 1e-6, "max_iterations": 2000}


def fit(stack, labels, dev=None, **options):
    X_dev, y_dev = dev or (stack, labels)
    return ScalarMixProbe(**options).fit(stack, labels, X_dev, y_dev)


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


def test_contribution_is_weight_times_mean_length_about_the_mean_and_sums_to_one():
    stack, _ = draw_stack()
    weights = np.array([0.5, 0.3, 0.2], dtype=np.float32)
    sizes = [
        weight * np.mean([np.linalg.norm(row - layer.mean(axis=0)) for row in layer])
        for weight, layer in zip(weights, stack, strict=True)
    ]
    found = compute_contribution(weights, StackBlocks(stack).lengths)
    np.testing.assert_allclose(found, np.array(sizes) / np.sum(sizes), rtol=1e-5)
    assert float(found.sum()) == pytest.approx(1, abs=1e-6)
    larger = stack * np.array([1, 1, 10], dtype=np.float32)[:, None, None]
    assert compute_contribution(weights, StackBlocks(larger).lengths)[2] > found[2]


@pytest.mark.parametrize("constant", [10, 100])
def test_a_constant_added_to_a_layer_moves_neither_weights_nor_contribution(constant):
    stack, labels = draw_stack()
    moved = stack + np.array([constant, 0, 0], dtype=np.float32)[:, None, None]
    plain, other = fit(stack, labels, **TIGHT), fit(moved, labels, **TIGHT)
    # Of numbers near 100, float32 keeps five digits.
    np.testing.assert_allclose(other.weights_, plain.weights_, atol=3e-3)
    np.testing.assert_allclose(other.contribution_, plain.contribution_, atol=3e-3)


def test_layers_without_any_difference_contribute_as_they_weigh():
    weights = np.array([0.5, 0.3, 0.2], dtype=np.float32)
    assert compute_contribution(weights, np.zeros(3)).tolist() == weights.tolist()


def test_the_seed_draws_starts_and_a_single_minimum_is_found_from_all():
    stack, labels = draw_stack(n=200)
    one, again, other = (fit(stack, labels, seed=seed, strengths=(0.03,), **TIGHT) for seed in (0, 0, 1))
    assert np.array_equal(one.logits_, again.logits_)
    assert not np.array_equal(draw_starts(0, 3), draw_starts(1, 3))
    assert one.n_minima_ == other.n_minima_ == 1
    assert one.loss_spread_ == 0
    np.testing.assert_allclose(other.weights_, one.weights_, atol=1e-3)


@pytest.mark.parametrize("value", [0.0, 0.37, 1000.1])
def test_features_that_never_vary_in_some_layer_change_nothing(value):
    """[CLS] at layer 0 is the same in every sentence."""
    stack, labels = draw_stack(n=200)
    stack[0] = np.float32(value)
    probe = fit(stack, labels, strengths=(0.01,), **TIGHT)
    assert np.isfinite(probe.predict_proba(stack)).all()
    problem = MixProblem(StackBlocks(stack), torch.from_numpy(labels), (0.1, 0.01))
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


def draw_two_kinds_of_layers(n, seed):
    """Layer 0 tells the class plainly, with noise; layer 1 almost without, but only to large weights."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, n)
    stack = generator.normal(size=(2, n, 6)).astype(np.float32)
    stack[0, :, 0] += 1.2 * (2 * labels - 1)
    stack[1, :, 1] = stack[1, :, 0] + 0.1 * (2 * labels - 1) + 0.03 * generator.normal(size=n)
    return stack, labels


def test_each_strength_has_a_mix_of_its_own_before_dev_chooses():
    """With one mix for all, that of the strong penalties, the weak one would be misjudged by eleven points."""
    (stack, labels), dev = draw_two_kinds_of_layers(400, 0), draw_two_kinds_of_layers(1000, 1)
    strong, weak = fit(stack, labels, dev, strengths=(0.1,)), fit(stack, labels, dev, strengths=(1e-4,))
    assert (strong.weights_.argmax(), weak.weights_.argmax()) == (0, 1)
    together = fit(stack, labels, dev, strengths=(1.0, 0.1, 1e-3, 1e-4))
    assert together.strength_ == 1e-4
    assert together.dev_scores_.max() == pytest.approx(weak.dev_scores_[0], abs=0.002) == pytest.approx(1, abs=0.01)


def test_the_strength_that_dev_chooses_has_the_mix_that_it_has_alone():
    stack, labels = draw_stack(n=100)
    dev = draw_stack(n=100, seed=4)
    together = fit(stack, labels, dev, strengths=(0.3, 0.03), **TIGHT)
    apart = [fit(stack, labels, dev, strengths=(strength,), **TIGHT) for strength in (0.3, 0.03)]
    chosen = [0.3, 0.03].index(together.strength_)
    assert together.dev_scores_[chosen] == pytest.approx(apart[chosen].dev_scores_[0], abs=0.011)  # 1 of 100
    assert together.loss_ == pytest.approx(apart[chosen].loss_, rel=1e-4)
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
