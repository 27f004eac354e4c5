import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from sklearn.neighbors import KNeighborsClassifier

from probing.probes.knn import KNNProbe
from probing.probes.linear import LinearProbe
from probing.probes.mlp import MLPProbe, NetworkProblem
from probing.probes.scalar_mix import ScalarMixProbe
from probing.probes.several_layers import CumulativeMixProbe
from tests.helpers import draw_stack

pytestmark = pytest.mark.usefixtures("one_thread")


def draw(n_layers=2, hidden=4, signal=1.0, seed=0):
    stack, labels = draw_stack(n_layers, 200, hidden=hidden, n_classes=3, seed=seed, signal=signal)
    return np.split(stack, [120, 160], axis=1), np.split(labels, [120, 160])


def test_the_networks_gradient_is_that_of_finite_differences():
    X, y = draw()
    problem = NetworkProblem(torch.tensor(X[0], dtype=torch.float64), torch.tensor(y[0]), (0.1, 0.01), n_hidden=3)
    points = problem.start(0) + 0.3 * torch.randn(problem.start(0).shape, generator=torch.Generator().manual_seed(0))
    numbers = torch.arange(4)
    losses, gradients = problem(points, numbers)
    direction = torch.randn(points.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    step = 1e-6
    slope = (problem(points + step * direction, numbers)[0] - problem(points - step * direction, numbers)[0]) / 2 / step
    assert slope.numpy() == pytest.approx((gradients * direction).sum(dim=1).numpy(), rel=1e-6)
    assert losses.shape == (4,)


def test_the_networks_loss_is_scikit_learns_log_loss_and_half_the_penalty():
    X, y = draw()
    problem = NetworkProblem(torch.tensor(X[0], dtype=torch.float64), torch.tensor(y[0]), (0.1,), n_hidden=3)
    points = problem.start(0) + 0.2
    losses, _ = problem(points, torch.tensor([0, 1]))
    point = points[0].numpy()
    inner, offset, outer, intercept = np.split(point, [12, 15, 24])
    hidden = np.tanh(X[0][0] @ inner.reshape(4, 3) + offset)
    logits = hidden @ outer.reshape(3, 3) + intercept
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = log_loss(y[0], chances, labels=range(3)) + 0.05 * ((inner**2).sum() + (outer**2).sum())
    assert losses[0].item() == pytest.approx(expected, rel=1e-9)


def test_a_hidden_layer_finds_what_no_line_can():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(1, 700, 4)).astype(np.float32)
    labels = (vectors[0, :, 0] * vectors[0, :, 1] > 0).astype(int)
    X, y = np.split(vectors, [400, 550], axis=1), np.split(labels, [400, 550])
    network = MLPProbe(n_hidden=8).fit(X[0], y[0], X[1], y[1])
    line = LinearProbe().fit(X[0], y[0], X[1], y[1])
    assert (network.predict(X[2])[0] == y[2]).mean() > 0.85
    assert (line.predict(X[2])[0] == y[2]).mean() < 0.7


@pytest.mark.parametrize("number", [1, 9])
def test_neighbours_are_scikit_learns(number):
    X, y = draw(hidden=6)
    probe = KNNProbe((number,)).fit(X[0], y[0], X[1], y[1])
    for layer in range(2):
        mean = X[0][layer].mean(axis=0)
        theirs = KNeighborsClassifier(number, metric="cosine").fit(X[0][layer] - mean, y[0])
        votes = number * theirs.predict_proba(X[2][layer] - mean)
        agreed = np.sort(votes, axis=1)[:, -1] > np.sort(votes, axis=1)[:, -2]
        assert (probe.predict(X[2])[layer][agreed] == theirs.predict(X[2][layer] - mean)[agreed]).all()
        # The extra half vote, and the one that is spread over all classes.
        assert probe.predict_proba(X[2])[layer] * (number + 1.5) == pytest.approx(votes + 1 / 3, abs=0.5001)


def test_the_nearer_of_two_voters_wins():
    train = np.array([[[1.0, 0.1], [0.1, 1.0], [-1.0, -1.0]]], dtype=np.float32)
    probe = KNNProbe((2,)).fit(train, np.array([0, 1, 0]), train, np.array([0, 1, 0]))
    assert probe.predict(np.array([[[0.9, 0.6], [0.6, 0.9]]], dtype=np.float32)).tolist() == [[0, 1]]


@pytest.mark.slow
def test_reading_l_of_the_cumulative_mix_is_the_mix_of_layers_0_to_l():
    X, y = draw(n_layers=3)
    found = CumulativeMixProbe().fit(X[0], y[0], X[1], y[1]).predict_proba(X[2])
    for count in (1, 2, 3):
        mix = ScalarMixProbe().fit(X[0][:count], y[0], X[1][:count], y[1])
        assert found[count - 1] == pytest.approx(mix.predict_proba(X[2][:count])[0], abs=1e-6)
