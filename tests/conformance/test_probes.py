"""Every registered probe obeys the contract of a probe."""

import numpy as np
import pytest
from scipy.stats import binom

from probing.probes.senteval import SentEvalProbe
from probing.registry import PROBES
from tests.helpers import draw_stack

NAMES = [name for name in PROBES.names() if name != "majority"]
BY_MINIBATCH = {"senteval"}
"""Whose batches depend on the order of the sentences and whose start prefers some classes, as in the original."""
WITHOUT_STRENGTH = {"knn", "concat", "cumulative_mix"}
SPLITS = (240, 80, 120)
# The published rate of learning and batches need many more steps than these few sentences make.
QUICK = {"senteval": {"epoch_size": 10, "batch_size": 24, "tenacity": 2}, "mlp": {"n_hidden": 6}}


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


def make(name, **options):
    options = QUICK.get(name, {}) | options
    return PROBES.load(name)(**options)


def split_stack(signal, seed=0, n_layers=2):
    """Train, dev and test of the same distribution."""
    stack, labels = draw_stack(n_layers, sum(SPLITS), hidden=6, n_classes=3, seed=seed, signal=signal)
    borders = np.cumsum(SPLITS)[:-1]
    return list(zip(np.split(stack, borders, axis=1), np.split(labels, borders), strict=True))


def fit(probe, parts):
    (X, y), (X_dev, y_dev), _ = parts
    return probe.fit(X, y, X_dev, y_dev)


def test_separable_data_are_told_apart(name):
    parts = split_stack(signal=30.0)
    X, y = parts[2]
    assert (fit(make(name), parts).predict(X) == y).all()


def test_random_labels_are_at_chance(name):
    parts = split_stack(signal=0.0, seed=5)
    X, y = parts[2]
    hits = (fit(make(name), parts).predict(X) == y).sum(axis=1)
    # One false alarm in ten thousand per reading.
    low, high = binom.interval(1 - 1e-4, len(y), 1 / 3)
    assert ((hits >= low) & (hits <= high)).all(), hits


def test_probabilities_sum_to_one_and_agree_with_predictions_and_readings(name):
    parts = split_stack(signal=2.0)
    X, _ = parts[2]
    probe = fit(make(name), parts)
    probabilities = probe.predict_proba(X)
    # A thousand roundings of float32.
    assert probabilities.sum(axis=2) == pytest.approx(np.ones(probabilities.shape[:2]), abs=1e-4)
    assert (probabilities.argmax(axis=2) == probe.predict(X)).all()
    assert np.log(probabilities) == pytest.approx(np.stack(list(probe.read(X))), abs=1e-4)
    assert (probe.classes_ == np.arange(3)).all()


def test_a_refit_is_identical(name):
    parts = split_stack(signal=1.0)
    X, _ = parts[2]
    one, other = (fit(make(name), parts).predict_proba(X) for _ in range(2))
    assert (one == other).all()


def test_nothing_given_is_changed(name):
    parts = split_stack(signal=1.0)
    before = [(X.copy(), y.copy()) for X, y in parts]
    fit(make(name), parts).predict(parts[2][0])
    for (X, y), (X_before, y_before) in zip(parts, before, strict=True):
        assert (X_before == X).all()
        assert (y_before == y).all()


def test_the_order_of_the_sentences_is_irrelevant(name):
    if name in BY_MINIBATCH:
        pytest.skip("drawn batches depend on the order")
    parts = split_stack(signal=1.0)
    (X, y), dev, (X_test, _) = parts
    order = np.random.default_rng(0).permutation(len(y))
    one = fit(make(name), parts).predict_proba(X_test)
    other = fit(make(name), [(X[:, order], y[order]), dev, parts[2]]).predict_proba(X_test)
    # Both stop within the tolerance (1e-3 of the first gradient at most) of the same minimum.
    assert np.abs(one - other).max() < 0.02


def test_renamed_classes_are_renamed_predictions(name):
    if name in BY_MINIBATCH:
        pytest.skip("the published start draws each class its own weights")
    parts = split_stack(signal=1.0)
    renaming = np.array([2, 0, 1])
    X_test, _ = parts[2]
    one = fit(make(name), parts).predict_proba(X_test)
    other = fit(make(name), [(X, renaming[y]) for X, y in parts]).predict_proba(X_test)
    assert np.abs(one - other[:, :, renaming]).max() < 0.02


def test_more_regularisation_gives_smaller_weights(name):
    if name in WITHOUT_STRENGTH:
        pytest.skip("has no strength of its own")
    parts = split_stack(signal=1.0)
    weak, strong = (0.001, 0.3)
    norms = [measure_weights(fit(make(name, strengths=(strength,)), parts)) for strength in (weak, strong)]
    assert (norms[1] < norms[0]).all()


def test_each_reading_says_what_was_chosen_and_whether_it_converged(name):
    probe = fit(make(name), split_stack(signal=1.0))
    n_readings = len(probe.predict(split_stack(signal=1.0)[2][0]))
    facts = [fact for fact in ("strength_", "n_neighbours_") if hasattr(probe, fact)]
    assert facts
    for fact in (*facts, "converged_"):
        assert np.ravel(getattr(probe, fact)).shape == (n_readings,)


def test_a_layer_is_read_alike_whatever_the_other_layers_are(name):
    if name in {"concat", "cumulative_mix", "scalar_mix"}:
        pytest.skip("reads several layers at once")
    parts = split_stack(signal=1.0)
    together = fit(make(name), parts).predict_proba(parts[2][0])
    for layer in range(2):
        alone = [(X[layer : layer + 1], y) for X, y in parts]
        single = fit(make(name), alone).predict_proba(alone[2][0])
        # Products of other shapes add up in another order.
        assert np.abs(single[0] - together[layer]).max() < 0.01


def test_parameters_can_be_read_and_set(name):
    probe = make(name)
    assert probe.set_params(device="cpu").get_params()["device"] == "cpu"


def measure_weights(probe):
    if hasattr(probe, "coef_"):
        return np.atleast_1d(np.sqrt((probe.coef_**2).sum(axis=(-1, -2))))
    if isinstance(probe, SentEvalProbe):
        return probe.networks_["weight0"].detach().square().sum(dim=(1, 2)).sqrt().numpy()
    return probe.points_.square().sum(dim=1).sqrt().numpy()
