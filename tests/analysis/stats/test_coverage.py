"""Every interval that analysis prints holds the truth about as often as it says, by simulation."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from analysis.replication import newcombe
from analysis.stats.convergence import judge_ratio, measure_error
from analysis.stats.depth import expect_layer
from analysis.stats.dev_curves import DevCurves, find_steps
from analysis.stats.paired import Paired, pair
from analysis.stats.seeds import measure_seeds
from analysis.stats.significance import average_intervals, correlate_means, mcnemar
from analysis.stats.trained_scores import compare_over_seeds, compare_scores
from probing.bootstrap import interval_of_differences, percentile_interval, resample_rows

pytestmark = pytest.mark.slow

STEPS = np.arange(0, 201, 20.0)
N = 600
"""Samples of each simulation: a coverage of .95 then has a standard error of .009."""
LEAST = 0.92
"""Three standard errors below .95."""


def draw_curves(rng, n_seeds, noise):
    """A curve from .5 to .85; each seed has its own height, and each evaluation its own noise."""
    rise = 1 - np.exp(-STEPS / 60)
    curve = 0.5 + 0.35 * rise / rise[-1]
    heights = rng.normal(0, noise, (n_seeds, 1)) * (STEPS > 0)
    return DevCurves(STEPS, curve + heights + rng.normal(0, noise, (n_seeds, len(STEPS))))


def judge(one, two, share):
    steps = [find_steps(STEPS, curves.mean, share * one.mean[:, -1])[0] for curves in (one, two)]
    if not np.isfinite(steps).all():
        return None
    low, high, p = judge_ratio(steps[0] / steps[1], measure_error(share, one, two), len(one.scores) - 1)
    return None if np.isnan(low) else (low, high, p)


@pytest.mark.parametrize("share", [0.95, 0.98])
@pytest.mark.parametrize("n_seeds", [2, 3, 5, 10])
@pytest.mark.parametrize("noise", [0.005, 0.01])
def test_the_ratio_of_steps_of_two_equal_models_covers_one(share, n_seeds, noise):
    rng = np.random.default_rng(0)
    drawn = (judge(*(draw_curves(rng, n_seeds, noise) for _ in range(2)), share) for _ in range(N))
    found = [numbers for numbers in drawn if numbers]
    covered = np.mean([low <= 1 <= high for low, high, _ in found])
    assert len(found) > N / 2
    assert covered >= LEAST
    assert np.mean([p < 0.05 for *_, p in found]) == pytest.approx(1 - covered)


@pytest.mark.parametrize("n_seeds", [3, 5])
def test_drawing_three_or_five_seeds_with_replacement_would_not_cover(n_seeds):
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(N):
        one, two = (draw_curves(rng, n_seeds, 0.01) for _ in range(2))
        means = [c.scores[rng.integers(n_seeds, size=(1000, n_seeds))].mean(axis=1) for c in (one, two)]
        target = 0.95 * means[0][:, -1]
        ratios = find_steps(STEPS, means[0], target) / find_steps(STEPS, means[1], target)
        low, high = percentile_interval(ratios)
        covered.append(low <= 1 <= high)
    assert np.mean(covered) < LEAST


def draw_trained(rng, n_seeds, n, effect, together):
    """Two models' rows of dev scores; `together` is the share of a sentence's difficulty that they have in common."""
    common = rng.normal(size=n)
    rows = []
    for shift in (0.0, effect):
        own = np.sqrt(together) * common + np.sqrt(1 - together) * rng.normal(size=n)
        seeds = rng.normal(0, 0.05, (n_seeds, 1)) + 0.3 * rng.normal(size=(n_seeds, n))
        value = (own + seeds + 1 + shift > 0).mean(axis=1)
        half = 1.96 * np.sqrt(value * (1 - value) / n)
        bounds = {"ci_low": value - half, "ci_high": value + half}
        rows.append(pd.DataFrame({"seed": range(n_seeds), "value": value} | bounds))
    return rows


@pytest.mark.parametrize("together", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("n_seeds", [3, 5])
def test_the_difference_of_trained_scores_covers_the_truth_over_seeds_and_sentences(n_seeds, together):
    rng = np.random.default_rng(2)
    effect = 0.1
    spread = np.sqrt(1 + 0.05**2 + 0.3**2)
    truth = norm.cdf((1 + effect) / spread) - norm.cdf(1 / spread)
    found = [compare_scores(*draw_trained(rng, n_seeds, 400, effect, together)) for _ in range(N)]
    assert np.mean([low <= truth <= high for _, low, high, _ in found]) >= LEAST
    null = [compare_scores(*draw_trained(rng, n_seeds, 400, 0.0, together))[3] for _ in range(N)]
    assert np.mean([p < 0.05 for p in null]) <= 1 - LEAST


def test_over_seeds_alone_the_difference_of_trained_scores_would_not_cover():
    rng = np.random.default_rng(3)
    covered = []
    for _ in range(N):
        one, two = draw_trained(rng, 5, 400, 0.0, 0.0)
        _, low, high, _ = compare_over_seeds(two["value"] - one["value"])
        covered.append(low <= 0 <= high)
    assert np.mean(covered) < LEAST


@pytest.mark.parametrize("n", [20, 72, 300, 1000])
@pytest.mark.parametrize("up_and_down", [(0.0, 0.0), (0.01, 0.01), (0.03, 0.0), (0.1, 0.02), (0.2, 0.1), (0.3, 0.3)])
def test_a_paired_difference_covers_the_truth(n, up_and_down):
    up, down = up_and_down
    rng = np.random.default_rng(8)
    differences = rng.choice([1.0, -1.0, 0.0], size=(4000, n), p=[up, down, 1 - up - down])
    low, high = interval_of_differences(differences)
    # Standard error .0035.
    assert np.mean((low <= up - down) & (up - down <= high)) >= 0.935


def test_a_bootstrap_of_few_sentences_that_differ_all_to_one_side_would_not_cover():
    rng = np.random.default_rng(9)
    covered = []
    for _ in range(N):
        low, high = percentile_interval(
            resample_rows(rng.choice([1.0, 0.0], size=(1, 72), p=[0.03, 0.97]), rng, 1000)[0]
        )
        covered.append(low <= 0.03 <= high)
    assert np.mean(covered) < LEAST


@pytest.mark.parametrize("shares", [(0.6, 0.7, 0.75, 0.78, 0.78), (0.5, 0.8, 0.85, 0.86, 0.86)])
def test_the_expected_layer_of_cumulative_mixes_covers_the_truth(shares):
    rng, layers, n = np.random.default_rng(10), range(len(shares)), 300
    truth, trials, found = expect_layer(np.array(shares), layers), 250, []
    for _ in range(trials):
        # What mixes of growing size get right is much the same.
        latent = 0.8 * rng.normal(size=n) + 0.6 * rng.normal(size=(len(shares), n))
        correct = (latent < norm.ppf(shares)[:, None]).astype(float)
        found.append(percentile_interval(expect_layer(resample_rows(correct, rng, 500), layers)))
    # Standard error .014.
    assert np.mean([low <= truth <= high for low, high in found]) >= 0.91


def test_a_mean_over_tasks_covers_the_mean_of_the_differences():
    rng = np.random.default_rng(4)
    truth, sizes = [0.02, 0.0, -0.03], [72, 300, 1000]
    covered = []
    for _ in range(N):
        drawn = [
            rng.choice([-1, 0, 1], size=n, p=[0.1 - d / 2, 0.8, 0.1 + d / 2]) for d, n in zip(truth, sizes, strict=True)
        ]
        intervals = [(values.mean(), *interval_of_differences(values)) for values in drawn]
        _, low, high = average_intervals(np.array(intervals))
        covered.append(low <= np.mean(truth) <= high)
    assert np.mean(covered) >= LEAST


@pytest.mark.parametrize("sharing", [0.3, 1.0])
def test_a_mean_over_tasks_that_share_sentences_covers_and_taken_for_independent_it_would_not(sharing):
    rng, n, n_tasks, found = np.random.default_rng(11), 300, 5, []
    truth = norm.cdf(-1.2) - norm.cdf(-1.6)
    for _ in range(1000):
        # What is hard for one readout in one task is hard for it in others.
        pool, own, ids = rng.normal(size=n), [], []
        for task in range(n_tasks):
            shared = np.arange(n) < sharing * n
            latent = np.where(shared, pool, rng.normal(size=n)) * 0.9 + np.sqrt(0.19) * rng.normal(size=n)
            own.append((latent < -1.2).astype(float) - (latent > 1.6))
            ids.append(np.where(shared, np.arange(n), n * (task + 1) + np.arange(n)))
        intervals = np.array([(values.mean(), *interval_of_differences(values)) for values in own])
        bounds = [average_intervals(intervals, known)[1:] for known in (correlate_means(own, ids), None)]
        found.append([low <= truth <= high for low, high in bounds])
    # Standard error .007.
    together, apart = np.mean(found, axis=0)
    assert 0.93 <= together <= 0.975
    assert apart < (0.87 if sharing == 1 else together)


def draw_readouts(rng, n_seeds, n, of_seeds, shift):
    """Two readouts with the same seeds: right or wrong about each sentence, and their true difference over both."""
    sentences, scale = rng.normal(size=n), np.sqrt(1 + of_seeds**2 + 0.3**2)
    readouts = [
        sentences + rng.normal(0, of_seeds, (n_seeds, 1)) + rng.normal(0, 0.3, (n_seeds, n)) + height > 0
        for height in (0.8 + shift, 0.8)
    ]
    return readouts, norm.cdf((0.8 + shift) / scale) - norm.cdf(0.8 / scale)


@pytest.mark.parametrize(("n_seeds", "n"), [(3, 72), (3, 1000), (5, 300)])
@pytest.mark.parametrize("of_seeds", [0.0, 0.15])
def test_a_paired_difference_of_several_seeds_covers_the_truth_over_seeds_and_sentences(n_seeds, n, of_seeds):
    rng, covered, sure, sentences_alone = np.random.default_rng(12), [], [], []
    for shift in (0.1, 0.0):
        for _ in range(120):
            (one, two), truth = draw_readouts(rng, n_seeds, n, of_seeds, shift)
            both = pair(*map(predictions_of, (one, two)))
            low, high = both.interval()
            covered.append(low <= truth <= high)
            low, high = Paired(both.differences).interval()
            sentences_alone.append(low <= truth <= high)
            sure.append(both.p < 0.05 and not shift)
    # Standard errors .014 and .020.
    assert np.mean(covered) >= 0.91
    assert np.sum(sure) / 120 <= 0.11
    if of_seeds and n == 1000:
        assert np.mean(sentences_alone) < 0.8


@pytest.mark.parametrize("up_and_down", [(0.05, 0.05), (0.03, 0.0), (0.08, 0.0), (0.15, 0.05)])
def test_the_interval_of_a_paired_difference_leaves_out_0_about_as_often_as_mcnemar_rejects(up_and_down):
    up, down = up_and_down
    rng = np.random.default_rng(13)
    differences = rng.choice([1.0, -1.0, 0.0], size=(1000, 72), p=[up, down, 1 - up - down])
    low, high = interval_of_differences(differences)
    leaves_out = (low > 0) | (high < 0)
    rejects = np.array([mcnemar(one) < 0.05 for one in differences])
    # Exact and so cautious: whatever McNemar is sure of, the interval is sure of too, and a bootstrap is nine times
    # as often where 3 % differ, all to one side.
    assert (leaves_out | ~rejects).all()
    assert leaves_out.mean() <= 1.5 * rejects.mean() + 0.01


@pytest.mark.parametrize("n", [3, 5, 10])
@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.1, 0.1), (0.9, 0.2)])
def test_the_difference_of_two_shares_covers_the_truth(n, shares):
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(N):
        one, two = (rng.random(n) < share for share in shares)
        _, low, high = newcombe(one, two)
        covered += low <= shares[0] - shares[1] <= high
    # Of so few, coverage goes up and down with the shares (Newcombe 1998, table III): never far below .95.
    assert covered / N >= 0.9


@pytest.mark.parametrize("n_seeds", [3, 5])
@pytest.mark.parametrize("of_seeds", [0.0, 0.15])
@pytest.mark.parametrize("height", [0.8, 1.9])
@pytest.mark.parametrize("n", [72, 300, 1000])
def test_an_accuracy_over_seeds_and_sentences_covers_the_mean_over_both(n_seeds, of_seeds, height, n):
    rng = np.random.default_rng(6)
    covered, trials = 0, 600
    truth = norm.cdf(height / np.sqrt(1 + of_seeds**2 + 0.3**2))
    for _ in range(trials):
        sentences, seeds = rng.normal(size=n), rng.normal(0, of_seeds, (n_seeds, 1))
        right = sentences + seeds + rng.normal(0, 0.3, (n_seeds, n)) + height > 0
        row = measure_seeds(right.astype(float))
        covered += row["both_low"] <= truth <= row["both_high"]
    # Standard error .009.
    assert covered / trials >= LEAST


def predictions_of(right):
    n_seeds, n = right.shape
    seeds, rows = np.repeat(np.arange(n_seeds), n), np.tile(np.arange(n), n_seeds)
    return pd.DataFrame({"seed": seeds, "row": rows, "label": 1, "predicted": right.astype(int).ravel()})
