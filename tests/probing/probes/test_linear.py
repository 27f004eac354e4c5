import gc
import os
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from probing.probes.linear import LinearProbe
from probing.probes.logistic import multiply_by_itself, standardise
from probing.probes.logistic_problem import LogisticProblem
from probing.probes.selection import STRENGTHS, choose_strength, score_strengths
from tests.helpers import draw_stack

TIGHT = {"tolerance": 1e-7, "max_iterations": 2000}


def fit(stack, labels, dev=None, **options):
    X_dev, y_dev = dev or (stack, labels)
    return LinearProbe(**options).fit(stack, labels, X_dev, y_dev)


def standardised(X):
    deviation = X.std(axis=0)
    return (X - X.mean(axis=0)) / np.where(deviation > 0, deviation, 1)


def loss_by_hand(X, y, W, b, strength):
    logits = X @ W.T + b
    log_sum = np.log(np.exp(logits).sum(axis=1))
    return (log_sum - logits[np.arange(len(y)), y]).mean() + strength / 2 * (W**2).sum()


def reference(X, y, strength):
    """scikit-learn's optimum of the same loss in float64, on its own: weights, intercepts and loss.

    With two classes it fits one weight vector w for the pair (-w/2, w/2), whose penalty under the softmax is half of
    its own: lambda / 2 * 2 * ||w/2||^2 = lambda / 4 ||w||^2. So its C is twice as large.
    """
    n_classes = y.max() + 1
    C = (2 if n_classes == 2 else 1) / (strength * len(y))
    model = LogisticRegression(C=C, tol=1e-10, max_iter=100_000).fit(X, y)
    W, b = model.coef_, model.intercept_
    if n_classes == 2:
        W, b = np.concatenate([-W / 2, W / 2]), np.concatenate([-b / 2, b / 2])
    return W, b, loss_by_hand(X, y, W, b, strength)


@pytest.mark.parametrize("n_classes", [2, 3, 6])
@pytest.mark.parametrize("strength", [1.0, 0.01, 0.0003])
def test_reaches_the_optimum_of_scikit_learn_in_float64(n_classes, strength):
    stack, labels = draw_stack(n_layers=2, n=90, n_classes=n_classes, dtype=np.float64)
    problem = LogisticProblem(torch.from_numpy(stack.copy()), torch.from_numpy(labels), [strength])
    solution = problem.solve(1e-9, 5000)
    weights, intercepts = problem.unpack(solution)
    assert bool(solution.converged.all())
    for layer, X in enumerate(stack):
        W, b, loss = reference(standardised(X), labels, strength)
        found_W, found_b = weights[layer, 0].numpy(), intercepts[layer, 0].numpy()
        found = loss_by_hand(standardised(X), labels, found_W, found_b, strength)
        assert found == pytest.approx(loss, rel=1e-8)
        assert float(solution.losses[layer]) == pytest.approx(found, rel=1e-9)
        # Strong convexity by the penalty: ||dW|| <= sqrt(2 dLoss / lambda), some 1e-4 at the weakest.
        np.testing.assert_allclose(found_W, W, atol=2e-4)
        np.testing.assert_allclose(found_b - found_b.mean(), b - b.mean(), atol=2e-4)


def test_strengths_in_turn_as_with_many_classes_end_in_scikit_learns_optimum_too(monkeypatch):
    monkeypatch.setattr("probing.probes.logistic_problem.MANY_CLASSES", 6)
    stack, labels = draw_stack(n_layers=2, n=200, n_classes=6)
    strengths = [0.1, 0.003]
    problem = LogisticProblem(torch.from_numpy(stack.copy()), torch.from_numpy(labels), strengths)
    solution = problem.solve(1e-5, 3000)
    weights, intercepts = problem.unpack(solution)
    assert bool(solution.converged.all())
    for layer, X in enumerate(standardised(X.astype(float)) for X in stack):
        for number, strength in enumerate(strengths):
            W, _, loss = reference(X, labels, strength)
            found_W, found_b = (part[layer, number].double().numpy() for part in (weights, intercepts))
            # float32: a mean of losses with 6e-8 each.
            assert loss_by_hand(X, labels, found_W, found_b, strength) == pytest.approx(loss, rel=1e-6)
            assert float(solution.losses.view(2, 2)[layer, number]) == pytest.approx(loss, rel=1e-6)
            # Strong convexity by the penalty: ||dW|| <= sqrt(2 dLoss / lambda), some 0.02 at the weaker.
            np.testing.assert_allclose(found_W, W, atol=5e-3)


