"""Clouds of vectors: ranks of spectra that are known, cosines by brute force, intervals that cover."""

import numpy as np
import pytest
from scipy.stats import ortho_group

from probing.scores.geometry import describe_cloud, measure_anisotropy, measure_rank


def in_blocks(vectors, size=7):
    return lambda: (vectors[start : start + size] for start in range(0, len(vectors), size))


def with_spectrum(lengths, n=60, seed=0):
    """Vectors about their mean with these singular values, and far from 0."""
    rng = np.random.default_rng(seed)
    left = np.linalg.qr(np.hstack([np.ones((n, 1)), rng.normal(size=(n, len(lengths)))]))[0][:, 1:]
    return left @ np.diag(lengths) @ ortho_group.rvs(len(lengths), random_state=seed) + 5


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [([2, 2, 2, 2, 2], 5), ([3, 0, 0], 1), ([1, 1, 0, 0], 2), ([2, 1, 1], 2 ** (0.5 * 1 + 0.25 * 2 * 2))],
)
def test_the_rank_of_a_known_spectrum(lengths, expected):
    assert measure_rank(in_blocks(with_spectrum(lengths)))[0] == pytest.approx(expected, rel=1e-5)


def test_a_rotation_a_factor_and_a_shift_do_not_change_the_rank():
    vectors = np.random.default_rng(0).normal(size=(50, 6)) * np.arange(1, 7)
    turned = 3 * vectors @ ortho_group.rvs(6, random_state=0) - 4
    assert measure_rank(in_blocks(turned)) == pytest.approx(measure_rank(in_blocks(vectors, 50)))


def test_vectors_that_do_not_differ_have_one_direction_and_one_way():
    found = describe_cloud(in_blocks(np.full((10, 3), 0.5)))
    assert found["effective_rank"].tolist() == [1, 1, 1]
    assert found["anisotropy"] == pytest.approx([1, 1, 1])


def test_anisotropy_is_the_mean_cosine_and_its_interval_the_jackknifes_by_brute_force():
    vectors = np.random.default_rng(0).normal(size=(25, 4)) + 1

    def by_hand(rows):
        cosines = [a @ b / np.sqrt((a @ a) * (b @ b)) for i, a in enumerate(rows) for j, b in enumerate(rows) if i != j]
        return np.mean(cosines)

    without = np.array([by_hand(np.delete(vectors, row, axis=0)) for row in range(25)])
    error = np.sqrt(24 / 25 * np.square(without - without.mean()).sum())
    value = by_hand(vectors)
    expected = [value, value - 1.959964 * error, value + 1.959964 * error]
    assert measure_anisotropy(in_blocks(vectors)) == pytest.approx(expected, rel=1e-6)


def test_a_vector_without_length_points_nowhere():
    vectors = np.array([[1.0, 0], [1, 0], [0, 0]])
    assert measure_anisotropy(in_blocks(vectors))[0] == pytest.approx(1 / 3)


def test_the_interval_of_the_rank_has_the_spread_of_ranks_of_other_sentences():
    rng = np.random.default_rng(0)
    scales = np.array([4, 2, 1, 1, 0.5])
    found = np.array([measure_rank(in_blocks(rng.normal(size=(300, 5)) * scales, 300)) for _ in range(200)])
    errors = (found[:, 2] - found[:, 1]) / 2 / 1.959964
    # 200 draws know a spread to some 5 %.
    assert errors.mean() == pytest.approx(found[:, 0].std(), rel=0.15)
