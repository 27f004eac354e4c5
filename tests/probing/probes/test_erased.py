import numpy as np
import pytest

from probing.probes.erased import Starting, fit_erased
from probing.probes.linear import LinearProbe
from probing.scores.leace import Moments, draw_eraser, fit_eraser

N, HIDDEN = 500, 20
RNG = np.random.default_rng(0)
OTHER = RNG.integers(3, size=N)
LABELS = RNG.integers(2, size=N)
VECTORS = RNG.normal(size=(N, HIDDEN)) @ RNG.normal(size=(HIDDEN, HIDDEN)) + 2
VECTORS += np.outer(LABELS, RNG.normal(size=HIDDEN)) + np.eye(3)[OTHER] @ RNG.normal(size=(3, HIDDEN))
VECTORS = VECTORS.astype(np.float32)
MOMENTS = Moments(HIDDEN, 5).add(VECTORS, np.column_stack([np.eye(3)[OTHER], np.eye(2)[LABELS]]))
ERASERS = {
    "another": fit_eraser(MOMENTS, slice(0, 3)),
    "own": fit_eraser(MOMENTS, slice(3, 5)),
    "random": draw_eraser(MOMENTS, 12, RNG),
    "all": draw_eraser(MOMENTS, HIDDEN, RNG),
}
STRENGTH = 0.03


def fit_plain(X, y=LABELS, tolerance=1e-5):
    return LinearProbe(strengths=[STRENGTH], tolerance=tolerance).fit(X[None], y, X[None], y)


def fit_each(y=LABELS, names=tuple(ERASERS), X=VECTORS):
    probe = fit_plain(X, y)
    start = Starting(probe.mean_[0], probe.scale_[0], probe.coef_[0], probe.intercept_[0], STRENGTH)
    return fit_erased(X, y, start, [(ERASERS[name].left, ERASERS[name].right) for name in names])


@pytest.fixture(autouse=True)
def to_the_end(monkeypatch):
    monkeypatch.setattr("probing.probes.erased.TOLERANCE", 2e-5)


@pytest.mark.parametrize("name", ["another", "own", "random"])
@pytest.mark.parametrize("graded", [False, True])
def test_it_is_the_linear_probe_of_the_erased_vectors(name, graded):
    """Whose vectors are really erased, standardised and fitted from nothing."""
    y = np.eye(2, dtype=np.float32)[LABELS] * 0.8 + 0.1 if graded else LABELS
    erased = ERASERS[name](VECTORS)
    expected = next(iter(fit_plain(erased, y).read(erased[None])))
    fitted = fit_each(y, [name])
    assert fitted.converged.all()
    np.testing.assert_allclose(fitted.read(VECTORS)[0], expected, atol=2e-3)


def test_its_own_property_is_gone_and_another_stays():
    fitted = dict(zip(ERASERS, fit_each().read(VECTORS), strict=True))
    right = {name: (one.argmax(axis=1) == LABELS).mean() for name, one in fitted.items()}
    assert right["own"] == pytest.approx(max(LABELS.mean(), 1 - LABELS.mean()))
    before = (fit_plain(VECTORS).predict(VECTORS[None])[0] == LABELS).mean()
    assert abs(right["another"] - before) < 0.02 < before - right["own"]


def test_where_nothing_is_left_every_sentence_gets_the_same_answer():
    shares = np.log(np.bincount(LABELS) / N)
    np.testing.assert_allclose(fit_each(names=["all"]).read(VECTORS)[0], np.tile(shares, (N, 1)), atol=1e-3)


def test_an_erasure_does_not_mind_which_others_are_fitted_beside_it():
    together, alone = fit_each().read(VECTORS)[0], fit_each(names=["another"]).read(VECTORS)[0]
    np.testing.assert_allclose(together, alone, atol=1e-3)


def test_the_vectors_stay_as_they_are():
    before = VECTORS.copy()
    fit_each()
    assert np.array_equal(VECTORS, before)
