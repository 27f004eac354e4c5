import numpy as np
import pandas as pd
import pytest
from scipy.stats import bootstrap, norm, ttest_1samp

from analysis.stats.paired import Paired, pair, paired_differences
from analysis.stats.significance import (
    MARGIN,
    add_errors,
    average_intervals,
    correlate_means,
    error_over_seeds,
    holm,
    is_equivalent,
    mcnemar,
    smallest_difference,
)
from analysis.stats.summary import summarise_tasks
from analysis.stats.within_run import compare, compare_all
from probing.bootstrap import interval_of_differences, percentile_interval, resample_rows
from probing.records import InputError


@pytest.fixture
def differences():
    return np.random.default_rng(3).choice([-1.0, 0.0, 1.0], size=400, p=[0.08, 0.75, 0.17])


def test_the_interval_is_that_of_scipys_bootstrap(differences):
    own = percentile_interval(resample_rows(differences[None], np.random.default_rng(1), 20_000)[0])
    theirs = bootstrap(
        (differences,), np.mean, n_resamples=4000, method="percentile", vectorized=True, rng=np.random.default_rng(2)
    ).confidence_interval
    # A 2.5 % quantile of 4000 draws has a standard error near 2.7 sd / sqrt(4000) = 0.043 sd; four of these.
    spread = differences.std() / np.sqrt(len(differences))
    assert own == pytest.approx(tuple(theirs), abs=4 * 0.043 * spread)


def test_resampled_means_have_the_bootstraps_moments(differences):
    means = resample_rows(differences[None], np.random.default_rng(1), 100_000)[0]
    spread = differences.std() / np.sqrt(len(differences))
    assert means.mean() == pytest.approx(differences.mean(), abs=5 * spread / np.sqrt(100_000))
    # The standard error of a standard deviation is about 1 / sqrt(2 draws) of it.
    assert means.std() == pytest.approx(spread, rel=5 / np.sqrt(200_000))


def test_equal_predictions_give_an_interval_of_no_width_and_p_one():
    nothing = np.zeros(50)
    assert percentile_interval(resample_rows(nothing[None], np.random.default_rng(0))[0]) == (0, 0)
    assert mcnemar(nothing) == 1


