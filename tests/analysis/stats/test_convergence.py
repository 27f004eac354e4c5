import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis import convergence
from analysis.stats.convergence import compare_convergence
from analysis.stats.dev_curves import by_step, find_steps, read_curves
from probing.records import InputError


@pytest.fixture(scope="module")
def bert(build_training):
    return build_training("bert", rate=0.05)


@pytest.fixture(scope="module")
def bermo(build_training):
    return build_training("bermo", rate=0.1)


def at(table, share):
    return table[np.isclose(table["share"], share)].iloc[0]


def test_steps_are_where_a_line_between_two_evaluations_meets_the_target():
    steps = np.array([0.0, 10.0, 20.0, 40.0])
    curves = np.array([[0.5, 0.6, 0.6, 0.8], [0.5, 0.9, 0.4, 0.9], [0.5, 0.5, 0.5, 0.5], [0.7, 0.1, 0.1, 0.1]])
    found = find_steps(steps, curves, np.array([0.7, 0.7, 0.7, 0.7]))
    assert found == pytest.approx([30, 5, np.inf, 0])


@pytest.mark.parametrize("seed", range(3))
def test_steps_agree_with_a_search_on_a_fine_grid(seed):
    generator = np.random.default_rng(seed)
    steps = np.cumsum(generator.uniform(1, 9, 12))
    curve = np.cumsum(generator.normal(0.02, 0.03, 12))
    target = curve[0] + 0.7 * (curve.max() - curve[0])
    grid = np.linspace(steps[0], steps[-1], 200_001)
    expected = grid[np.argmax(np.interp(grid, steps, curve) >= target)]
    assert find_steps(steps, curve[None], np.array([target]))[0] == pytest.approx(expected, abs=grid[1] - grid[0])


def test_a_model_that_learns_twice_as_fast_has_a_ratio_of_two(bert, bermo):
    table = compare_convergence(bert, bermo)
    # The true ratio is 2 where both curves have the same end; lines between evaluations bend it a little.
    assert at(table, 0.95)["ratio"] == pytest.approx(2, abs=0.15)
    assert (table["ci_low"].dropna() > 1.5).all()
    assert (at(table, 0.95)["p"], at(table, 0.95)["ci_low"]) < (0.05, 2)
    assert not table["bound"].any()


def test_a_model_compared_with_itself_has_a_ratio_of_one(bert):
    table = compare_convergence(bert, bert)
    assert table["ratio"].to_numpy() == pytest.approx(1)
    judged = table.dropna(subset="ci_low")
    assert len(judged)
    assert (judged["ci_low"] <= 1).all()
    assert (judged["ci_high"] >= 1).all()
    assert judged["p"].to_numpy() == pytest.approx(1)


def test_a_target_that_favours_the_baseline_has_no_interval(bert, bermo):
    table = compare_convergence(bert, bermo)
    assert table["ci_low"].notna().tolist() == (table["share"] <= 0.98).tolist()


def test_the_error_of_the_ratio_is_the_jackknife_by_hand(bert, bermo):
    def without(run, seed):
        return replace(run, log=run.log[run.log["seed"] != seed])

    parts = [
        [np.log(at(compare_convergence(without(bert, seed), bermo), 0.95)["ratio"]) for seed in range(3)],
        [np.log(at(compare_convergence(bert, without(bermo, seed)), 0.95)["ratio"]) for seed in range(3)],
    ]
    error = np.sqrt(sum(2 / 3 * np.square(np.array(part) - np.mean(part)).sum() for part in parts))
    row = at(compare_convergence(bert, bermo), 0.95)
    # Student's 97.5 % quantile with two degrees of freedom.
    assert np.log(row["ci_high"] / row["ratio"]) == pytest.approx(4.302653 * error, rel=1e-5)
    assert np.log(row["ratio"] / row["ci_low"]) == pytest.approx(4.302653 * error, rel=1e-5)


def test_the_baseline_reaches_its_own_final_score_at_the_last_evaluation(bert, bermo):
    whole = at(compare_convergence(bert, bermo), 1.0)
    finals = [0.5 + 0.4 * (1 - np.exp(-5)) + 0.001 * seed for seed in range(3)]
    assert whole["target"] == pytest.approx(np.mean(finals))
    assert whole["baseline_steps"] == 100
    assert whole["baseline_reached"] == pytest.approx(2 / 3)  # the lowest seed ends below the mean of the three


def test_where_the_other_model_never_gets_there_the_ratio_is_a_bound_without_an_interval(bert, build_training):
    weak = build_training("bermo", rate=0.1, top=0.8)
    whole = at(compare_convergence(bert, weak), 1.0)
    assert whole["bound"]
    assert np.isinf(whole["other_steps"])
    assert whole["ratio"] == pytest.approx(100 / 100)
    assert whole[["ci_low", "ci_high", "p"]].isna().all()
    assert whole["other_reached"] == 0


