"""What a procedure's encoders have in the mean: by hand, by a naive bootstrap, and how often the interval holds it."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import t, ttest_1samp

from analysis.stats.draws import (
    BOOTSTRAP,
    FEWEST,
    STUDENT,
    TwoWays,
    average,
    draw_both,
    estimate_differences,
    estimate_from_bounds,
    estimate_scores,
)

RNG = np.random.default_rng


def draw_right(rng, n_encoders, n_sentences, mean=0.0, of_encoder=0.0, of_sentence=1.5, of_both=0.7):
    """Right or wrong where encoder, sentence and their meeting each shift the logit."""
    shifts = [of_encoder * rng.normal(size=(n_encoders, 1)), of_sentence * rng.normal(size=(1, n_sentences))]
    logits = mean + shifts[0] + shifts[1] + of_both * rng.normal(size=(n_encoders, n_sentences))
    return (rng.random(logits.shape) < expit(logits)).astype(float)


def expect(mean, *deviations):
    """Mean probability of being right, by Gauss and Hermite over the sum of the shifts."""
    places, weights = np.polynomial.hermite_e.hermegauss(60)
    return float(weights @ expit(mean + np.sqrt(np.square(deviations).sum()) * places) / weights.sum())


def cover(n_encoders, mean, of_encoder, n_trials, n_sentences=300):
    """Share of trials whose interval holds the truth."""
    rng, truth, held = RNG(n_encoders), expect(mean, of_encoder, 1.5, 0.7), 0
    for _ in range(n_trials):
        found = estimate_scores(
            draw_right(rng, n_encoders, n_sentences, mean, of_encoder), draw_both(n_encoders, n_sentences, rng)
        )
        held += found["low"] <= truth <= found["high"]
    return held / n_trials


def test_value_and_spread_are_those_of_the_encoders_means():
    right = draw_right(RNG(0), 4, 200, of_encoder=0.5)
    found = estimate_scores(right, None)
    means = [row.sum() / 200 for row in right]
    assert found["value"] == pytest.approx(sum(means) / 4)
    assert found["spread"] == pytest.approx(np.sqrt(sum((mean - sum(means) / 4) ** 2 for mean in means) / 3))
    assert (found["n_encoders"], found["method"]) == (4, STUDENT)


def test_where_sentences_do_not_count_the_interval_is_students_over_encoders():
    means = np.array([0.61, 0.64, 0.66, 0.6])
    found = estimate_from_bounds(means, means.mean(), means.mean())
    low, high = t.interval(0.95, 3, means.mean(), means.std(ddof=1) / 2)
    assert (found["low"], found["high"]) == (pytest.approx(low), pytest.approx(high))
    assert found["p"] == pytest.approx(ttest_1samp(means, 0).pvalue, rel=1e-6)


def test_where_encoders_are_alike_the_interval_is_that_over_the_sentences():
    row = (RNG(1).random(400) < 0.7).astype(float)
    found = estimate_scores(np.stack([row] * 3), None)
    assert found["spread"] == 0
    half = 1.96 * np.sqrt(row.mean() * (1 - row.mean()) / 400)  # Wald's, which is within a few tenths of a point here
    assert found["low"] == pytest.approx(row.mean() - half, abs=0.004)
    assert found["high"] == pytest.approx(row.mean() + half, abs=0.004)


def test_encoders_that_are_always_right_still_have_an_interval_and_it_ends_at_one():
    found = estimate_scores(np.ones((3, 50)), None)
    assert found["high"] == 1
    assert 0.9 < found["low"] < 1


def test_the_other_readouts_difference_is_the_same_with_the_other_sign():
    rng = RNG(2)
    differences = draw_right(rng, 5, 300, 0.3) - draw_right(rng, 5, 300)
    one, other = estimate_differences(differences, None), estimate_differences(-differences, None)
    assert one["value"] == pytest.approx(-other["value"])
    assert one["low"] == pytest.approx(-other["high"])
    assert one["p"] == pytest.approx(other["p"])


def test_the_two_way_bootstrap_is_the_mean_of_drawn_rows_and_columns():
    right = draw_right(RNG(3), FEWEST, 60, of_encoder=0.4)
    rows, columns = RNG(4).integers(FEWEST, size=(500, FEWEST)), RNG(5).integers(60, size=(500, 60))
    naive = [right[np.ix_(own, other)].mean() for own, other in zip(rows, columns, strict=True)]
    counted = TwoWays(*(np.stack([np.bincount(one, minlength=n) for one in drawn])
                        for drawn, n in ((rows, FEWEST), (columns, 60))))  # fmt: skip
    found = estimate_scores(right, counted)
    low, high = np.quantile(naive, [0.025, 0.975], method="weibull")
    assert (found["low"], found["high"]) == (pytest.approx(low), pytest.approx(high))
    assert found["method"] == BOOTSTRAP


def test_few_encoders_are_not_drawn_from():
    assert draw_both(FEWEST - 1, 10, RNG(0)) is None
    drawn = draw_both(FEWEST, 10, RNG(0))
    assert drawn is not None
    assert (drawn.encoders.sum(axis=1) == FEWEST).all()
    assert (drawn.sentences.sum(axis=1) == 10).all()


def test_a_mean_of_tasks_is_that_of_each_encoders_means():
    rng = RNG(6)
    tasks = [draw_right(rng, 4, 200, mean, 0.3) for mean in (0.0, 1.0)]
    means = np.array([task.mean(axis=1) for task in tasks])
    found = average([estimate_scores(task, None) for task in tasks], means)
    assert found["value"] == pytest.approx(np.mean([task.mean() for task in tasks]))
    assert found["spread"] == pytest.approx(means.mean(axis=0).std(ddof=1))
    # Of independent sentences: the halves add up as errors do, and a mean of two has half of the sum.
    halves = [np.sqrt(task.mean(axis=0).var() / 200) for task in tasks]
    over_encoders = t.ppf(0.975, 3) * means.mean(axis=0).std(ddof=1) / 2
    expected = np.hypot(over_encoders, 1.96 * np.hypot(*halves) / 2)
    assert found["high"] - found["value"] == pytest.approx(expected, rel=0.03)


def test_three_encoders_that_differ_are_covered_which_drawing_them_again_is_not():
    """Of 300 intervals at least .91 must hold the truth: fewer have a chance below .003 if 95 % do."""
    assert cover(3, 1.0, 0.4, 300) >= 0.91
    rng, truth, held = RNG(7), expect(1.0, 0.4, 1.5, 0.7), 0
    for _ in range(200):
        right = draw_right(rng, 3, 300, 1.0, 0.4)
        drawn = TwoWays(rng.multinomial(3, [1 / 3] * 3, 200), rng.multinomial(300, np.ones(300) / 300, 200))
        found = estimate_scores(right, drawn)
        held += found["low"] <= truth <= found["high"]
    assert held / 200 < 0.91


@pytest.mark.slow
@pytest.mark.parametrize("of_encoder", [0.0, 0.1, 0.3, 0.6])
@pytest.mark.parametrize("n_encoders", [3, 5, 10, FEWEST])
def test_the_interval_covers(n_encoders, of_encoder):
    """Of 500 intervals; below .92 has a chance below .003 if 95 % hold. It errs to the wide side with few encoders."""
    assert cover(n_encoders, 1.0, of_encoder, 500) >= 0.92
