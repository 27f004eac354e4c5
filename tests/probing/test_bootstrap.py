"""One bootstrap for scores and comparisons: its draws against another route, its interval against numpy's."""

import numpy as np
import pytest
from scipy.stats import binomtest

from probing.bootstrap import (
    draw_counts,
    percentile_interval,
    resample_counts,
    resample_rows,
    wilson_interval,
)


@pytest.mark.parametrize(("right", "n"), [(0, 5), (36, 72), (70, 72), (300, 300)])
def test_the_interval_of_a_share_is_scipys(right, n):
    theirs = binomtest(right, n).proportion_ci(0.95, method="wilson")
    assert wilson_interval(right / n, n) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_drawing_kinds_has_the_moments_of_drawing_things():
    """Mult(n, c / n): a kind's count has mean c and variance c (1 - c / n)."""
    counts, n = np.array([5, 15, 80]), 100
    drawn = draw_counts(counts, np.random.default_rng(0), 40_000)
    spread = np.sqrt(counts * (1 - counts / n))
    assert (drawn.sum(axis=1) == n).all()
    # Five standard errors of a mean, and of a standard deviation (1 / sqrt(2 draws) of it).
    assert drawn.mean(axis=0) == pytest.approx(counts, abs=5 * spread.max() / 200)
    assert drawn.std(axis=0) == pytest.approx(spread, rel=5 / np.sqrt(80_000))


def test_counting_things_one_by_one_is_the_same_distribution():
    values = np.random.default_rng(1).integers(0, 2, 60).astype(float)
    one_by_one = resample_counts(60, np.random.default_rng(2), 20_000) @ values / 60
    by_kind = resample_rows(values[None], np.random.default_rng(3), 20_000)[0]
    spread = values.std() / np.sqrt(60)
    assert one_by_one.mean() == pytest.approx(by_kind.mean(), abs=7 * spread / np.sqrt(20_000))
    assert one_by_one.std() == pytest.approx(by_kind.std(), rel=7 / np.sqrt(40_000))


def test_resampled_counts_are_those_of_drawn_indices():
    drawn = resample_counts(7, np.random.default_rng(5), 3)
    generator = np.random.default_rng(5)
    assert np.array_equal(drawn, [np.bincount(generator.integers(7, size=7), minlength=7) for _ in range(3)])


def test_rows_are_resampled_alike():
    row = np.random.default_rng(1).integers(0, 2, 50).astype(float)
    means = resample_rows(np.stack([row, 1 - row, row]), np.random.default_rng(2), 500)
    assert np.array_equal(means[0], means[2])
    assert means[0] + means[1] == pytest.approx(np.ones(500), abs=1e-12)
    assert means[0].std() > 0


def test_an_interval_of_many_rows_is_that_of_each():
    resamples = np.random.default_rng(0).normal(size=(3, 401))
    low, high = percentile_interval(resamples)
    for number, row in enumerate(resamples):
        assert (low[number], high[number]) == percentile_interval(row)
        # Ranks 402 x .025 = 10.05 from below and from above.
        ranked = np.sort(row)
        expected = (0.95 * ranked[9] + 0.05 * ranked[10], 0.95 * ranked[-10] + 0.05 * ranked[-11])
        assert (low[number], high[number]) == pytest.approx(expected)
    wider = percentile_interval(resamples, level=0.99)
    assert (wider[0] < low).all()
    assert (wider[1] > high).all()
