"""Answers of a search: differences, intervals and Kendall's tau, by routes of their own."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from analysis.stats.search import (
    answer_questions,
    best_so_far,
    compare_orders,
    measure_agreement,
    summarise_orders,
)

N_BLOCKS, TOKENS = 60, 9


def draw_answers(shares, n_seeds=3, n_blocks=N_BLOCKS, seed=0):
    """Answers of orders that are right with given shares; hard blocks are hard for all."""
    rng = np.random.default_rng(seed)
    hard = rng.uniform(0.6, 1.4, n_blocks)
    rows = [
        (order, one, "test", block, TOKENS, rng.binomial(TOKENS, min(1, share * hard[block])), 0.0)
        for order, share in shares.items()
        for one in range(n_seeds)
        for block in range(n_blocks)
    ]
    return pd.DataFrame(rows, columns=["order", "seed", "split", "block", "n", "right", "nats"])


def test_a_difference_is_that_of_the_shares_of_right_answers():
    answers = draw_answers({"one": 0.5, "other": 0.3})
    right = answers.groupby("order")["right"].sum() / (3 * N_BLOCKS * TOKENS)
    found = compare_orders(answers, "one", "other")
    assert found["difference"] == pytest.approx(right["one"] - right["other"])
    assert (found["n_seeds"], found["n"]) == (3, N_BLOCKS * TOKENS)
    assert found["low"] > 0
    back = compare_orders(answers, "other", "one")
    assert back["difference"] == pytest.approx(-found["difference"])


@pytest.mark.slow
def test_equal_orders_are_told_apart_as_rarely_as_the_interval_says():
    """Of 100 pairs that differ in nothing some 5 have an interval without 0; above 14 has a chance below 1 in 5000."""
    missed = 0
    for seed in range(100):
        found = compare_orders(draw_answers({"one": 0.4, "other": 0.4}, n_blocks=25, seed=seed), "one", "other")
        missed += not found["low"] <= 0 <= found["high"]
    assert missed <= 14


def test_seeds_that_differ_widen_the_interval_beyond_the_blocks():
    answers = draw_answers({"one": 0.4, "other": 0.4})
    moved = answers.copy()
    lucky = (moved["order"] == "one") & (moved["seed"] == 0)
    moved.loc[lucky, "right"] = np.minimum(TOKENS, moved.loc[lucky, "right"] + 2)
    narrow, wide = (compare_orders(one, "one", "other") for one in (answers, moved))
    assert wide["high"] - wide["low"] > 2 * (narrow["high"] - narrow["low"])


def test_with_one_seed_there_is_an_interval_over_blocks():
    found = compare_orders(draw_answers({"one": 0.5, "other": 0.3}, n_seeds=1), "one", "other")
    assert found["n_seeds"] == 1
    assert 0 < found["low"] < found["difference"] < found["high"]


def test_of_few_blocks_nothing_is_concluded():
    found = compare_orders(draw_answers({"one": 0.9, "other": 0.1}, n_blocks=2), "one", "other")
    assert (found["low"], found["high"]) == (-1, 1)
    assert found["difference"] > 0.5


def test_only_questions_are_answered_that_both_orders_are_there_for():
    answers = draw_answers({"searched": 0.5, "interleaved": 0.3, "sandwich": 0.3})
    assert answer_questions(answers)["question"].tolist() == ["searched against interleaved"]
    assert answer_questions(answers, "dev").empty
    assert compare_orders(answers, "searched", "varied") is None


def count_tau(pairs):
    """Kendall's tau of pairs without ties, counted."""
    signs = [np.sign((a - c) * (b - d)) for (a, b), (c, d) in combinations(pairs, 2)]
    return np.mean(signs)


def test_tau_counts_agreeing_pairs():
    orders = pd.DataFrame({"supernet": [1.0, 2, 3, 4, 5], "value": [2.0, 1, 4, 3, 5], "pattern": list("abcde")})
    found = measure_agreement(orders)
    assert found["tau"] == pytest.approx(count_tau(orders[["supernet", "value"]].to_numpy()))
    assert found["low"] < found["tau"] < found["high"]
    assert found["n"] == 5


def test_equal_patterns_count_once_and_orders_off_the_supernet_not_at_all():
    orders = pd.DataFrame({"supernet": [1.0, 2, 3, 3, np.nan], "value": [1.0, 2, 3, 3, 9], "pattern": list("abccd")})
    found = measure_agreement(orders)
    assert (found["n"], found["tau"]) == (3, pytest.approx(1))
    assert np.isnan(measure_agreement(orders.iloc[:2])["tau"])
    assert np.isnan(measure_agreement(orders.assign(supernet=0.1))["tau"])


def test_orders_stand_by_their_scores_with_what_they_are_above_the_interleaved_one():
    shares = {"interleaved": 0.3, "searched": 0.5, "random-1": 0.2}
    known = pd.DataFrame({"order": list(shares), "pattern": ["12", "02", "22"], "supernet": [0.2, 0.4, np.nan]})
    orders = summarise_orders(draw_answers(shares), known)
    assert orders["order"].tolist() == ["searched", "interleaved", "random-1"]
    assert orders["difference"].isna().tolist() == [False, True, False]
    assert orders["n_seeds"].eq(3).all()


def test_the_best_so_far_never_falls():
    scores = [0.1, 0.3, 0.2, 0.4]
    best = best_so_far(pd.DataFrame({"arm": ["evolution"] * 4, "score": scores}))
    assert best["score"].tolist() == [0.1, 0.3, 0.3, 0.4]
    assert best["n"].tolist() == [1, 2, 3, 4]
