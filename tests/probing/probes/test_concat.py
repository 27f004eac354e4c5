import numpy as np
import pytest
import torch

from probing.probes import concat
from probing.probes.concat import ConcatProbe, find_directions
from probing.probes.linear import LinearProbe
from tests.helpers import draw_stack

pytestmark = pytest.mark.usefixtures("one_thread")


def draw(n_layers=3, hidden=4):
    stack, labels = draw_stack(n_layers, 260, hidden=hidden, n_classes=3, seed=0, signal=1.0)
    stack[1, :, 2] = 7.0  # a dead feature
    return np.split(stack, [160, 200], axis=1), np.split(labels, [160, 200])


def spread(labels):
    """Probabilities of each class in place of the class."""
    return (0.8 * np.eye(3)[labels] + 0.2 / 3).astype(np.float32)


@pytest.mark.parametrize("make_labels", [np.array, spread])
@pytest.mark.parametrize("size", [50, 10_000])
def test_it_is_the_linear_probe_on_all_layers_in_a_row_whatever_the_blocks(make_labels, size, monkeypatch):
    monkeypatch.setattr(concat, "SUMMED_ROWS", size)
    X, y = draw()
    y = [make_labels(part) for part in y]
    rows = [np.hstack(list(part))[None] for part in X]
    given = X[0].copy()
    one, other = ConcatProbe().fit(X[0], y[0], X[1], y[1]), LinearProbe().fit(rows[0], y[0], rows[1], y[1])
    np.testing.assert_array_equal(X[0], given)
    assert one.strength_ == other.strength_
    assert one.mean_ == pytest.approx(other.mean_, abs=1e-6)
    assert one.scale_ == pytest.approx(other.scale_, rel=1e-6)
    # Two solvers that stop at a share of 5e-4 of the first gradient.
    assert one.coef_ == pytest.approx(other.coef_, abs=1e-4)
    assert one.predict_proba(X[2]) == pytest.approx(other.predict_proba(rows[2]), abs=1e-4)


def test_directions_are_those_of_the_eigenvalues_that_torch_finds():
    points = np.random.default_rng(0).standard_normal((20, 30))  # fewer than dimensions: ten eigenvalues are 0
    gram = points.T @ points
    values, vectors = find_directions(gram.copy())
    assert values == pytest.approx(torch.linalg.eigvalsh(torch.from_numpy(gram)).clamp_min(0).numpy(), abs=1e-10)
    assert vectors.T @ vectors == pytest.approx(np.eye(30), abs=1e-12)
    assert vectors * values @ vectors.T == pytest.approx(gram, abs=1e-10)
