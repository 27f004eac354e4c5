import numpy as np
import pandas as pd
import pytest

from analysis.stats.summary import centre_of_gravity, choose_layers, summarise, summarise_groups, summarise_tasks


def pick(scores, **where):
    for column, value in where.items():
        scores = scores[scores[column] == value]
    return scores


def test_last_best_and_mix_are_the_rows_of_the_score_table(run):
    for task in summarise_tasks(run).to_dict("records"):
        rows = pick(run.scores, task=task["task"])
        dev = pick(rows, split="dev", representation="layer")
        best = dev.loc[dev["value"].idxmax(), "layer"]
        assert task["best_layer"] == best
        assert task["best"] == pick(rows, split="test", representation="layer", layer=best)["value"].item()
        assert task["last"] == pick(rows, split="test", layer=6)["value"].item()
        assert task["last_name"] == "layer 6"
        assert task["mix"] == pick(rows, split="test", representation="scalar_mix")["value"].item()
        assert task["mix_minus_last"] == pytest.approx(task["mix"] - task["last"])


def test_the_best_layer_is_chosen_on_dev_and_not_on_test(run):
    scores = run.scores.copy()
    planted = (scores["task"] == "obj_number") & (scores["layer"] == 2) & (scores["split"] == "test")
    scores.loc[planted, "value"] = 0.999
    changed = summarise_tasks(type(run)(run.folder, scores, run.weights, run.predictions, {}, {}))
    chosen = changed.set_index("task").loc["obj_number"]
    assert chosen["best_layer"] != 2
    assert chosen["best"] < 0.999


def test_of_equal_layers_the_lowest_is_best_and_nothing_is_rounded_first():
    dev = pd.DataFrame(
        {"task": ["a"] * 3 + ["b"] * 3, "representation": "layer", "layer": [2, 1, 0] * 2}
        | {"value": [0.8, 0.8, 0.7, 0.81001, 0.81, 0.81]}
    )
    assert choose_layers(dev) == {"a": 1, "b": 2}


def test_seeds_are_averaged(build_run):
    run = build_run(tasks=["obj_number", "tree_depth"], seeds=(0, 1, 2))
    task = summarise_tasks(run).set_index("task").loc["obj_number"]
    values = pick(run.scores, task="obj_number", split="test", representation="scalar_mix")["value"]
    assert len(values) == task["n_seeds"] == 3
    assert task["mix"] == pytest.approx(values.mean())


def test_the_interval_of_several_seeds_is_over_them_too(build_run):
    run = build_run(tasks=["obj_number", "tree_depth"], seeds=(0, 1, 2))
    task = summarise_tasks(run).set_index("task").loc["obj_number"]
    rows = pick(run.scores, task="obj_number", split="test", representation="scalar_mix")
    # Student's t of two degrees of freedom.
    half = 4.302653 * rows["value"].std() / np.sqrt(3)
    expected = rows["value"].mean() - np.hypot(rows["value"].mean() - rows["ci_low"].mean(), half)
    assert task["mix_low"] == pytest.approx(expected, abs=1e-6)
    alone = summarise_tasks(build_run(tasks=["obj_number", "tree_depth"])).set_index("task").loc["obj_number"]
    assert (
        alone["mix_low"]
        == pick(run.scores, task="obj_number", split="test", representation="scalar_mix", seed=0)["ci_low"].item()
    )


def test_centre_of_gravity_by_hand():
    frame = pd.DataFrame({"task": ["a"] * 3 + ["b"] * 2, "layer": [0, 1, 2, 1, 2], "weight": [0.5, 0.25, 0.25, 0, 1]})
    assert centre_of_gravity(frame).to_dict() == {"a": 0.75, "b": 2.0}


def test_centres_of_gravity_of_a_run_follow_its_planted_depth(run):
    tasks = summarise_tasks(run)
    weights = run.weights[run.weights["task"] == "tree_depth"]
    row = tasks.set_index("task").loc["tree_depth"]
    assert row["gravity_weight"] == pytest.approx(np.dot(weights["layer"], weights["weight"]))
    assert row["gravity_contribution"] == pytest.approx(np.dot(weights["layer"], weights["contribution"]))
    assert tasks["gravity_weight"].is_monotonic_increasing  # depth was planted in the order of the tasks


def test_group_means_by_hand():
    columns = ["majority", "last", "best", "mix", "mix_minus_last", "mix_minus_best", "best_minus_last"]
    columns += ["gravity_weight", "gravity_contribution"]
    tasks = pd.DataFrame({name: [0.2, 0.4, 0.9] for name in columns} | {"group": ["semantic", "semantic", "surface"]})
    means = summarise_groups(tasks)
    assert means["group"].tolist() == ["surface", "semantic", "all"]
    assert means["mix_minus_last"].to_numpy() == pytest.approx([0.9, 0.3, 0.5])
    assert means["n_tasks"].tolist() == [1, 2, 3]


def test_a_missing_value_leaves_its_group_without_a_mean(run):
    tasks = summarise_tasks(run)
    tasks.loc[tasks["task"] == "obj_number", "mix"] = np.nan
    means = summarise_groups(tasks).set_index("group")["mix"]
    assert means.isna().to_dict() == {"surface": False, "syntactic": False, "semantic": True, "all": True}


def test_a_model_without_a_mix_has_no_mix_and_no_centre_of_gravity(plain_run):
    summary = summarise(plain_run)
    assert summary[["mix", "mix_minus_last", "gravity_weight"]].isna().all(axis=None)
    assert summary["best"].notna().all()


def test_the_summary_has_tasks_then_groups(run):
    summary = summarise(run)
    assert summary["level"].tolist() == ["task"] * 10 + ["group"] * 4
    assert summary["group"].tolist()[-4:] == ["surface", "syntactic", "semantic", "all"]
