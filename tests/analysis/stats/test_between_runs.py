import json
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from analysis import compare
from analysis.figures.differences import plot_differences, plot_models
from analysis.runs.frames import mean_scores, title_of
from analysis.runs.probing_run import load_run
from analysis.stats.between_runs import compare_runs, describe_limits
from analysis.terminal.convergence import show_convergence
from analysis.terminal.differences import save_differences, show_differences
from probing.records import InputError

RUNS = Path(__file__).parents[1] / "runs"


@pytest.fixture(scope="module")
def two():
    return load_run(RUNS / "bermo"), load_run(RUNS / "untrained")


@pytest.fixture(scope="module")
def pairs(two):
    return compare_runs(*two)


def correct(run, task, representation, layer):
    rows = run.predictions.query(
        "control == 'none' and task == @task and representation == @representation and layer == @layer"
    )
    rows = rows.sort_values("row")
    return (rows["label"] == rows["predicted"]).to_numpy()


def test_differences_and_p_are_counted_from_the_predictions(two, pairs):
    row = pairs.query("task == 'past_present' and contender == 'last'").iloc[0]
    old, new = (correct(run, "past_present", "layer", 6) for run in two)
    assert row["difference"] == pytest.approx(new.mean() - old.mean())
    assert row["difference"] == pytest.approx(row["second"] - row["first"])
    gained, lost = int((new & ~old).sum()), int((old & ~new).sum())
    assert row["p"] == pytest.approx(binomtest(gained, gained + lost).pvalue)
    assert row["ci_low"] < row["difference"] < row["ci_high"]


def test_p_is_corrected_over_all_rows(pairs):
    smallest = pairs["p"].min()
    assert pairs["p_holm"].min() == pytest.approx(smallest * len(pairs))
    assert (pairs["p_holm"] >= pairs["p"]).all()
    assert (pairs["significant"] == (pairs["p_holm"] < 0.05)).all()


def test_a_contender_that_one_run_lacks_has_no_row(pairs):
    assert set(pairs["contender"]) == {"last", "best"}


def test_a_run_does_not_differ_from_itself(two):
    same = compare_runs(two[0], two[0])
    assert (same["difference"] == 0).all()
    assert not same["significant"].any()
    assert set(same["contender"]) == {"last", "best", "mix"}


def test_what_a_comparison_leaves_out_and_other_ways_of_probing_are_told(two, pairs):
    mixed = two[0].scores.query("representation == 'scalar_mix' and control == 'none'")["task"]
    [line] = [line for line in describe_limits(*two, pairs) if line.startswith("not compared")]
    found = line.partition(": ")[2].split(", ")
    assert sorted(found) == sorted(f"mix of {title_of(task)}" for task in mixed.unique())
    assert describe_limits(two[0], two[0], compare_runs(two[0], two[0])) == []
    other = replace(two[0], scores=two[0].scores.assign(probe="knn"), settings={**two[0].settings, "layers": [3]})
    assert describe_limits(two[0], other, compare_runs(two[0], two[0])) == [
        "probed differently: probe linear and knn",
        "probed differently: layers all and 3",
    ]


def test_other_number_formats_and_limits_that_cut_sentences_are_told(two):
    first, pairs = two[0], compare_runs(two[0], two[0])

    def with_limit(limit, cut, dtype):
        facts = {"encoder": {**first.manifest["encoder"], "max_length": limit}, "dtype": dtype}
        facts["stages"] = {**first.manifest["stages"], "encoding": {"truncated": cut}}
        return replace(first, manifest={**first.manifest, **facts})

    one = with_limit(512, 0, "float32")
    assert describe_limits(one, with_limit(8, 0, "float32"), pairs) == []  # nothing was longer
    assert describe_limits(one, with_limit(8, 3, "bfloat16"), pairs) == [
        "probed differently: max_length 512 and 8",
        "probed differently: dtype float32 and bfloat16",
    ]
    half = replace(one, settings={**one.settings, "store": "float16"})
    assert describe_limits(one, half, pairs) == ["probed differently: store float32 and float16"]


def test_another_choice_of_metrics_is_not_called_other_sentences(two):
    other = change_manifest(replace(two[0], settings={**two[0].settings, "metrics": ["f1"]}), "tree_depth", digest="x")
    with pytest.raises(InputError, match=r"tree_depth has other metrics \(the task's own; f1\), or other sentences"):
        compare_runs(two[0], other)


def change_manifest(run, task, **facts):
    tasks = {**run.manifest["tasks"], task: {**run.manifest["tasks"][task], **facts}}
    return replace(run, manifest={**run.manifest, "tasks": tasks})


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"train": 17}, "tree_depth has 300 and 17 train sentences"),
        ({"digest": "other"}, "tree_depth has other sentences or labels"),
    ],
)
def test_other_data_are_refused_saying_what_differs(two, facts, message):
    with pytest.raises(InputError, match=message) as caught:
        compare_runs(two[0], change_manifest(two[1], "tree_depth", **facts))
    assert "\n" not in str(caught.value)
    assert len(compare_runs(two[0], change_manifest(two[1], "tree_depth", **facts), ["past_present"])) == 2


