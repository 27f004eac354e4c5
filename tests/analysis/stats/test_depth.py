from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest
from scipy.stats import entropy, spearmanr

from analysis.runs.frames import mean_scores
from analysis.stats.controls import summarise_controls
from analysis.stats.depth import (
    compare_layers,
    correctness,
    correlate_ranks,
    entropy_bits,
    expect_layer,
    explain_disagreement,
    find_indistinct,
    judge_agreement,
    summarise_depth,
    warn_of_disagreement,
)
from analysis.stats.seeds import summarise_seeds
from analysis.tables.controls import narrow_controls
from analysis.tables.depth import list_layers, narrow_depth
from analysis.tables.seeds import narrow_seeds
from probing.bootstrap import percentile_interval, resample_rows


def test_expected_layer_is_tenneys():
    scores = np.array([0.5, 0.7, 0.8, 0.8, 0.9])
    # Gains 2, 1, 0, 1 tenths at layers 1 to 4.
    assert expect_layer(scores, range(5)) == pytest.approx((1 * 2 + 2 * 1 + 4 * 1) / 4)


def test_expected_layer_of_many_resamples_at_once():
    scores = np.random.default_rng(0).uniform(size=(4, 6)).cumsum(axis=0)
    each = [expect_layer(column, range(4)) for column in scores.T]
    assert expect_layer(scores, range(4)) == pytest.approx(np.array(each))


@pytest.mark.parametrize("weights", [[0.25] * 4, [0.7, 0.2, 0.1, 0.0], [1.0, 0.0, 0.0, 0.0]])
def test_entropy_and_its_distance_from_even_are_scipys(weights):
    weights = np.array(weights)
    assert entropy_bits(weights) == pytest.approx(entropy(weights, base=2))
    assert 2 - entropy_bits(weights) == pytest.approx(entropy(weights, [0.25] * 4, base=2))


def test_rank_correlation_is_scipys():
    one, other = (pd.Series(np.random.default_rng(seed).uniform(size=8)) for seed in (0, 1))
    assert correlate_ranks(one, other) == pytest.approx(spearmanr(one, other).statistic)
    assert np.isnan(correlate_ranks(one, pd.Series([1.0] * 8)))


def test_layers_far_below_the_best_are_told_apart_and_near_ones_are_not():
    rng = np.random.default_rng(0)
    labels, frames = rng.integers(0, 2, 600), []
    for layer, share in enumerate([0.6, 0.87, 0.88, 0.6]):
        predicted = np.where(rng.random(600) < share, labels, 1 - labels)
        frames.append(pd.DataFrame({"layer": layer, "row": range(600), "label": labels, "predicted": predicted}))
    predictions = pd.concat(frames).assign(task="depth", representation="layer", control="none", seed=0)
    compared = compare_layers(predictions, "depth", 2)
    assert compared["layer"].tolist() == [0, 1, 3]
    assert find_indistinct(compared, 2) == (1, 2)


def test_a_layer_better_on_test_than_the_one_chosen_on_dev_counts_as_good():
    compared = pd.DataFrame({"layer": [0, 1], "difference": [0.2, -0.2], "p_holm": [0.001, 0.001]})
    assert find_indistinct(compared, 2) == (0, 2)


def test_summary_of_a_run(run):
    depth = summarise_depth(run).set_index("task")
    means = mean_scores(run.scores)
    for task, row in depth.iterrows():
        weights = run.weights[run.weights["task"] == task]
        assert row["gravity_weight"] == pytest.approx((weights["layer"] * weights["weight"]).sum())
        assert row["best_layer"] in row["indistinct"]
        scores = means[(means["task"] == task) & (means["representation"] == "layer")]["value"]
        expected = spearmanr(weights["weight"], scores).statistic
        assert row["rank_weight_score"] == pytest.approx(expected)
        assert np.isnan(row["expected_layer"])
    assert correctness(run.predictions, "tree_depth", "layer")[3].mean() == pytest.approx(
        means[(means["task"] == "tree_depth") & (means["layer"] == 3)]["value"].item()
    )


def test_cumulative_mixes_and_compressions_give_their_summaries(run):
    rng, n = np.random.default_rng(0), 400
    labels, frames = rng.integers(0, 2, n), []
    for layer, share in enumerate([0.55, 0.6, 0.9, 0.9]):
        predicted = np.where(np.linspace(0, 1, n) < share, labels, 1 - labels)
        frames.append(pd.DataFrame({"layer": layer, "row": range(n), "label": labels, "predicted": predicted}))
    added = pd.concat(frames).assign(task="tree_depth", representation="cumulative_mix", control="none", seed=0)
    row = run.scores[(run.scores["task"] == "tree_depth") & (run.scores["split"] == "test")].iloc[[1]]
    row = row.assign(metric="compression_gravity", value=2.5, ci_low=2.4, ci_high=2.6, layer=-1)
    parts = vars(run) | {"predictions": pd.concat([run.predictions, added]), "scores": pd.concat([run.scores, row])}
    depth = summarise_depth(type(run)(**parts)).set_index("task").loc["tree_depth"]
    assert depth["expected_layer"] == pytest.approx((1 * 0.05 + 2 * 0.3) / 0.35, abs=0.02)
    assert depth["expected_layer_low"] < depth["expected_layer"] < depth["expected_layer_high"]
    assert depth["gravity_compression"] == 2.5