def test_half_of_a_gram_matrix_is_mirrored_into_the_other():
    vectors = torch.randn(50, 250, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(multiply_by_itself(vectors), vectors.T @ vectors)


def test_gradient_is_that_of_the_loss_by_finite_differences():
    stack, labels = draw_stack(n_layers=2, n=30, dtype=np.float64)
    problem = LogisticProblem(torch.from_numpy(stack), torch.from_numpy(labels), [0.1, 0.01])
    numbers = torch.tensor([0, 3])
    points = torch.randn(2, 3 * 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    _, gradients = problem(points, numbers)
    for place in range(points.shape[1]):
        step = torch.zeros_like(points)
        step[:, place] = 1e-6
        slope = (problem(points + step, numbers)[0] - problem(points - step, numbers)[0]) / 2e-6
        # Central differences: 1e-12 of curvature's change, 1e-16 / 1e-6 of rounding.
        torch.testing.assert_close(gradients[:, place], slope, rtol=1e-6, atol=1e-8)


def test_layers_and_strengths_do_not_see_one_another():
    stack, labels = draw_stack(n_layers=3)
    together = fit(stack, labels, strengths=(0.1, 0.01), **TIGHT)
    for layer in range(3):
        alone = fit(stack[layer : layer + 1], labels, strengths=(0.1, 0.01), **TIGHT)
        # float32 sums over other block sizes
        np.testing.assert_allclose(together.coef_[layer], alone.coef_[0], atol=1e-4)
        np.testing.assert_allclose(together.dev_scores_[layer], alone.dev_scores_[0])
    one = fit(stack, labels, strengths=(0.01,), **TIGHT)
    two = fit(stack, labels, strengths=(0.3, 0.01), **TIGHT)
    np.testing.assert_allclose(one.dev_scores_[:, 0], two.dev_scores_[:, 1])


def test_layers_that_are_fitted_in_several_groups_end_alike(monkeypatch):
    stack, labels = draw_stack(n_layers=3)
    whole = fit(stack, labels, **TIGHT)
    monkeypatch.setattr("probing.probes.linear._GROUP_BYTES", stack[0].nbytes)
    grouped = fit(stack, labels, **TIGHT)
    np.testing.assert_allclose(grouped.coef_, whole.coef_, atol=1e-4)  # float32
    assert np.array_equal(grouped.strength_, whole.strength_)


def test_probabilities_and_predictions_are_those_of_the_fitted_weights():
    stack, labels = draw_stack()
    other, _ = draw_stack(seed=1)
    probe = fit(stack, labels)
    for layer in range(3):
        scaled = (other[layer] - stack[layer].mean(axis=0)) / stack[layer].std(axis=0)
        raised = np.exp(scaled @ probe.coef_[layer].T + probe.intercept_[layer])
        expected = raised / raised.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(probe.predict_proba(other)[layer], expected, rtol=1e-3, atol=1e-5)  # float32
        assert np.array_equal(probe.predict(other)[layer], expected.argmax(axis=1))
    np.testing.assert_allclose(np.exp(np.stack(list(probe.read(other)))), probe.predict_proba(other))


@pytest.mark.parametrize("value", [0.0, 0.37, 1000.1, -3e4])
def test_a_feature_that_never_varies_changes_nothing(value):
    stack, labels = draw_stack()
    constant = np.full((*stack.shape[:2], 1), value, dtype=np.float32)
    plain, wider = fit(stack, labels, **TIGHT), fit(np.concatenate([stack, constant], axis=2), labels, **TIGHT)
    np.testing.assert_allclose(wider.loss_, plain.loss_, rtol=1e-5)  # float32
    # A feature near 0 everywhere: only what is left of its mean by rounding, 1e-7 of it, can bear weight.
    assert np.abs(wider.coef_[:, :, -1] * value * 1e-6).max() < 1e-3
    moved = np.concatenate([stack, constant * (1 + 1e-3)], axis=2)
    assert np.array_equal(wider.predict(moved), plain.predict(stack))


def test_standardise_brings_every_feature_to_mean_zero_and_deviation_one():
    stack, _ = draw_stack(dtype=np.float64)
    vectors = torch.from_numpy(5 * stack + 100)
    mean, scale = standardise(vectors)
    np.testing.assert_allclose(mean.numpy(), (5 * stack + 100).mean(axis=1))
    np.testing.assert_allclose(scale.numpy(), (5 * stack).std(axis=1))
    np.testing.assert_allclose(vectors.mean(dim=1).numpy(), 0, atol=1e-10)
    np.testing.assert_allclose(vectors.var(dim=1, correction=0).numpy(), 1)


def test_input_is_not_changed():
    stack, labels = draw_stack()
    before = stack.copy()
    probe = fit(stack, labels)
    probe.predict(stack)
    assert np.array_equal(stack, before)


def test_a_class_that_dev_lacks_is_no_matter():
    stack, labels = draw_stack(n_classes=3)
    here = labels < 2
    probe = fit(stack, labels, dev=(stack[:, here], labels[here]))
    assert probe.classes_.tolist() == [0, 1, 2]
    assert probe.predict_proba(stack).shape == (3, 60, 3)
    assert (probe.predict(stack) == 2).any()


def test_other_names_of_the_classes_only_rename_the_predictions():
    stack, labels = draw_stack(n_classes=3)
    renamed = np.array([2, 0, 1])
    plain, other = fit(stack, labels, **TIGHT), fit(stack, renamed[labels], **TIGHT)
    np.testing.assert_allclose(other.predict_proba(stack)[:, :, renamed], plain.predict_proba(stack), atol=1e-4)
    assert np.array_equal(other.strength_, plain.strength_)


def test_order_of_the_sentences_is_irrelevant():
    stack, labels = draw_stack()
    order = np.random.default_rng(1).permutation(len(labels))
    plain, other = fit(stack, labels, **TIGHT), fit(stack[:, order], labels[order], **TIGHT)
    np.testing.assert_allclose(other.predict_proba(stack), plain.predict_proba(stack), atol=1e-4)  # float32 sums


def test_refitting_gives_the_same_to_the_bit():
    stack, labels = draw_stack()
    assert np.array_equal(fit(stack, labels).coef_, fit(stack, labels).coef_)


def test_more_regularisation_makes_smaller_weights():
    stack, labels = draw_stack()
    norms = [np.linalg.norm(fit(stack, labels, strengths=(strength,)).coef_) for strength in STRENGTHS]
    assert (np.diff(norms) > 0).all()


def test_separable_classes_are_separated_and_random_labels_are_at_chance():
    stack, labels = draw_stack(n=300, signal=30)
    assert (fit(stack, labels).predict(stack)[0] == labels).all()
    other, _ = draw_stack(n=3000, signal=0, seed=5)
    said = fit(stack, np.random.default_rng(0).permutation(labels)).predict(other)[0]
    truth = np.random.default_rng(1).integers(0, 3, 3000)
    # The share of 3,000 independent guesses: standard deviation .0086; four of them.
    assert (said == truth).mean() == pytest.approx(1 / 3, abs=0.035)


def test_a_solved_problem_gives_its_vectors_back_at_once_and_not_when_python_looks_for_circles():
    stack, labels = draw_stack(n_layers=1)
    problem = LogisticProblem(torch.tensor(stack), torch.tensor(labels), STRENGTHS)
    problem.unpack(problem.solve(5e-4, 300))
    gone = weakref.ref(problem)
    gc.disable()
    try:
        del problem
        assert gone() is None
    finally:
        gc.enable()


def test_too_few_iterations_are_said():
    stack, labels = draw_stack()
    assert not fit(stack, labels, max_iterations=1, tolerance=1e-6).converged_.any()
    assert fit(stack, labels).converged_.all()


def test_strength_is_chosen_on_dev_and_not_on_train():
    """Random labels in train: weak regularisation is right on train, and no better than chance on dev."""
    stack, labels = draw_stack(n=40, hidden=30, signal=0)
    dev = draw_stack(n=40, hidden=30, signal=0, seed=9)
    probe = fit(stack, labels, dev=dev)
    best = [choose_strength(scores, STRENGTHS) for scores in probe.dev_scores_]
    assert probe.strength_.tolist() == [STRENGTHS[number] for number in best]
    for number, strength in enumerate(STRENGTHS):
        alone = fit(stack, labels, dev=dev, strengths=(strength,))
        np.testing.assert_allclose(
            (alone.predict(dev[0]) == dev[1]).mean(axis=1), probe.dev_scores_[:, number], atol=0.03
        )


def test_dev_scores_are_compared_unrounded_and_of_equals_the_strongest_is_kept():
    assert choose_strength(np.array([0.80001, 0.80002, 0.8]), (1.0, 0.1, 0.01)) == 1
    assert choose_strength(np.array([0.8, 0.8, 0.7]), (0.1, 1.0, 0.01)) == 1
    assert choose_strength(np.array([0.5, 0.5, 0.5]), (0.01, 0.1, 1.0)) == 2


def test_score_of_a_strength_is_its_accuracy():
    vectors, labels = torch.tensor([[1.0], [2.0], [-1.0], [-3.0]]), torch.tensor([1, 1, 1, 0])
    coef, intercept = torch.tensor([[[-1.0], [1.0]], [[1.0], [-1.0]]]), torch.zeros(2, 2)
    assert score_strengths(vectors, coef, intercept, labels).tolist() == [0.75, 0.25]


def test_parameters_can_be_read_and_set_as_scikit_learn_does():
    probe = LinearProbe(strengths=(0.5,), tolerance=0.1)
    assert LinearProbe(**probe.get_params()).get_params() == probe.get_params()
    assert probe.set_params(max_iterations=7).max_iterations == 7


CORPORA = Path(os.environ.get("PROBING_CORPORA", "/nowhere")) / "classification" / "TREC"


@pytest.fixture(scope="module")
def trec(tmp_path_factory):
    """The layer stack of TREC under the embedded encoder: train, dev (cut from train) and test."""
    from probing.encoders.bert import build
    from probing.representations.extraction import Pooling, extract_stack
    from probing.settings.run import EMBEDDED
    from probing.store.cache import StackCache

    def read(name):
        lines = (CORPORA / name).read_text(encoding="utf-8").splitlines()[1:]
        return [line.split("\t") for line in lines]

    rows = read("train.tsv") + read("test.tsv")
    n_test = len(rows) - 3000
    texts = list(dict.fromkeys((sentence,) for sentence, _ in rows))
    encoder = build(EMBEDDED, device="cpu", dtype="float32")
    stack = extract_stack(encoder, texts, Pooling(), StackCache(tmp_path_factory.mktemp("cache"))).stack
    places = {text: place for place, text in enumerate(texts)}
    where = np.array([places[(sentence,)] for sentence, _ in rows])
    labels = np.array([int(label) for _, label in rows])
    order = np.random.default_rng(0).permutation(len(rows) - n_test)
    parts = {"train": order[500:], "dev": order[:500], "test": np.arange(len(rows) - n_test, len(rows))}
    return {name: (stack.values[:, where[part]], labels[part]) for name, part in parts.items()}


def measure(X):
    """Mean and deviation in float64; dead units of the encoder (here two, near 1e-32) are left as they are."""
    deviation = X.std(axis=0, dtype=float)
    return X.mean(axis=0, dtype=float), np.where(deviation > 1e-6, deviation, 1)


@pytest.mark.slow
@pytest.mark.skipif(not CORPORA.is_dir(), reason="PROBING_CORPORA names no folder with classification/TREC")
def test_on_a_real_task_it_is_scikit_learns_logistic_regression(trec):
    """Accuracies within 0.2 points at every layer, a loss within 1 % of the optimum, and at it where asked to be."""
    (X, y), dev, (X_test, y_test) = trec["train"], trec["dev"], trec["test"]
    probe = LinearProbe().fit(X, y, *dev)
    assert probe.converged_.all()
    said = probe.predict(X_test)
    exact = LinearProbe(strengths=(0.003,), tolerance=1e-6, max_iterations=5000).fit(X[-1:], y, dev[0][-1:], dev[1])
    mean, deviation = measure(X[-1])
    scaled = (X[-1] - mean) / deviation
    model = LogisticRegression(C=1 / (0.003 * len(y)), tol=1e-8, max_iter=50_000).fit(scaled, y)
    # float32: the loss is a sum of 2,500 terms with 6e-8 each.
    assert exact.loss_[0] == pytest.approx(loss_by_hand(scaled, y, model.coef_, model.intercept_, 0.003), rel=1e-5)
    differences = []
    for layer in range(len(X)):
        mean, deviation = measure(X[layer])
        scaled, strength = (X[layer] - mean) / deviation, float(probe.strength_[layer])
        model = LogisticRegression(C=1 / (strength * len(y)), tol=1e-6, max_iter=5000).fit(scaled, y)
        loss = loss_by_hand(scaled, y, model.coef_, model.intercept_, strength)
        assert loss * (1 - 1e-4) < probe.loss_[layer] < loss * 1.01
        expected = model.predict((X_test[layer] - mean) / deviation)
        differences.append((said[layer] == y_test).mean() - (expected == y_test).mean())
    assert len(y_test) > 2500
    assert np.abs(differences).max() <= 0.002, differences
