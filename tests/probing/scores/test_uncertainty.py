import tracemalloc

import numpy as np
import pytest
from scipy.stats import binom

from probing.scores import uncertainty
from probing.scores.uncertainty import means_with_intervals, score_with_interval


def draw(n, share, seed=0):
    labels = np.random.default_rng(seed).integers(0, 3, n)
    right = np.arange(n) < round(share * n)
    return labels, np.where(right, labels, (labels + 1) % 3)


def interval(n, share, seed=0):
    return score_with_interval("accuracy", *draw(n, share), np.random.default_rng(seed))


def test_value_is_the_metric_itself():
    assert interval(200, 0.71)[0] == pytest.approx(0.71, abs=1e-12)


@pytest.mark.parametrize(("n", "share"), [(100, 0.5), (1000, 0.8), (5000, 0.95)])
def test_bounds_are_the_quantiles_of_the_binomial(n, share):
    """Resampling sentences makes the number of right ones binomial, whose quantiles are known."""
    _, low, high = interval(n, share)
    expected = binom.ppf([0.025, 0.975], n, share) / n
    # 1,000 samples put a 2.5 % quantile within .4 standard deviations of a share (4 times its standard error).
    assert [low, high] == pytest.approx(list(expected), abs=0.4 * (share * (1 - share) / n) ** 0.5 + 1 / n)


def test_a_larger_test_set_gives_a_narrower_interval():
    widths = [np.diff(interval(n, 0.8)[1:])[0] for n in (100, 400, 1600)]
    # The width falls with the root of n; 1,000 samples know a width to a tenth.
    assert widths[0] / widths[1] == pytest.approx(2, rel=0.25)
    assert widths[1] / widths[2] == pytest.approx(2, rel=0.25)


def test_where_all_are_right_no_resampling_can_tell_otherwise():
    assert interval(50, 1.0).tolist() == [1, 1, 1]
    assert interval(50, 0.0).tolist() == [0, 0, 0]


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        labels = rng.integers(0, 2, 400)
        predicted = np.where(rng.random(400) < 0.8, labels, 1 - labels)
        _, low, high = score_with_interval("accuracy", labels, predicted, rng)
        covered += low <= 0.8 <= high
    # 300 trials at .95: standard deviation .0126; four of them.
    assert covered / 300 == pytest.approx(0.95, abs=0.05)


def test_the_same_generator_gives_the_same_interval_in_any_order_of_sentences():
    labels, predicted = draw(300, 0.6)
    order = np.random.default_rng(1).permutation(300)
    one = score_with_interval("accuracy", labels, predicted, np.random.default_rng(2))
    other = score_with_interval("accuracy", labels[order], predicted[order], np.random.default_rng(2))
    assert np.array_equal(one, other)


@pytest.mark.parametrize("metric", ["accuracy", "spearman"])
@pytest.mark.parametrize("counts", [1, 700, 300 * 999])
def test_drawn_in_parts_the_intervals_are_the_same(metric, counts, monkeypatch):
    labels, predicted = draw(300, 0.6)
    values = np.random.default_rng(3).normal(size=(4, 300))
    whole = score_with_interval(metric, labels, predicted, np.random.default_rng(2))
    means = means_with_intervals(values, np.random.default_rng(2))
    monkeypatch.setattr(uncertainty, "_COUNTS", counts)
    assert score_with_interval(metric, labels, predicted, np.random.default_rng(2)) == pytest.approx(whole, abs=1e-12)
    # Products of other shapes add up in another order.
    assert means_with_intervals(values, np.random.default_rng(2)) == pytest.approx(means, abs=1e-12)


def test_memory_is_bounded_for_many_sentences():
    """1,000 counts of each of 200,000 sentences would take 1.6 GB."""
    values = np.zeros((3, 200_000))
    tracemalloc.start()
    try:
        means_with_intervals(values, np.random.default_rng(0))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * 2**27