def test_measured_intervals_of_the_weights_stand_beside_their_summaries(run):
    row = run.scores[(run.scores["task"] == "tree_depth") & (run.scores["split"] == "test")].iloc[[1]]
    names = {"weight_gravity": 2.5, "contribution_gravity": 3.5, "weight_entropy_bits": 1.5}
    rows = [row.assign(metric=name, value=at, ci_low=at - 0.5, ci_high=at + 0.25) for name, at in names.items()]
    # A control's must not be taken for the task's.
    rows.insert(0, rows[0].assign(control="control_task", ci_low=0.0))
    both = type(run)(**(vars(run) | {"scores": pd.concat([run.scores, *rows])}))
    depth, plain = (summarise_depth(one).set_index("task").loc["tree_depth"] for one in (both, run))
    assert (depth["gravity_weight_low"], depth["gravity_weight_high"]) == (2.0, 2.75)
    assert (depth["gravity_contribution_low"], depth["gravity_contribution_high"]) == (3.0, 3.75)
    assert depth["gravity_weight"] == plain["gravity_weight"]
    assert np.isnan(plain["gravity_weight_low"])
    # The divergence from even weights is what the entropy lacks.
    assert depth["kl_uniform_bits_low"] == pytest.approx(np.log2(7) - depth["entropy_bits_high"])
    assert depth["kl_uniform_bits"] == pytest.approx(np.log2(7) - depth["entropy_bits"])


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, "agree"),
        ({"gravity_contribution": 4.0}, "do not agree"),
        ({"disagreement": "weight points to layer 1"}, "do not agree"),
        ({"indistinct": (1, 2, 3, 4)}, "inconclusive"),
        ({"indistinct": tuple(range(7)), "gravity_contribution": 4.2}, "inconclusive"),
    ],
)
def test_summaries_agree_only_where_few_layers_are_as_good_as_the_best(changed, told):
    row = {"indistinct": (1, 2, 3), "gravity_contribution": 2.2, "disagreement": ""}
    assert judge_agreement(row | changed, 7) == told


def test_the_rule_of_disagreement():
    names = {0: "embeddings", 1: "1", 2: "2"}
    agreed = {"top_weight": 2, "top_contribution": 2, "best_layer": 1, "indistinct": (1, 2), "mixed": [1, 2]}
    assert not explain_disagreement(agreed, names)
    assert not explain_disagreement({"best_layer": 1}, names)
    assert "weight points to layer 1" in explain_disagreement(agreed | {"top_weight": 1}, names)
    assert "worse alone than layer 1" in explain_disagreement(agreed | {"indistinct": (1,)}, names)
    outside = agreed | {"best_layer": 0, "indistinct": (0,)}
    assert not explain_disagreement(outside, names)


def test_layers_are_listed_in_short():
    assert list_layers((0, 1, 2, 4, 6, 7)) == "0-2, 4, 6-7"
    assert list_layers((3,)) == "3"


def test_the_tables_have_a_row_for_every_task_and_reading(run):
    assert len(narrow_depth(summarise_depth(run)).rows) == 10
    assert not narrow_controls(summarise_controls(run)).rows
    assert all("disagree" in line for line in warn_of_disagreement(summarise_depth(run)))


def test_controls_stand_beside_the_reading_they_belong_to(run):
    test = run.scores[(run.scores["split"] == "test") & (run.scores["representation"] == "layer")]
    control = test.assign(control="control_task", value=0.4)
    difference = test.assign(control="control_task", metric="selectivity", value=test["value"] - 0.4)
    scores = pd.concat([run.scores, control, difference])
    summary = summarise_controls(type(run)(**(vars(run) | {"scores": scores})))
    best = summary[summary["contender"] == "best"]
    assert best["control_task"].tolist() == [0.4] * 10
    assert best["control_task_difference"].to_numpy() == pytest.approx(best["value"].to_numpy() - 0.4)
    assert summary.loc[summary["contender"] == "mix", "control_task"].isna().all()
    assert len(narrow_controls(summary).rows) == 20


def test_rows_resampled_together_have_the_bootstraps_joint_distribution():
    rng = np.random.default_rng(0)
    values = (rng.random((3, 500)) < [[0.3], [0.5], [0.9]]).astype(float)
    values[2] = 1 - values[0]
    means = resample_rows(values, np.random.default_rng(1), 20_000)
    assert means[0] + means[2] == pytest.approx(np.ones(20_000))
    assert means.std(axis=1) == pytest.approx(values.std(axis=1) / 500**0.5, rel=0.03)
    alone = resample_rows(values[1][None], np.random.default_rng(2), 20_000)[0]
    assert percentile_interval(means[1]) == pytest.approx(percentile_interval(alone), abs=0.004)


def test_seeds_of_a_run_are_summarised(build_run):
    several = build_run(tasks=["tree_depth"], seeds=(0, 1, 2))
    rows = summarise_seeds(several.predictions)
    assert (rows["n_seeds"] == 3).all()
    for kind in ("sentences", "seeds", "both"):
        assert ((rows[f"{kind}_low"] <= rows["value"]) & (rows["value"] <= rows[f"{kind}_high"])).all()
    far = [
        rows["both_high"] - rows["value"],
        rows["sentences_high"] - rows["value"],
        rows["seeds_high"] - rows["value"],
    ]
    assert far[0].to_numpy() == pytest.approx(np.hypot(far[1], far[2]).to_numpy())
    single = rows[rows["layer"] == 3].iloc[0]
    n = 300
    expected = NormalDist().inv_cdf(0.975) * (single["value"] * (1 - single["value"]) / n) ** 0.5
    # Seeds agree on most sentences, so that three are hardly more than one.
    assert (single["sentences_high"] - single["sentences_low"]) / 2 == pytest.approx(expected, rel=0.3)
    assert len(narrow_seeds(rows).rows) == 8
    assert summarise_seeds(build_run(tasks=["tree_depth"]).predictions).empty
