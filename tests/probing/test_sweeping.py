"""Claims about `bermo-probing sweep`, from its file to its tables, and about what `status` says of it."""

import html
import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from analysis.figures.specification import plot_specifications
from analysis.report.build import write_report
from analysis.report.sweep_charts import chart_correlations, chart_runs
from analysis.runs.sweep import load_sweep
from analysis.stats.sweep import conclude, correlate_runs, list_layers, specify, summarise_runs
from probing import preparing, run_sweep, sweeping
from probing.commands import show_status
from probing.records import InputError
from probing.sealed_json import seal_json, unseal_json
from tests.helpers import build_task, run_script, save_encoder, write_task
from tests.probing.cells.test_runner import Shuffled

NAMES = ("past_present", "obj_number", "sentence_length")
RUNS = ["one-mean", "one-cls", "two-mean", "two-cls", "gone-mean", "gone-cls"]
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A corpus, two encoders, and the file of a sweep over them, over one that is not there, and over poolings."""
    folder = tmp_path_factory.mktemp("sweep")
    for seed, name in enumerate(NAMES):
        write_task(folder / "corpus", build_task(name, seed=seed))
    for seed, name in enumerate(("one", "two")):
        save_encoder(folder / name, seed=seed)
    (folder / "sweep.yaml").write_text(
        f"model: bermo\ncheckpoint: [{folder}/one, {folder}/two, {folder}/gone]\npooling: [mean, cls]\n"
        f"data: {folder}/corpus\ntasks: [{', '.join(NAMES)}]\ncontrols: []\ngradients: 0\ndevice: cpu\nthreads: 1\n"
        f"dtype: float32\ncache_dir: {folder}/cache\noutput: {folder}/out\n"
    )
    whole = (folder / "sweep.yaml").read_text()
    (folder / "less.yaml").write_text(whole.replace(f", {folder}/gone", ""))
    return folder


@pytest.fixture
def call(place, monkeypatch, capsys):
    """Function: exit code, output and errors of a command."""

    def call(main, *arguments):
        return run_script(main, "command", list(map(str, arguments)), monkeypatch, capsys)

    return call


@pytest.fixture
def swept(place, call):
    """The sweep, computed when it is first asked for."""
    if not (place / "out").exists():
        code, output, error = call(run_sweep.main, place / "sweep.yaml", "--quiet")
        assert code == 1, error  # two runs could not begin
        (place / "printed").write_text(output + error)
    return place / "out"


@pytest.mark.slow
def test_every_combination_is_run_and_those_that_cannot_begin_cost_no_other(swept, place):
    assert sorted(path.name for path in swept.iterdir() if path.is_dir()) == sorted(RUNS[:4])
    printed = (place / "printed").read_text()
    for name in RUNS[4:]:
        assert f"run {name} is left out" in printed
    for name in RUNS[:4]:
        settings = json.loads((swept / name / "settings.json").read_text())
        assert name == f"{settings['checkpoint'].rpartition('/')[2]}-{settings['pooling']}"


@pytest.mark.slow
def test_status_has_a_line_for_each_run(swept, call):
    code, output, _ = call(show_status.main, swept)
    lines = output.splitlines()
    assert code == 0
    assert lines[0].endswith("a sweep of 6 runs, 4 of them finished")
    assert [line.partition(":")[0] for line in lines[1:]] == RUNS
    assert all("finished" in line and "9 cells" in line for line in lines[1:5])
    assert all("not begun" in line and "left out" in line for line in lines[5:])


@pytest.mark.slow
def test_tables_hold_the_numbers_of_each_run(swept):
    layers = pd.read_csv(swept / "layers.csv")
    assert set(layers["run"]) == set(RUNS[:4])
    for name in RUNS[:4]:
        scores = pd.read_parquet(swept / name / "scores.parquet")
        chosen = (scores["split"] == "test") & (scores["metric"] == "accuracy") & (scores["representation"] != "none")
        own = layers[layers["run"] == name]
        expected = scores[chosen].set_index(["task", "representation", "layer"])["value"]
        found = own.set_index(["task", "representation", "layer"])["value"]
        pd.testing.assert_series_equal(found.sort_index(), expected.sort_index())
        assert own.loc[own["layer"] >= 0, "relative_depth"].tolist() == (own["layer"][own["layer"] >= 0] / 2).tolist()
    assert all((swept / f"specifications.{form}").stat().st_size > 1000 for form in ("png", "pdf"))


@pytest.mark.slow
def test_rank_correlations_are_those_of_ranks_by_hand(swept):
    sweep = load_sweep(swept)
    layers, summary = list_layers(sweep), summarise_runs(sweep)
    found = correlate_runs(layers, summary).set_index(["first", "second", "what"])
    assert len(found) == 6 * 3
    single = layers[layers["representation"] == "layer"].pivot_table(
        index=["task", "layer"], columns="run", values="value"
    )
    ranks = single.rank()
    for first, second in (("one-mean", "one-cls"), ("one-mean", "two-mean")):
        row = found.loc[(first, second, "layers")]
        assert row["n"] == 9
        assert row["spearman"] == pytest.approx(np.corrcoef(ranks[first], ranks[second])[0, 1])


@pytest.mark.slow
def test_the_conclusion_of_a_run_is_the_mean_difference_over_its_tasks_and_the_curve_goes_up(swept):
    sweep = load_sweep(swept)
    curve = specify(sweep)
    assert curve["difference"].is_monotonic_increasing
    assert curve["run"].tolist() != RUNS[:4] or len(curve) == 4
    for row in curve.to_dict("records"):
        scores = pd.read_parquet(swept / row["run"] / "scores.parquet")
        scores = scores[(scores["split"] == "test") & (scores["metric"] == "accuracy")]
        mix = scores[scores["representation"] == "scalar_mix"].set_index("task")["value"]
        last = scores[(scores["representation"] == "layer") & (scores["layer"] == 2)].set_index("task")["value"]
        assert row["difference"] == pytest.approx((mix - last).mean())
        assert row["ci_low"] <= row["difference"] <= row["ci_high"]
    above = (curve["difference"] > 0).sum()
    assert f"above 0 in {above} of 4 runs" in next(iter(conclude(curve)))
    figure = plot_specifications(curve, sweep.varied)
    upper, lower = figure.axes
    assert upper.get_xlim() == lower.get_xlim()
    assert len(lower.get_yticks()) == 2 + 2


@pytest.mark.slow
def test_the_same_command_again_computes_nothing(swept, place, call, monkeypatch, tmp_path):
    monkeypatch.setattr(preparing, "build_checked", lambda name, settings, reporter: pytest.fail(settings.checkpoint))
    shutil.copytree(swept, tmp_path / "out")  # a command writes anew which runs its sweep has
    code, output, error = call(run_sweep.main, place / "less.yaml", "--quiet", "--output", tmp_path / "out")
    assert code == 0, error
    assert "Runs of the sweep" in output


@pytest.mark.slow
def test_a_run_whose_table_is_gone_is_taken_up_again(swept, place, call, tmp_path):
    shutil.copytree(swept, tmp_path / "out")
    lost = tmp_path / "out" / "two-cls" / "scores.parquet"
    lost.unlink()
    code, _, error = call(run_sweep.main, place / "less.yaml", "--quiet", "--output", tmp_path / "out")
    assert code == 0, error
    expected, found = (pd.read_parquet(path) for path in (swept / "two-cls" / "scores.parquet", lost))
    pd.testing.assert_frame_equal(expected.drop(columns="seconds"), found.drop(columns="seconds"))


@pytest.mark.slow
@pytest.mark.parametrize("change", ["task", "encoder"])
def test_runs_between_which_a_file_has_changed_are_not_summed_up(change, swept, place, call, tmp_path):
    for name in ("corpus", "one", "two"):
        shutil.copytree(place / name, tmp_path / name)
    text = (place / "less.yaml").read_text().replace(str(place), str(tmp_path))
    (tmp_path / "part.yaml").write_text(text.replace("[mean, cls]", "[mean]"))
    (tmp_path / "less.yaml").write_text(text)
    assert call(run_sweep.main, tmp_path / "part.yaml", "--quiet", "--output", tmp_path / "first")[0] == 0
    (tmp_path / "first").rename(tmp_path / "out")
    for name in ("one", "two"):
        (tmp_path / "out" / name).rename(tmp_path / "out" / f"{name}-mean")
    if change == "task":
        write_task(tmp_path / "corpus", build_task(NAMES[1], seed=9))
    else:
        save_encoder(tmp_path / "two", seed=9)
    code, _, error = call(run_sweep.main, tmp_path / "less.yaml", "--quiet")
    what = f"task {NAMES[1]} of --data" if change == "task" else f"checkpoint {tmp_path / 'two'}"
    assert code == 2
    assert f"{what}" in error.splitlines()[-1]
    assert "has changed between them" in error.splitlines()[-1]


@pytest.mark.slow
def test_failed_cells_are_listed_and_computed_again_when_asked(swept, place, call, monkeypatch, tmp_path):
    away = tmp_path / "out"
    shutil.copytree(swept, away)
    text = (place / "less.yaml").read_text().replace(f"{place}/out", str(away))
    (tmp_path / "sweep.yaml").write_text(text)
    cell = away / "two-cls" / "cells" / "obj_number.scalar_mix.none.0.safetensors"
    tensors, failure = load_file(cell), {"task": "obj_number", "representation": "scalar_mix", "error": "no memory"}
    manifest = away / "two-cls" / "manifest.json"
    cell.unlink()
    manifest.write_bytes(seal_json(unseal_json(manifest.read_bytes()) | {"failures": [failure]}))
    code, _, error = call(run_sweep.main, tmp_path / "sweep.yaml", "--quiet")
    assert (code, cell.exists()) == (1, False)
    assert "run two-cls: obj_number scalar_mix failed: no memory" in error
    assert "--retry-failed" in error
    code, output, _ = call(show_status.main, away)
    assert code == 1
    assert "two-cls failed: obj_number, scalar_mix, no memory" in output
    built = []
    usual = preparing.build_checked
    monkeypatch.setattr(
        preparing, "build_checked", lambda *arguments: built.append(arguments[1].pooling) or usual(*arguments)
    )
    code, _, error = call(run_sweep.main, tmp_path / "sweep.yaml", "--quiet", "--retry-failed")
    assert code == 0, error
    assert built == ["cls"]
    again = load_file(cell)
    assert again.keys() == tensors.keys()
    assert all(torch.equal(again[name], tensor) for name, tensor in tensors.items())
    assert call(show_status.main, away)[0] == 0


@pytest.mark.slow
def test_all_runs_go_through_one_engine_at_the_same_time_to_the_same_numbers(swept, place, call, tmp_path, monkeypatch):
    opened = []

    def start(options):
        opened.append(Shuffled())
        return opened[-1]

    monkeypatch.setattr("probing.engines.local.open_engine", start)
    code, _, error = call(run_sweep.main, place / "less.yaml", "--quiet", "--output", tmp_path / "out")
    assert code == 0, error
    assert len(opened) == 1
    for name in RUNS[:4]:
        one, other = (pd.read_parquet(folder / name / "scores.parquet") for folder in (swept, tmp_path / "out"))
        pd.testing.assert_frame_equal(one.drop(columns="seconds"), other.drop(columns="seconds"))


def test_where_no_run_can_begin_one_line_says_why(place, call, tmp_path):
    (tmp_path / "sweep.yaml").write_text(
        f"checkpoint: [{place}/gone, {place}/away]\ndata: {place}/corpus\noutput: {tmp_path}/out\n"
    )
    code, _, error = call(run_sweep.main, tmp_path / "sweep.yaml", "--quiet")
    assert code == 2
    assert "none of 2 runs could be done" in error.splitlines()[-1]
    with pytest.raises(InputError, match="none of 2 runs is finished"):
        load_sweep(tmp_path / "out")


def test_settings_that_cannot_be_are_refused_before_any_run(place, call, tmp_path):
    (tmp_path / "sweep.yaml").write_text(f"pooling: [mean, maen]\ndata: {place}/corpus\noutput: {tmp_path}/out\n")
    code, _, error = call(run_sweep.main, tmp_path / "sweep.yaml")
    assert (code, (tmp_path / "out").exists()) == (2, False)
    assert error == "run maen: unknown pooling 'maen': did you mean mean or max?\n"


def test_the_name_of_the_file_of_runs_is_the_same_everywhere():
    from analysis.runs.sweep import NAME

    assert sweeping.SWEEP == NAME


@pytest.mark.slow
def test_the_page_over_a_sweep_holds_its_numbers_and_stands_in_its_folder(swept):
    page = write_report([swept]).read_text()
    sweep = load_sweep(swept)
    layers, specifications = list_layers(sweep), specify(sweep)
    specs = {
        name: json.loads(text)
        for name, text in re.findall(r'data-chart="chart-([\w-]+)">(.*?)</script>', page, re.DOTALL)
    }
    assert {"curve-0", "curve-1", "runs", "contenders", "depths", "correlations-layers"} <= specs.keys()
    rows = {name: [row for part in spec["datasets"].values() for row in part] for name, spec in specs.items()}
    single = layers[layers["representation"] == "layer"]
    assert len(rows["runs"]) == len(single)
    assert [row["value"] for row in rows["runs"]] == pytest.approx((100 * single["value"]).tolist())
    assert [row["begin"] for row in rows["runs"] if row["layer_name"] == "2"] == [0.75] * 12
    assert [row["difference"] for row in rows["curve-0"]] == pytest.approx(
        (100 * specifications["difference"]).tolist()
    )
    # Both parts of the curve have the runs in one order.
    order = {row["place"]: row["run"] for row in rows["curve-0"]}
    assert all(order[row["place"]] == row["run"] for row in rows["curve-1"])
    assert len(rows["correlations-layers"]) == 2 * 6
    assert "gone-mean" in page
    for sentence in conclude(specifications):
        assert html.escape(sentence) in page.replace("\u00a0", " ")
    with pytest.raises(InputError, match="holds a sweep, whose page is its own"):
        write_report([swept, swept / "one-mean"], swept / "x.html")


def test_charts_over_a_sweep_of_encoders_of_other_depth_share_one_axis():
    layers = pd.DataFrame(
        {
            "run": ["a"] * 3 + ["b"] * 2, "task": "t", "title": "T", "representation": "layer",
            "layer": [0, 1, 2, 0, 1], "layer_name": list("012ab"), "relative_depth": [0, 0.5, 1, 0, 1],
            "value": 0.5, "ci_low": 0.4, "ci_high": 0.6, "n": 9,
        }
    )  # fmt: skip
    (rows,) = chart_runs(layers)["datasets"].values()
    assert [(row["begin"], row["end"]) for row in rows] == [
        *((-0.25, 0.25), (0.25, 0.75), (0.75, 1.25)),
        *((-0.5, 0.5), (0.5, 1.5)),
    ]
    correlations = pd.DataFrame({"first": ["a"], "second": ["b"], "what": ["tasks"], "n": [2], "spearman": [np.nan]})
    assert chart_correlations(correlations, "tasks") is None
