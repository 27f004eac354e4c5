"""A stack where it is known which layer holds the label: every measure of depth must point there."""

import numpy as np
import pytest

from probing.cells.code_length import code_sentences
from probing.probes.linear import LinearProbe
from probing.probes.scalar_mix import ScalarMixProbe
from probing.scores.codelength import find_gravity

N_LAYERS, HIDDEN = 5, 8
SIZES = (400, 150, 150)


pytestmark = pytest.mark.usefixtures("one_thread")


def plant(places, seed=0, lengths=None, strength=2.0):
    """Noise in every layer and, in some, a direction that tells two classes apart; split into train, dev and test.

    Two places hold half of the label each: the class is the exclusive or of nothing, but the sum of what they say.
    """
    rng = np.random.default_rng(seed)
    n = sum(SIZES)
    labels = rng.integers(0, 2, n)
    stack = rng.normal(size=(N_LAYERS, n, HIDDEN))
    direction = rng.normal(size=HIDDEN)
    direction /= np.linalg.norm(direction)
    shares = np.full(len(places), 1 / len(places) ** 0.5)
    for place, share in zip(places, shares, strict=True):
        stack[place] += strength * share * np.outer(2 * labels - 1, direction)
    stack *= np.ones(N_LAYERS)[:, None, None] if lengths is None else np.array(lengths)[:, None, None]
    borders = np.cumsum(SIZES)[:-1]
    return list(zip(np.split(stack.astype(np.float32), borders, axis=1), np.split(labels, borders), strict=True))


def fit(probe, parts):
    (X, y), (X_dev, y_dev), _ = parts
    return probe.fit(X, y, X_dev, y_dev)


def score(probe, parts):
    X, y = parts[2]
    return (fit(probe, parts).predict(X) == y).mean(axis=1)


@pytest.mark.parametrize(("place", "seed"), [(0, 0), (2, 1), (4, 2)])
def test_weight_score_and_code_point_to_the_layer_that_holds_the_label(place, seed):
    parts = plant([place], seed)
    scores, mix = score(LinearProbe(), parts), fit(ScalarMixProbe(), parts)
    assert scores.argmax() == place
    assert scores[place] > 0.9
    assert np.delete(scores, place).max() < 0.65
    assert mix.weights_.argmax() == mix.contribution_.argmax() == place
    assert mix.weights_ @ np.arange(N_LAYERS) == pytest.approx(place, abs=0.5)
    X, y = parts[0]
    lengths = code_sentences(X, y, 2, by_layer=True).sum(axis=1)
    compression = len(y) / lengths
    assert compression.argmax() == place
    centre = find_gravity(compression[:, None], range(N_LAYERS))[0]
    even = find_gravity(np.ones((N_LAYERS, 1)), range(N_LAYERS))[0]
    # The other layers compress to about 1, so that the centre moves towards the place and not onto it.
    assert np.sign(round(centre - even, 1)) == np.sign(place - even)


@pytest.mark.parametrize("seed", range(2))
def test_a_label_in_two_layers_has_the_weight_on_both_and_the_mix_beats_each(seed):
    parts = plant([1, 3], seed)
    scores, mix = score(LinearProbe(), parts), fit(ScalarMixProbe(), parts)
    assert set(np.argsort(mix.weights_)[-2:]) == {1, 3}
    assert mix.weights_[[1, 3]].sum() > 0.8
    assert 0.2 < mix.weights_[1] / mix.weights_[[1, 3]].sum() < 0.8
    assert (mix.predict(parts[2][0])[0] == parts[2][1]).mean() > scores.max()
    assert mix.weights_ @ np.arange(N_LAYERS) == pytest.approx(2, abs=0.6)


def test_where_lengths_differ_the_contribution_points_there_and_the_raw_weight_does_not():
    """Two layers hold the label, one of them in vectors a tenth as long: its weight has to make up for that."""
    lengths = [1, 0.1, 1, 1, 1]
    mix = fit(ScalarMixProbe(), plant([1, 3], seed=0, lengths=lengths))
    even = fit(ScalarMixProbe(), plant([1, 3], seed=0))
    assert mix.weights_[1] > 3 * mix.weights_[3]
    assert 0.2 < mix.contribution_[1] / mix.contribution_[[1, 3]].sum() < 0.8
    assert mix.contribution_[[1, 3]].sum() > 0.8
    # The control: with equal lengths the two say the same.
    assert even.weights_ == pytest.approx(even.contribution_, abs=0.05)


@pytest.mark.parametrize("seed", range(3))
def test_a_layer_of_long_vectors_needs_no_weight_to_be_what_the_mix_reads(seed):
    mix = fit(ScalarMixProbe(), plant([2], seed, lengths=[1, 1, 300, 1, 1]))
    assert mix.contribution_[2] > 0.8
    assert mix.weights_.argmax() != 2
    assert mix.weights_[2] < 0.3


def test_a_long_layer_without_the_label_does_not_draw_the_weight():
    lengths = [30, 1, 1, 1, 1]
    mix = fit(ScalarMixProbe(), plant([2], seed=1, lengths=lengths))
    assert mix.contribution_.argmax() == mix.weights_.argmax() == 2


def test_a_norm_before_mixing_makes_weight_and_contribution_agree():
    lengths = [1, 0.1, 1, 1, 1]
    mix = fit(ScalarMixProbe(norm=True), plant([1, 3], seed=0, lengths=lengths))
    # The norm's 1e-5 is a thousandth of the short vectors' variance.
    assert mix.weights_ == pytest.approx(mix.contribution_, abs=2e-3)
    assert 0.2 < mix.weights_[1] / mix.weights_[[1, 3]].sum() < 0.8


@pytest.mark.parametrize("seed", range(2))
def test_without_a_planted_signal_nothing_is_found(seed):
    parts = plant([0], seed, strength=0.0)
    # Five layers at .5 with 150 sentences: four standard errors.
    assert np.abs(score(LinearProbe(), parts) - 0.5).max() < 4 * 0.5 / SIZES[2] ** 0.5
    X, y = parts[0]
    assert (len(y) / code_sentences(X, y, 2, by_layer=True).sum(axis=1)).max() < 1.03