def test_other_tasks_are_refused_unless_those_to_compare_are_named(two):
    fewer = replace(two[1], scores=two[1].scores[two[1].scores["task"] != "bigram_shift"])
    with pytest.raises(InputError, match=r"untrained lacks bigram_shift; compare those with --tasks sentence_length"):
        compare_runs(two[0], fewer)
    assert set(compare_runs(two[0], fewer, ["tree_depth"])["task"]) == {"tree_depth"}


def test_tasks_are_named_by_key_or_title_in_any_case(two):
    names = ["Tense", "TREE_DEPTH", "bshift"]
    assert set(compare_runs(*two, names)["task"]) == {"past_present", "tree_depth", "bigram_shift"}


def test_a_task_that_neither_run_has_is_named_as_such(two):
    with pytest.raises(
        InputError, match=r"^--tasks nope: neither of .* has such a task; known are .*tree_depth"
    ) as caught:
        compare_runs(*two, ["tree_depth", "nope"])
    assert "lacks" not in str(caught.value)


def test_other_labels_are_found_where_the_manifest_says_nothing(run):
    moved = run.predictions.assign(label=run.predictions["label"] + 1)
    with pytest.raises(InputError, match="same test sentences and labels"):
        compare_runs(run, replace(run, predictions=moved))


def call(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["compare", *map(str, arguments)])
    return compare.main()


def test_the_gate_says_3_where_a_score_fell_0_where_none_did_2_where_it_cannot_tell(monkeypatch, capsys, tmp_path):
    assert call(monkeypatch, RUNS / "bermo", RUNS / "untrained") == 3
    assert "fell*" in capsys.readouterr().out
    assert call(monkeypatch, RUNS / "bermo", shutil.copytree(RUNS / "bermo", tmp_path / "again")) == 0
    assert "fell" not in capsys.readouterr().out
    assert call(monkeypatch, RUNS / "bermo", RUNS / "before_controls", "--output", tmp_path / "no") == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not (tmp_path / "no").exists()


def test_a_rise_is_no_fall(monkeypatch):
    assert call(monkeypatch, RUNS / "untrained", RUNS / "bermo", "--tasks", "past_present") == 0


def test_half_written_runs_are_refused(monkeypatch, capsys, tmp_path):
    shutil.copytree(RUNS / "bermo", tmp_path / "half")
    (tmp_path / "half" / "manifest.json").write_text(json.dumps({})[:1])
    assert call(monkeypatch, RUNS / "bermo", tmp_path / "half") == 2
    assert "manifest.json: not JSON" in capsys.readouterr().err


def test_the_figure_is_filled_where_significant_alone(pairs):
    figure = plot_differences(pairs, "a", "b")
    marks = [line for line in figure.axes[0].lines if line.get_marker() in ("o", "s", "D")]
    filled = [line.get_xdata()[0] for line in marks if line.get_markerfacecolor() != "white"]
    assert len(marks) == len(pairs)
    assert sorted(filled) == pytest.approx(sorted(100 * pairs[pairs["significant"]]["difference"]))


def test_files_are_the_figure_and_the_frame(pairs, tmp_path):
    save_differences(pairs, "a", "b", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "differences.csv", "differences.pdf", "differences.png",
    ]  # fmt: skip
    read = pd.read_csv(tmp_path / "out" / "differences.csv")
    assert read["difference"].to_numpy() == pytest.approx(pairs["difference"].to_numpy())


def test_two_models_stand_side_by_side_with_their_difference(two):
    frames = [mean_scores(run.scores) for run in two]
    figure = plot_models(*frames, ("bermo", "untrained"))
    shown = [np.asarray(axes.collections[0].get_array()).ravel() for axes in figure.axes]
    assert shown[2] == pytest.approx(shown[1] - shown[0])
    low, high = figure.axes[2].collections[0].get_clim()
    assert low == -high
    paper = figure.axes[2].collections[0].cmap(0.5)
    assert min(paper[:3]) > 0.95  # the middle is white: no difference, no colour


def test_models_with_other_layers_are_not_drawn_side_by_side(two):
    frames = [mean_scores(run.scores) for run in two]
    with pytest.raises(InputError, match="7 layers and 6 layers"):
        plot_models(frames[0], frames[1][frames[1]["layer"] < 6], ("a", "b"))


@pytest.mark.slow
def test_the_module_runs_as_a_command(tmp_path):
    run = RUNS / "untrained"
    done = subprocess.run(
        [sys.executable, "-m", "analysis.compare", str(run), str(shutil.copytree(run, tmp_path / "again"))],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_run_passes_no_gate_against_itself(tmp_path):
    shows = {"untrained": partial(show_differences, choices={}, output=None), "training_bert": show_convergence}
    for name, show in shows.items():
        (tmp_path / name).symlink_to(RUNS / name)
        with pytest.raises(InputError, match="one run folder, which is equal to itself; expected two"):
            show(RUNS / name, tmp_path / name)


def test_a_wider_margin_makes_more_rows_equivalent_and_none_less(two, pairs):
    wide = compare_runs(*two, margin=0.99)
    assert wide["equivalent"].all()
    assert not (pairs["equivalent"] & ~wide["equivalent"]).any()
    columns = [name for name in pairs.columns if name != "equivalent"]
    pd.testing.assert_frame_equal(wide[columns], pairs[columns])
    same = compare_runs(two[0], two[0])
    assert (same["equivalent"] == (1.645 * np.sqrt(2) / (same["n"] + 2) < 0.01)).all()