def test_a_target_reached_before_training_has_no_ratio(build_training):
    flat = [build_training(model, top=0.5) for model in ("bert", "bermo")]
    table = compare_convergence(*flat)
    assert table["ratio"].isna().all()
    assert table["ci_low"].isna().all()


def test_one_seed_has_a_ratio_and_no_interval(build_training):
    runs = [build_training(model, rate=rate, seeds=(0,)) for model, rate in (("bert", 0.05), ("bermo", 0.1))]
    table = compare_convergence(*runs)
    assert table["ratio"].notna().all()
    assert table["ci_low"].isna().all()


def test_the_interval_widens_with_the_spread_of_the_seeds(bert, bermo):
    def spread(run, factor):
        moved = run.log["value"] + factor * (run.log["seed"] - 1) * (run.log["step"] / 100)
        return replace(run, log=run.log.assign(value=moved.where(run.log["quantity"] == "dev_score", run.log["value"])))

    widths = []
    for factor in (0.0, 0.01, 0.02):
        row = at(compare_convergence(spread(bert, factor), spread(bermo, factor)), 0.95)
        widths.append(row["ci_high"] - row["ci_low"])
    assert widths == sorted(widths)
    assert widths[2] > widths[0]


def test_a_seed_that_stopped_early_keeps_its_last_score(bert):
    log = bert.log[(bert.log["seed"] != 1) | (bert.log["step"] <= 40)]
    curves = read_curves(replace(bert, log=log))
    assert (curves.scores[1, curves.steps >= 40] == curves.scores[1, curves.steps == 40]).all()
    assert curves.scores[0, -1] > curves.scores[0, 4]


def test_evaluations_at_other_steps_are_read_between():
    rows = pd.DataFrame({"seed": [0, 0, 1, 1, 1], "step": [0, 20, 0, 10, 20], "value": [0.0, 1.0, 0.0, 0.2, 0.4]})
    assert by_step(rows).loc[10, 0] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "qqp"}, "different data: task sst_2 and qqp"),
        ({"n": 400}, "different data: dev sentences 500 and 400"),
        ({"n_train": 100}, "different data: training sentences 3200 and 100"),
    ],
)
def test_runs_over_other_data_are_refused_saying_what_differs(bert, bermo, change, message):
    with pytest.raises(InputError, match=message) as caught:
        compare_convergence(bert, replace(bermo, models=bermo.models.assign(**change)))
    assert "\n" not in str(caught.value)


def test_other_sentences_of_the_same_number_are_refused(bert, bermo):
    tasks = {"sst_2": {**bermo.manifest["tasks"]["sst_2"], "digest": "another"}}
    with pytest.raises(InputError, match="digest made up and another"):
        compare_convergence(bert, replace(bermo, manifest={"tasks": tasks}))


def test_runs_without_dev_scores_or_of_several_sparsities_are_refused(bert, bermo, build_training):
    log = bermo.log[bermo.log["quantity"] != "dev_score"]
    with pytest.raises(InputError, match="dev_score"):
        compare_convergence(bert, replace(bermo, log=log))
    pruned = build_training("bermo", methods=("magnitude",), sparsities=(0.5, 0.9))
    with pytest.raises(InputError, match="several ways of pruning"):
        compare_convergence(bert, pruned)


def call(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["convergence", *map(str, arguments)])
    return convergence.main()


@pytest.fixture
def folders(bert, bermo, write_training, tmp_path):
    return [write_training(run, tmp_path / run.model) for run in (bert, bermo)]


def test_the_command_prints_the_ratios_in_80_columns_and_saves_curves_and_table(monkeypatch, capsys, folders, tmp_path):
    monkeypatch.setenv("COLUMNS", "80")
    assert call(monkeypatch, *folders, "--output", tmp_path / "out") == 0
    told = capsys.readouterr().out
    assert all(word in told for word in ("Steps", "bermo", "Ratio", "100 %", "3 of 3"))
    assert "…" not in told
    assert max(map(len, told.splitlines())) <= 80
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == ["convergence.csv", "convergence.pdf", "convergence.png"]
    assert len(pd.read_csv(tmp_path / "out" / "convergence.csv")) == 4


def test_the_command_ends_in_one_line_and_2_where_runs_cannot_be_compared(
    monkeypatch, capsys, folders, bermo, write_training, tmp_path
):
    other = write_training(replace(bermo, models=bermo.models.assign(task="qqp")), tmp_path / "qqp")
    for second in (other, tmp_path / "nothing"):
        assert call(monkeypatch, folders[0], second, "--output", tmp_path / "out") == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
