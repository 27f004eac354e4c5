import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.metrics import log_loss

from probing.scores.usable_information import blend_with_prior, choose_blend, pointwise_information

SHARES = np.array([0.5, 0.3, 0.2])


def draw(n, sharpness, seed=0):
    """Labels and log probabilities that know something of them; the true exponent is 1 at sharpness 1."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, size=n, p=SHARES)
    evidence = rng.normal(size=(n, 3))
    evidence[np.arange(n), labels] += 1
    # Of two unit normals a distance 1 apart, the log ratio is the value itself.
    return log_softmax(np.log(SHARES) + sharpness * evidence, axis=1), labels


def inform(sharpness, n=4000, seed=0):
    dev, test = draw(n, sharpness, seed), draw(n, sharpness, seed + 1)
    return pointwise_information(*dev, *test, SHARES)


def test_a_calibrated_probe_gives_the_mutual_information():
    """Of evidence that is normal around the class, by integration over many draws."""
    exact_log, labels = draw(400_000, 1.0, seed=9)
    exact = (exact_log[np.arange(len(labels)), labels] - np.log(SHARES[labels])).mean() / np.log(2)
    bits = inform(1.0)
    assert bits.mean() == pytest.approx(exact, abs=5 * bits.std() / len(bits) ** 0.5)


@pytest.mark.parametrize("sharpness", [0.4, 5.0])
def test_being_too_sure_or_not_sure_enough_costs_nothing(sharpness):
    # The exponent is chosen on 4,000 sentences: what is left of the error is of second order.
    assert inform(sharpness).mean() == pytest.approx(inform(1.0).mean(), abs=0.01)


def test_a_probe_that_knows_nothing_gives_nothing():
    rng = np.random.default_rng(0)
    noise = [log_softmax(rng.normal(size=(2000, 3)), axis=1) for _ in range(2)]
    labels = [rng.choice(3, size=2000, p=SHARES) for _ in range(2)]
    bits = pointwise_information(noise[0], labels[0], noise[1], labels[1], SHARES)
    assert abs(bits.mean()) < 0.005


def test_a_perfect_probe_gives_the_entropy_of_the_shares():
    labels = np.repeat([0, 1, 2], [500, 300, 200])
    sure = np.log(np.eye(3)[labels] * (1 - 3e-12) + 1e-12)
    bits = pointwise_information(sure, labels, sure, labels, SHARES)
    assert bits.mean() == pytest.approx(-(SHARES * np.log2(SHARES)).sum(), abs=1e-3)


def test_it_is_the_difference_of_two_log_losses_in_bits():
    (dev, dev_labels), (test, labels) = draw(500, 2.0), draw(400, 2.0, seed=1)
    blend = choose_blend(dev, dev_labels, np.log(SHARES))
    known = np.exp(blend_with_prior(test, np.log(SHARES), blend))
    nothing = np.tile(SHARES, (400, 1))
    expected = (log_loss(labels, nothing, labels=range(3)) - log_loss(labels, known, labels=range(3))) / np.log(2)
    found = pointwise_information(dev, dev_labels, test, labels, SHARES).mean()
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_the_exponent_is_where_scipy_finds_the_least_loss(seed):
    log_probabilities, labels = draw(300, 3.0, seed)

    def loss(blend):
        return -blend_with_prior(log_probabilities, np.log(SHARES), blend)[np.arange(300), labels].mean()

    expected = minimize_scalar(loss, bounds=(0, 4), method="bounded").x
    # Twelve halvings of [0, 4].
    assert choose_blend(log_probabilities, labels, np.log(SHARES)) == pytest.approx(expected, abs=4 / 2**12 + 1e-4)


def test_a_class_that_was_ruled_out_costs_finitely_many_bits():
    ruled_out = np.log(np.array([[1.0, 1e-300, 1e-300], [1e-300, 1.0, 1e-300]]))
    ruled_out[ruled_out < -600] = -np.inf
    bits = pointwise_information(ruled_out, np.array([0, 1]), ruled_out, np.array([2, 1]), SHARES)
    assert np.isfinite(bits).all()
