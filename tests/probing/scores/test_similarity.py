"""Debiased CKA: by hand, of what is the same but for a rotation, and of what has nothing in common."""

import numpy as np
import pytest
from scipy.stats import ortho_group
from scipy.stats import t as student

from probing.records import InputError
from probing.scores.similarity import compare_stacks, compare_with_intervals


def debiased_cka(x, y):
    return float(compare_stacks(x[None], y[None])[0, 0])


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
    assert np.isnan(debiased_cka(np.full((10, 3), 0.1), np.random.default_rng(0).normal(size=(10, 3))))


@pytest.mark.parametrize(("one", "other"), [(10, 11), (3, 3)])
def test_other_numbers_of_sentences_and_too_few_are_refused(one, other):
    with pytest.raises(InputError, match=f"got {one} and {other}"):
        compare_stacks(np.zeros((2, one, 3)), np.zeros((2, other, 3)))


@pytest.mark.parametrize("n", [20, 47])
def test_the_interval_is_the_jackknifes_of_stacks_without_each_group(n):
    rng = np.random.default_rng(n)
    one = rng.normal(size=(2, n, 5))
    other = one[:, :, :3] + rng.normal(size=(2, n, 3))
    found = compare_with_intervals(one, other)
    groups = np.array_split(np.arange(n), np.linspace(0, n, min(20, n // 2), endpoint=False).astype(int)[1:])
    without = np.array(
        [compare_stacks(*(np.delete(stack, group, axis=1) for stack in (one, other))) for group in groups]
    )
    spread = np.sqrt((len(groups) - 1) / len(groups) * np.square(without - without.mean(axis=0)).sum(axis=0))
    assert found[..., 0] == pytest.approx(compare_stacks(one, other))
    half = student.ppf(0.975, len(groups) - 1) * spread
    assert found[..., 1] == pytest.approx(np.maximum(found[..., 0] - half, -1))
    assert found[..., 2] == pytest.approx(np.minimum(found[..., 0] + half, 1))


@pytest.mark.slow
def test_the_interval_holds_the_similarity_of_very_many_sentences():
    """Nominally 95 %; of 300 the share is within .025 of that 19 times in 20."""
    rng = np.random.default_rng(0)
    turn = rng.normal(size=(6, 6))

    def draw(n):
        x = rng.normal(size=(n, 6)) * np.array([3, 2, 1, 1, 0.5, 0.5])
        return x[None], (x @ turn + rng.normal(size=(n, 6)) * 3)[None]

    x, y = draw(4000)
    truth = compare_stacks(x, y).item()
    bounds = np.array([compare_with_intervals(*draw(100))[0, 0] for _ in range(300)])
    held = ((bounds[:, 1] <= truth) & (truth <= bounds[:, 2])).mean()
    assert 0.91 <= held <= 0.98


def test_too_few_sentences_for_an_interval_are_refused():
    with pytest.raises(InputError, match="8 sentences or more, got 7"):
        compare_with_intervals(np.zeros((1, 7, 2)), np.zeros((1, 7, 2)))
