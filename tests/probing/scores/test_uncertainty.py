import tracemalloc
from statistics import NormalDist

import numpy as np
import pytest
from scipy.stats import binom, sem
from scipy.stats import t as scipy_t

from probing.bootstrap import percentile_interval
from probing.registry import METRICS
from probing.scores import uncertainty
from probing.scores.uncertainty import find_wilson, means_with_intervals, score_with_interval


def draw(n, share, seed=0):
    labels = np.random.default_rng(seed).integers(0, 3, n)
    right = np.arange(n) < round(share * n)
    return labels, np.where(right, labels, (labels + 1) % 3)


def interval(n, share, seed=0):
    return score_with_interval("accuracy", *draw(n, share), np.random.default_rng(seed))


def test_value_is_the_metric_itself():
    assert interval(200, 0.71)[0] == pytest.approx(0.71, abs=1e-12)


@pytest.mark.parametrize(("n", "share"), [(100, 0.5), (72, 0.97), (1000, 0.8), (5000, 0.95), (300, 1.0), (300, 0.0)])
def test_bounds_of_an_accuracy_are_wilsons_in_closed_form(n, share):
    z, p = NormalDist().inv_cdf(0.975), round(share * n) / n
    centre, half = p + z**2 / (2 * n), z * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5
    expected = [(centre - half) / (1 + z**2 / n), (centre + half) / (1 + z**2 / n)]
    assert interval(n, share)[1:].tolist() == pytest.approx(expected, abs=1e-9)


def test_a_larger_test_set_gives_a_narrower_interval():
    widths = [np.diff(interval(n, 0.8)[1:])[0] for n in (100, 400, 1600)]
    # The width falls with the root of n.
    assert widths[0] / widths[1] == pytest.approx(2, rel=0.05)
    assert widths[1] / widths[2] == pytest.approx(2, rel=0.05)


def test_where_all_are_right_or_none_the_interval_still_has_a_width():
    assert interval(50, 1.0)[1] < 0.95
    assert interval(50, 0.0)[2] > 0.05


@pytest.mark.parametrize("n", [72, 300, 1000])
@pytest.mark.parametrize("share", [0.5, 0.8, 0.97])
def test_the_interval_of_an_accuracy_covers_the_truth_as_often_as_it_says(n, share):
    right = np.arange(n + 1)
    bounds = np.array([find_wilson(int(count), n) for count in right])
    covered = binom.pmf(right, n, share)[(bounds[:, 0] <= share) & (share <= bounds[:, 1])].sum()
    # Exact: of whole numbers, coverage goes up and down about .95 with n and share.
    assert 0.925 <= covered <= 0.985


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["f1", "matthews", "pearson", "spearman"])
@pytest.mark.parametrize("n", [72, 400])
@pytest.mark.parametrize("share", [0.8, 0.95])
def test_the_bootstrap_of_other_metrics_covers_the_truth(metric, n, share):
    def draw_pairs(size, rng):
        labels = rng.integers(0, 2, size)
        predicted = np.where(rng.random(size) < share, labels, 1 - labels)
        graded = metric in ("pearson", "spearman")
        return (labels + rng.random(size), predicted + rng.random(size)) if graded else (labels, predicted)

    rng = np.random.default_rng(0)
    truth = score_once(metric, *draw_pairs(400_000, rng))
    found = [score_with_interval(metric, *draw_pairs(n, rng), rng) for _ in range(400)]
    # 400 samples at .95: standard error .011. The page of intervals says that few sentences and a high correlation
    # are covered less.
    least = 0.88 if n < 100 and metric in ("pearson", "spearman") else 0.92
    assert np.mean([low <= truth <= high for _, low, high in found]) >= least


def score_once(metric, labels, predicted):
    return METRICS.load(metric)(labels, predicted, np.ones((1, len(labels)), dtype=int))[0]


@pytest.mark.slow
@pytest.mark.parametrize("n_resamples", [40, 1000])
def test_an_interval_of_few_resamples_holds_as_much_as_one_of_many(n_resamples):
    draws = np.random.default_rng(1).normal(size=(20_000, n_resamples + 1))
    low, high = percentile_interval(draws[:, 1:])
    # Standard error .0015. The default rule of numpy gives .904 with forty.
    assert np.mean((low <= draws[:, 0]) & (draws[:, 0] <= high)) == pytest.approx(0.95, abs=0.006)


def test_the_interval_of_a_mean_is_students_where_values_are_symmetric():
    values = np.random.default_rng(4).normal(size=(1, 20))
    values = np.concatenate([values, 2 - values], axis=1)
    low, high = scipy_t.interval(0.95, 39, values.mean(), sem(values[0]))
    assert means_with_intervals(values)[0] == pytest.approx([1.0, low, high], abs=1e-9)


def test_the_interval_of_a_mean_leans_to_the_side_of_the_long_tail_and_mirrors_with_it():
    values = np.random.default_rng(5).lognormal(size=(1, 40))
    value, low, high = means_with_intervals(values)[0]
    assert high - value > 1.2 * (value - low) > 0
    assert means_with_intervals(-values)[0] == pytest.approx([-value, -high, -low], abs=1e-12)
    assert means_with_intervals(3 * values + 1)[0] == pytest.approx([3 * value + 1, 3 * low + 1, 3 * high + 1])


@pytest.mark.parametrize("n", [1, 2, 3, 50])
def test_values_that_do_not_vary_have_an_interval_of_no_width(n):
    assert means_with_intervals(np.full((2, n), 0.7)) == pytest.approx(np.full((2, 3), 0.7))


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
    whole = score_with_interval(metric, labels, predicted, np.random.default_rng(2))
    monkeypatch.setattr(uncertainty, "_COUNTS", counts)
    assert score_with_interval(metric, labels, predicted, np.random.default_rng(2)) == pytest.approx(whole, abs=1e-12)


@pytest.mark.slow
def test_memory_is_bounded_for_many_sentences():
    """1,000 counts of each of 200,000 sentences would take 1.6 GB."""
    rng = np.random.default_rng(0)
    labels, predicted = rng.random((2, 20_000)).round(5)
    tracemalloc.start()
    try:
        means_with_intervals(np.zeros((3, 200_000)))
        score_with_interval("pearson", labels, predicted, rng)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * 2**27
