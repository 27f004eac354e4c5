"""Debiased CKA: by hand, of what is the same but for a rotation, and of what has nothing in common."""

import numpy as np
import pytest
from scipy.stats import ortho_group

from analysis.stats.similarity import compare_stacks, debiased_cka
from probing.records import InputError


def hsic_by_hand(x, y):
    """Equation 5 of Song et al. 2012, as it stands there."""
    n = len(x)
    k, l = (vectors @ vectors.T for vectors in (x, y))  # noqa: E741 - the formula's letters
    np.fill_diagonal(k, 0)
    np.fill_diagonal(l, 0)
    one = np.ones(n)
    sums = (one @ k @ one) * (one @ l @ one) / ((n - 1) * (n - 2)) - 2 / (n - 2) * (one @ k @ l @ one)
    return (np.trace(k @ l) + sums) / (n * (n - 3))


def biased_cka(x, y):
    k, l = ((v - v.mean(axis=0)) @ (v - v.mean(axis=0)).T for v in (x, y))  # noqa: E741
    return (k * l).sum() / np.sqrt((k * k).sum() * (l * l).sum())


@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_formula_by_hand(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(40, 6)) + 2
    y = np.hstack([x[:, :3] ** 2, rng.normal(size=(40, 9))])
    expected = hsic_by_hand(x, y) / np.sqrt(hsic_by_hand(x, x) * hsic_by_hand(y, y))
    assert debiased_cka(x, y) == pytest.approx(expected, rel=1e-9)


def test_a_rotation_a_factor_and_a_shift_change_nothing():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 8))
    turned = 3 * x @ ortho_group.rvs(8, random_state=0) + rng.normal(size=8)
    assert debiased_cka(x, turned) == pytest.approx(1)
    assert debiased_cka(x, x[rng.permutation(50)]) < 0.2, "of other sentences it is not"


def test_of_wide_independent_noise_it_is_about_0_and_the_usual_estimate_a_half():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 200, 200))
    # The correlation of some 20,000 pairs of sentences.
    assert abs(debiased_cka(x, y)) < 0.03
    assert biased_cka(x, y) == pytest.approx(0.5, abs=0.03)


def test_stacks_of_unlike_depth_and_width_give_a_row_for_each_layer_and_zeros_filled_in_do_not_count():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(3, 30, 5)), rng.normal(size=(2, 30, 7))
    found = compare_stacks(one, other)
    assert found.shape == (3, 2)
    assert found[2, 1] == pytest.approx(debiased_cka(one[2], other[1]))
    assert compare_stacks(np.pad(one, [(0, 0), (0, 0), (0, 4)]), other) == pytest.approx(found)


def test_a_layer_that_says_the_same_of_all_sentences_has_no_similarity():
    assert np.isnan(debiased_cka(np.ones((10, 3)), np.random.default_rng(0).normal(size=(10, 3))))


@pytest.mark.parametrize(("one", "other"), [(10, 11), (3, 3)])
def test_other_numbers_of_sentences_and_too_few_are_refused(one, other):
    with pytest.raises(InputError, match=f"got {one} and {other}"):
        compare_stacks(np.zeros((2, one, 3)), np.zeros((2, other, 3)))