@pytest.mark.parametrize("disagreeing", [0, 1, 4])
def test_no_difference_is_called_resolved_that_the_exact_test_could_not_find(disagreeing):
    n = 50
    values = np.array([1.0, -1.0] * (disagreeing // 2) + [1.0] * (disagreeing % 2) + [0.0] * (n - disagreeing))
    least = next(k for k in range(1, n) if mcnemar(np.array([1.0] * k + [0.0] * (n - k))) < 0.05)
    assert smallest_difference(values) == least / n == 0.12
    assert smallest_difference(np.zeros(5)) == 1  # no difference at all is


def test_the_interval_of_a_mean_over_tasks_adds_their_errors():
    one = np.array([0.1, 0.04, 0.2])
    assert average_intervals(one[None]) == pytest.approx(one)
    # Independent and alike: variances add, so that the mean of four is half as wide.
    assert average_intervals(np.tile(one, (4, 1))) == pytest.approx([0.1, 0.07, 0.15])
    assert average_intervals(np.array([one, [0.3, 0.3, 0.3]])) == pytest.approx([0.2, 0.17, 0.25])


def test_means_over_the_same_sentences_err_together_as_a_bootstrap_of_sentences_says():
    rng, n = np.random.default_rng(0), 200
    pool = rng.normal(size=(2, n))
    values = [np.sign(pool[0].round()), np.sign((pool[0] + pool[1]).round())[: n // 2], rng.choice([-1.0, 0.0, 1.0], n)]
    ids = [np.arange(n), np.arange(n // 2), np.arange(n, 2 * n)]
    drawn = []
    for _ in range(4000):
        counts = np.bincount(rng.integers(2 * n, size=2 * n), minlength=2 * n)
        drawn.append([np.average(own, weights=counts[place]) for own, place in zip(values, ids, strict=True)])
    # 4,000 draws leave .016.
    assert correlate_means(values, ids) == pytest.approx(np.corrcoef(np.transpose(drawn)), abs=0.06)


def test_a_sentence_twice_in_a_test_counts_for_both_and_a_mean_that_does_not_vary_for_none():
    values, ids = [np.array([1.0, 1.0, 0.0, -1.0]), np.zeros(3)], [np.array([5, 5, 6, 7]), np.array([5, 6, 7])]
    assert correlate_means(values, ids).tolist() == [[1, 0], [0, 1]]
    same = [np.array([1.0, 0.0, -1.0]), np.array([0.5, 0.0, -0.5])]
    assert correlate_means(same, [np.arange(3)] * 2) == pytest.approx(np.ones((2, 2)))


def test_errors_that_go_together_widen_a_mean_and_opposite_ones_cancel():
    rows = np.tile([0.1, 0.04, 0.2], (2, 1))
    assert average_intervals(rows, np.ones((2, 2))) == pytest.approx(rows[0])
    assert average_intervals(rows, np.array([[1.0, -1.0], [-1.0, 1.0]])) == pytest.approx([0.1, 0.1, 0.1])


def test_of_one_error_the_sum_is_students():
    values = np.array([0.01, 0.03, -0.005, 0.02])
    mean, half, p = add_errors(float(values.mean()), [error_over_seeds(values)])
    theirs = ttest_1samp(values, 0)
    interval = theirs.confidence_interval(0.95)
    assert (mean - half, mean + half) == pytest.approx((interval.low, interval.high))
    assert p == pytest.approx(theirs.pvalue)
    assert error_over_seeds(values[:1]) is None


def test_seeds_that_differ_widen_a_difference_and_raise_its_p():
    rng = np.random.default_rng(0)
    right = rng.random((3, 400)) < np.array([[0.9], [0.75], [0.6]])
    several = pd.concat([frame(own.astype(int).tolist(), seed=seed) for seed, own in enumerate(right)])
    other = frame([1] * 240 + [0] * 160)
    both, alone = pair(several, other), Paired(pair(several, other).differences)
    assert both.mean == alone.mean == pytest.approx(right.mean() - 0.6)
    assert both.interval()[0] < alone.interval()[0]
    assert both.p > 0.05
    assert alone.p == mcnemar(both.differences)
    # Student's of three accuracies, whose deviation is some .15, is wider than all that the sentences leave.
    half = 4.303 * right.mean(axis=1).std(ddof=1) / np.sqrt(3)
    low = alone.interval()[0]
    # At most all that the sentences leave comes on top, and at least nothing.
    assert both.mean - np.hypot(both.mean - low, half) <= both.interval()[0] <= both.mean - half + 1e-9
    assert pair(frame([1, 0]), frame([0, 0])).over_seeds == []


def test_a_mean_over_tasks_with_the_same_test_sentences_is_less_sure(run):
    tasks = summarise_tasks(run)
    n = int(tasks["n"].max())
    shared = compare(run.predictions, tasks, "mix", "last", sentences={task: np.arange(n) for task in tasks["task"]})
    apart = compare(run.predictions, tasks, "mix", "last")
    of_tasks = shared["level"] == "task"
    pd.testing.assert_frame_equal(shared[of_tasks], apart[of_tasks])
    assert (shared.loc[~of_tasks, "difference"] == apart.loc[~of_tasks, "difference"]).all()
    assert (shared.loc[~of_tasks, "ci_low"] != apart.loc[~of_tasks, "ci_low"]).any()


@pytest.mark.parametrize(
    ("better", "worse", "p"),
    [
        (5, 0, 2 / 32),  # both tails of 2^-5
        (0, 5, 2 / 32),
        (3, 3, 1.0),
        (8, 2, 2 * (1 + 10 + 45) / 1024),  # C(10,0) + C(10,1) + C(10,2)
    ],
)
def test_mcnemar_is_the_binomial_of_the_discordant_sentences(better, worse, p):
    values = np.array([1.0] * better + [-1.0] * worse + [0.0] * 90)
    assert mcnemar(values) == pytest.approx(p)


def test_holm_by_hand():
    # Sorted 0.005 0.01 0.03 0.04, times 4 3 2 1: 0.02 0.03 0.06 0.04; the running maximum lifts the last to 0.06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == pytest.approx([1, 1])
    assert holm([0.02]) == pytest.approx([0.02])
    assert holm([]).size == 0


def test_the_smallest_difference_is_found_in_four_of_five_trials():
    n, disagreeing = 2000, 0.2
    values = np.array([1.0, -1.0] * int(n * disagreeing / 2) + [0.0] * int(n * (1 - disagreeing)))
    delta = smallest_difference(values)
    share = [(disagreeing + delta) / 2, 1 - disagreeing, (disagreeing - delta) / 2]
    counts = np.random.default_rng(0).multinomial(n, share, size=20_000)
    z = (counts[:, 0] - counts[:, 2]) / np.sqrt(counts[:, 0] + counts[:, 2])
    # Normal approximation of the test; 20,000 trials leave 0.003.
    assert np.mean(np.abs(z) > norm.ppf(0.975)) == pytest.approx(0.8, abs=0.015)


def frame(predicted, label=None, seed=0):
    n = len(predicted)
    return pd.DataFrame({"row": range(n), "label": label or [1] * n, "predicted": predicted, "seed": seed})


def test_differences_are_paired_by_sentence_whatever_the_order():
    one, other = frame([1, 1, 0, 0]), frame([1, 0, 1, 0])
    assert paired_differences(one.iloc[::-1], other).tolist() == [0, 1, -1, 0]


def test_seeds_are_averaged_within_a_sentence():
    one = pd.concat([frame([1, 1, 0]), frame([1, 0, 0], seed=1)])
    assert paired_differences(one, frame([0, 1, 0])).tolist() == [1, -0.5, 0]


@pytest.mark.parametrize("other", [frame([1, 0]), frame([1, 0, 1], label=[1, 0, 1])])
def test_other_sentences_or_labels_are_refused(other):
    with pytest.raises(InputError, match="same test sentences"):
        paired_differences(frame([1, 0, 1]), other)


def test_differences_of_a_run_are_those_of_its_scores(run):
    tasks, compared = summarise_tasks(run), compare_all(run)
    for first, second in (("mix", "last"), ("mix", "best"), ("best", "last")):
        rows = compared[(compared["first"] == first) & (compared["second"] == second)]
        by_task = rows[rows["level"] == "task"].set_index("task")["difference"]
        expected = tasks.set_index("task")[f"{first}_minus_{second}"]
        assert by_task.to_numpy() == pytest.approx(expected[by_task.index].to_numpy())
        semantic = rows[(rows["level"] == "group") & (rows["group"] == "semantic")]["difference"].item()
        of_group = tasks["group"] == "semantic"
        assert semantic == pytest.approx(tasks.loc[of_group, f"{first}_minus_{second}"].mean())


def test_a_task_more_moves_no_others_interval(run):
    tasks = summarise_tasks(run)
    every = compare(run.predictions, tasks, "mix", "last").set_index("task")
    alone = compare(run.predictions, tasks[tasks["task"] == "obj_number"], "mix", "last").set_index("task")
    for column in ("difference", "ci_low", "ci_high", "p"):
        assert every.loc["obj_number", column] == alone.loc["obj_number", column]


def test_without_a_mix_only_the_layers_are_compared(plain_run):
    compared = compare_all(plain_run)
    assert set(zip(compared["first"], compared["second"], strict=True)) == {("best", "last")}


def test_a_task_without_a_mix_leaves_its_group_without_a_mean(run):
    tasks = summarise_tasks(run)
    tasks.loc[tasks["task"] == "tree_depth", "mix"] = np.nan
    compared = compare(run.predictions, tasks, "mix", "last")
    assert compared.loc[compared["level"] == "group", "group"].tolist() == ["surface", "semantic"]
    assert "tree_depth" not in set(compared["task"])


def test_missing_predictions_are_named(run):
    lacking = run.predictions[run.predictions["task"] != "obj_number"]
    with pytest.raises(InputError, match="task obj_number: predictions of scalar_mix"):
        compare(lacking, summarise_tasks(run), "mix", "last")


def find_equivalent(difference, n=4000, trials=4000, disagreement=0.04, seed=0):
    """Share of simulated test sets on which two models are called equivalent, whose true difference is given."""
    rng = np.random.default_rng(seed)
    shares = [(disagreement - difference) / 2, 1 - disagreement, (disagreement + difference) / 2]
    counts = rng.multinomial(n, shares, size=trials)
    found = 0
    for worse, same, better in counts:
        values = np.repeat([-1.0, 0.0, 1.0], [worse, same, better])
        found += is_equivalent(*interval_of_differences(values, 0.9))
    return found / trials


@pytest.mark.slow
def test_models_a_margin_apart_are_called_equivalent_in_one_test_set_of_twenty_at_most():
    # Four standard errors of a share of 4,000 trials above .05: .064.
    assert find_equivalent(MARGIN) < 0.064
    assert find_equivalent(-MARGIN) < 0.064
    assert find_equivalent(1.5 * MARGIN) < 0.001


def test_equal_models_are_called_equivalent_where_the_test_set_can_tell():
    # z = margin / sqrt(.04 / 4000) = 3.16, so each one-sided test holds with probability Phi(3.16 - 1.645) = .935.
    assert find_equivalent(0.0) == pytest.approx(2 * norm.cdf(3.162 - 1.645) - 1, abs=0.03)
    assert find_equivalent(0.0, n=400, trials=400) == 0.0


def test_a_row_is_equivalent_where_both_one_sided_tests_hold(run):
    tasks, compared = summarise_tasks(run), compare_all(run)
    own = compared[compared["level"] == "task"]
    assert set(own["equivalent"]) <= {True, False}
    same = compare(run.predictions, tasks.assign(best=tasks["last"], best_layer=tasks["last_layer"]), "best", "last")
    rows = same[same["level"] == "task"]
    assert (rows["difference"] == 0).all()
    # No sentence tells the two apart: of n, one of each side is added, so that z sqrt(2 / (n + 2)^2) is below a point.
    expected = 1.645 * np.sqrt(2) / (rows["n"] + 2) < MARGIN
    assert rows["equivalent"].tolist() == expected.tolist()
