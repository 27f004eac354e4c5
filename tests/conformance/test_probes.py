"""What every probe must hold to, whoever wrote it: see `probing.contracts.probe`."""

import numpy as np
import pytest
from scipy.stats import binom

from probing.contracts.checking import find_breach
from probing.contracts.probe import Probe
from probing.registry import PROBES
from tests.helpers import draw_stack

SPLITS = (240, 80, 120)
N_LAYERS = 2
N_READOUTS = {"each layer": N_LAYERS, "layers up to": N_LAYERS, "all layers": 1, "nothing": 1}


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(params=PROBES.names())
def kind(request):
    """A class of probes."""
    return PROBES.load(request.param)


def make(kind, **options):
    return kind().set_params(**kind.tiny, **options)


def split_stack(signal, seed=0, n_layers=N_LAYERS):
    """Train, dev and test of the same distribution."""
    stack, labels = draw_stack(n_layers, sum(SPLITS), hidden=6, n_classes=3, seed=seed, signal=signal)
    borders = np.cumsum(SPLITS)[:-1]
    return list(zip(np.split(stack, borders, axis=1), np.split(labels, borders), strict=True))


def fit(probe, parts):
    (X, y), (X_dev, y_dev), _ = parts
    return probe.fit(X, y, X_dev, y_dev)


def predict(probe, X):
    """Probabilities: readouts, sentences, classes."""
    return np.exp(np.stack(list(probe.read(X))))


def test_it_keeps_the_contract_as_a_class_and_when_it_is_fitted(kind):
    assert find_breach(kind, Probe) == ""
    probe = make(kind)
    assert fit(probe, split_stack(signal=1.0)) is probe
    assert find_breach(probe, Probe) == ""


@pytest.mark.slow
def test_it_has_as_many_readouts_as_it_declares(kind):
    parts = split_stack(signal=1.0)
    probe = fit(make(kind), parts)
    assert predict(probe, parts[2][0]).shape == (N_READOUTS[kind.reads], SPLITS[2], 3)
    assert np.ravel(probe.converged_).shape == (N_READOUTS[kind.reads],)
    assert np.array_equal(probe.classes_, np.arange(3))


def test_separable_data_are_told_apart(kind):
    if kind.reads == "nothing":
        pytest.skip("reads no vectors")
    parts = split_stack(signal=30.0)
    X, y = parts[2]
    assert (predict(fit(make(kind), parts), X).argmax(axis=2) == y).all()


@pytest.mark.slow
def test_random_labels_are_at_chance(kind):
    parts = split_stack(signal=0.0, seed=5)
    X, y = parts[2]
    hits = (predict(fit(make(kind), parts), X).argmax(axis=2) == y).sum(axis=1)
    # One false alarm in ten thousand per readout.
    low, high = binom.interval(1 - 1e-4, len(y), 1 / 3)
    assert ((hits >= low) & (hits <= high)).all(), hits


def test_probabilities_sum_to_one(kind):
    parts = split_stack(signal=2.0)
    probabilities = predict(fit(make(kind), parts), parts[2][0])
    # A thousand roundings of float32.
    assert probabilities.sum(axis=2) == pytest.approx(np.ones(probabilities.shape[:2]), abs=1e-4)


def test_predictions_follow_from_what_it_reads(kind):
    """What scikit-learn's tools call, where a probe has it."""
    if not hasattr(kind, "predict"):
        pytest.skip("has read alone")
    parts = split_stack(signal=2.0)
    probe, X = fit(make(kind), parts), parts[2][0]
    probabilities = predict(probe, X)
    assert probe.predict_proba(X) == pytest.approx(probabilities, abs=1e-4)
    assert (probabilities.argmax(axis=2) == probe.predict(X)).all()


@pytest.mark.slow
def test_a_refit_is_identical(kind):
    parts = split_stack(signal=1.0)
    one, other = (predict(fit(make(kind), parts), parts[2][0]) for _ in range(2))
    assert (one == other).all()


def test_nothing_given_is_changed(kind):
    parts = split_stack(signal=1.0)
    before = [(X.copy(), y.copy()) for X, y in parts]
    predict(fit(make(kind), parts), parts[2][0])
    for (X, y), (X_before, y_before) in zip(parts, before, strict=True):
        assert (X_before == X).all()
        assert (y_before == y).all()


@pytest.mark.slow
def test_the_order_of_the_sentences_is_irrelevant(kind):
    if not kind.order_free:
        pytest.skip("says that it depends on it")
    parts = split_stack(signal=1.0)
    (X, y), dev, (X_test, _) = parts
    order = np.random.default_rng(0).permutation(len(y))
    one = predict(fit(make(kind), parts), X_test)
    other = predict(fit(make(kind), [(X[:, order], y[order]), dev, parts[2]]), X_test)
    # Both stop within the tolerance (1e-3 of the first gradient at most) of the same minimum.
    assert np.abs(one - other).max() < 0.02


@pytest.mark.slow
def test_renamed_classes_are_renamed_predictions(kind):
    if not kind.order_free:
        pytest.skip("says that it depends on them")
    parts = split_stack(signal=1.0)
    renaming = np.array([2, 0, 1])
    X_test, _ = parts[2]
    one = predict(fit(make(kind), parts), X_test)
    other = predict(fit(make(kind), [(X, renaming[y]) for X, y in parts]), X_test)
    assert np.abs(one - other[:, :, renaming]).max() < 0.02


def test_more_strength_brings_predictions_nearer_to_even(kind):
    """Smaller weights, as anyone can see them from without: log probabilities spread less over the classes."""
    if not kind.has_strength:
        pytest.skip("says that it has none of its own")
    parts = split_stack(signal=1.0)
    spreads = []
    for strength in (0.001, 0.3):
        logs = np.log(predict(fit(make(kind, strengths=(strength,)), parts), parts[2][0]))
        spreads.append((logs.max(axis=2) - logs.min(axis=2)).mean(axis=1))
    assert (spreads[1] < 0.9 * spreads[0]).all(), spreads


def test_each_readout_says_what_dev_chose(kind):
    probe = fit(make(kind), split_stack(signal=1.0))
    for choice in kind.choices:
        if hasattr(probe, choice):
            assert np.ravel(getattr(probe, choice)).shape == (N_READOUTS[kind.reads],)
    assert not kind.choices or any(hasattr(probe, choice) for choice in kind.choices)


@pytest.mark.slow
def test_a_layer_is_read_alike_whatever_the_other_layers_are(kind):
    if kind.reads != "each layer":
        pytest.skip("reads several layers at once, or none")
    parts = split_stack(signal=1.0)
    together = predict(fit(make(kind), parts), parts[2][0])
    for layer in range(N_LAYERS):
        alone = [(X[layer : layer + 1], y) for X, y in parts]
        single = predict(fit(make(kind), alone), alone[2][0])
        # Products of other shapes add up in another order.
        assert np.abs(single[0] - together[layer]).max() < 0.01


@pytest.mark.slow
def test_no_layer_beyond_the_readouts_own_moves_it(kind):
    """Layers up to l are read, and none after; a probe that reads each layer, or none, is tested above."""
    if kind.reads != "layers up to":
        pytest.skip("has no first layers of its own")
    parts = split_stack(signal=1.0)
    other = [(np.concatenate([X[:1], X[1:, ::-1]]), y) for X, y in parts]
    one, moved = predict(fit(make(kind), parts), parts[2][0]), predict(fit(make(kind), other), other[2][0])
    assert np.abs(one[0] - moved[0]).max() == 0
    assert np.abs(one[1] - moved[1]).max() > 0.01


@pytest.mark.slow
def test_probabilities_of_classes_are_learned_as_so_many_sentences_are(kind):
    """A sentence that is class 0 by .75 teaches what four copies of it do, three of class 0 and one of class 1."""
    if not kind.takes_scores:
        pytest.skip("says that it knows classes only")
    (X, y), (X_dev, y_dev), (X_test, _) = split_stack(signal=1.0)
    whole, other, dev = (np.eye(3, dtype=np.float32)[labels] for labels in (y, (y + 1) % 3, y_dev))
    shares = predict(make(kind).fit(X, 0.75 * whole + 0.25 * other, X_dev, dev), X_test)
    copies = np.concatenate([X] * 4, axis=1), np.concatenate([whole, whole, whole, other])
    counted = predict(make(kind).fit(*copies, X_dev, dev), X_test)
    assert np.abs(shares - counted).max() < 0.02
    rounded = predict(make(kind).fit(X, whole, X_dev, dev), X_test)
    assert kind.reads == "nothing" or np.abs(shares - rounded).max() > 0.05


def test_options_can_be_read_and_set(kind):
    probe = make(kind)
    for name, value in probe.get_params().items():
        assert probe.set_params(**{name: value}).get_params()[name] is value
