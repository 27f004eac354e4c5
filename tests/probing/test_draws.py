"""Several encoders as draws of one procedure: each run is what it would be alone; tables have a row between them."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from analysis.report.build import write_report
from analysis.report.draws import build_page
from analysis.runs.draws_run import is_draws, load_draws
from analysis.runs.probing_run import load_run
from analysis.stats.between_encoders import BETWEEN, summarise_between
from analysis.tables.draws import tabulate_above_controls, tabulate_by_layer, tabulate_contenders, tabulate_draws
from analysis.terminal.draws import show_draws
from probing.draws import name_encoders, run_draws
from probing.pipeline import run
from probing.progress import Reporter
from probing.records import InputError
from probing.run_senteval import main
from probing.sealed_json import unseal_json
from probing.settings.run import RunSettings
from tests.helpers import build_task, run_script, save_encoder, write_task

NAMES = ("past_present", "obj_number")
TIMED = ["seconds"]


def quiet():
    return Reporter(quiet=True)


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """Settings of a run of three tiny encoders of different seeds on two tiny tasks."""
    folder = tmp_path_factory.mktemp("several")
    for seed, name in enumerate(NAMES):
        write_task(folder / "corpus", build_task(name, seed=seed))
    first, *others = (str(save_encoder(folder / f"seed-{seed}", seed=seed)) for seed in range(3))
    return RunSettings(
        model="bermo", checkpoint=first, draws=tuple(others), data=str(folder / "corpus"), tasks=NAMES,
        controls=("bag_of_embeddings",), dtype="float32", device="cpu", output=folder / "run",
        cache_dir=folder / "cache", quiet=True, gradients=0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def finished(usual):
    """The run, loaded, and its rows."""
    draws = load_draws(run_draws(usual, quiet).folder)
    return draws, summarise_between(draws)


@pytest.mark.slow
def test_each_encoders_run_is_the_one_it_would_be_alone(usual, finished, tmp_path):
    draws, _ = finished
    assert draws.names == ["seed-0", "seed-1", "seed-2"]
    alone = replace(usual, checkpoint=usual.draws[0], draws=(), output=tmp_path / "alone")
    one, other = draws.runs["seed-1"], load_run(run(alone, quiet()).folder)
    pd.testing.assert_frame_equal(one.scores.drop(columns=TIMED), other.scores.drop(columns=TIMED), check_exact=True)
    assert one.settings == other.settings


@pytest.mark.slow
def test_it_is_resumed_and_nothing_is_fitted_again(usual, finished, monkeypatch):
    monkeypatch.setattr("probing.probes.linear.LinearProbe.fit", lambda *_: pytest.fail("fitted again"))
    assert run_draws(usual, quiet).folder == finished[0].folder


@pytest.mark.slow
def test_a_row_between_encoders_is_the_mean_with_students_interval_and_more(finished):
    draws, rows = finished
    values = []
    for found in draws.runs.values():
        own = found.predictions.query("task == 'past_present' and layer == 2 and control == 'none'")
        values.append((own["label"] == own["predicted"]).mean())
    layer = rows.query("kind == 'layer' and task == 'past_present' and layer == 2")
    assert layer.loc[layer["encoder"] != BETWEEN, "value"].tolist() == pytest.approx(values)
    between = layer[layer["encoder"] == BETWEEN].iloc[0]
    assert between["value"] == pytest.approx(np.mean(values))
    assert between["spread"] == pytest.approx(np.std(values, ddof=1))
    low, high = t.interval(0.95, 2, np.mean(values), np.std(values, ddof=1) / np.sqrt(3))
    assert between["low"] <= max(0, low)
    assert between["high"] >= min(1, high)


@pytest.mark.slow
def test_differences_are_paired_by_sentence_within_an_encoder(finished):
    draws, rows = finished
    values = []
    for found in draws.runs.values():
        own = found.predictions.query("task == 'obj_number' and control == 'none'")
        right = (own["label"] == own["predicted"]).groupby([own["representation"], own["layer"]]).mean()
        values.append(right["scalar_mix", -1] - right["layer", 2])
    own = rows.query("kind == 'difference' and readout == 'mix - last' and task == 'obj_number'")
    assert own.loc[own["encoder"] != BETWEEN, "value"].tolist() == pytest.approx(values)
    assert own.loc[own["encoder"] == BETWEEN, "value"].item() == pytest.approx(np.mean(values))


@pytest.mark.slow
def test_every_table_of_scores_has_a_row_between_encoders(finished):
    draws, rows = finished
    main_table, controls = tabulate_contenders(rows), tabulate_above_controls(rows)
    encoders = [*draws.names, BETWEEN]
    # Two tasks, the mean of their group, and the mean of all; one control.
    assert [row[1] for row in main_table.rows] == encoders * 4
    assert [row[2] for row in controls.rows] == encoders * 2
    assert [main_table.rows[number][1] for number in main_table.strong] == [BETWEEN] * 4
    assert [row[0] for row in tabulate_by_layer(rows).rows] == ["scalar mix", "2", "1", "embeddings"]


@pytest.mark.slow
def test_means_over_tasks_are_of_each_encoders_tasks(finished):
    _, rows = finished
    last = rows.query("kind == 'contender' and readout == 'last' and encoder == 'seed-2'")
    assert last.query("group == 'all'")["value"].item() == pytest.approx(last.query("level == 'task'")["value"].mean())


@pytest.mark.slow
def test_on_the_screen_many_encoders_are_not_listed_one_by_one(finished):
    _, rows = finished
    names = [row[0] for row in tabulate_draws(rows).rows]
    assert names[::4] == ["Tense", "ObjNum", "mean of semantic", "mean of all"]
    assert set(names) == {*names[::4], ""}
    many = rows.assign(n_encoders=rows["n_encoders"] * 5)
    assert {row[1] for row in tabulate_draws(many).rows} == {BETWEEN}


@pytest.mark.slow
def test_on_the_screen_and_on_the_page_there_is_a_row_between_encoders(finished, capsys):
    draws, rows = finished
    show_draws(draws.folder, report=False)
    assert capsys.readouterr().out.count(BETWEEN) >= 4
    page = build_page(draws)
    assert page.count(f"<td>{BETWEEN}</td>") >= 4
    assert f"--draws {' '.join(draws.settings['draws'])}" in page
    stored = pd.read_parquet(draws.folder / "encoders.parquet")
    pd.testing.assert_frame_equal(stored, rows)


@pytest.mark.slow
def test_the_command_takes_several_checkpoints_and_leaves_tables_figures_and_a_page(
    usual, finished, monkeypatch, capsys, tmp_path
):
    checkpoints = (usual.checkpoint, *usual.draws)
    arguments = ["--model", "bermo", "--checkpoint", *checkpoints, "--data", usual.data, "--tasks", *NAMES]
    arguments += ["--controls", "bag_of_embeddings", "--dtype", "float32", "--device", "cpu", "--gradients", "0"]
    arguments += ["--quiet", "--cache-dir", usual.cache_dir, "--output", usual.output]
    code, shown, complaint = run_script(main, "run_senteval.py", list(map(str, arguments)), monkeypatch, capsys)
    assert code == 0, complaint
    assert shown.count(BETWEEN) >= 4
    left = {path.name for path in (*usual.output.iterdir(), *(usual.output / "figures").iterdir())}
    assert left >= {"encoders.csv", "encoders.parquet", "report.html", "scores_by_layer.png", "curves_by_layer.pdf"}
    page = (usual.output / "report.html").read_text()
    assert page.count(f"<td>{BETWEEN}</td>") >= 4
    assert 'href="encoders/seed-1/report.html"' in page
    assert (usual.output / "encoders" / "seed-1" / "report.html").is_file()
    assert f"--draws {' '.join(usual.draws)}" in page
    again = write_report([usual.output], tmp_path / "again.html")
    assert BETWEEN in again.read_text()
    noted = unseal_json((usual.output / "manifest.json").read_bytes())
    assert [one["checkpoint"] for one in noted["encoders"]] == list(checkpoints)


@pytest.mark.slow
def test_a_file_of_settings_can_list_several(usual, finished, monkeypatch, capsys, tmp_path):
    del finished
    file = tmp_path / "several.yaml"
    file.write_text(json.dumps({"checkpoint": ["a", "b"], "output": str(tmp_path / "run")}))
    code, _, complaint = run_script(main, "run_senteval.py", ["--config", str(file)], monkeypatch, capsys)
    assert code == 2
    assert complaint.count("\n") == 1
    assert "a" in complaint


@pytest.mark.slow
def test_a_page_of_several_systems_together_is_refused(finished, tmp_path):
    folder = finished[0].folder
    assert is_draws(folder)
    with pytest.raises(InputError, match="holds several encoders, whose page is its own"):
        write_report([folder, folder / "encoders" / "seed-0"], tmp_path / "page.html")


@pytest.mark.slow
def test_where_one_encoder_is_expected_the_folder_of_all_is_refused(finished):
    with pytest.raises(InputError, match="holds several encoders; expected the folder of one, in "):
        load_run(finished[0].folder)


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"seed": 9, "num_hidden_layers": 3}, "has 4 layers .* of width 8, but .* 3 layers .*draws of one procedure"),
        ({"seed": 9, "hidden_size": 12}, "of width 12, but"),
        ({"seed": 0}, "has the weights of .*seed-0; expected different encoders"),
    ],
)
def test_encoders_that_are_no_draws_of_one_procedure_are_refused_before_anything_is_written(
    usual, tmp_path, others, message
):
    other = save_encoder(tmp_path / "other", **others)
    settings = replace(usual, draws=(str(other),), output=tmp_path / "run")
    with pytest.raises(InputError, match=message) as error:
        run_draws(settings, quiet)
    assert "\n" not in str(error.value)
    assert not settings.output.exists()


def test_one_checkpoint_twice_is_refused(usual, tmp_path):
    settings = replace(usual, draws=(usual.checkpoint,), output=tmp_path / "run")
    with pytest.raises(InputError, match="is there twice"):
        run_draws(settings, quiet)


@pytest.mark.slow
def test_another_set_of_encoders_is_another_run(usual, finished):
    del finished
    with pytest.raises(InputError, match="holds a run with other settings"):
        run_draws(replace(usual, draws=usual.draws[:1]), quiet)


def test_a_run_of_one_encoder_does_not_take_the_others_in_silence(usual):
    with pytest.raises(InputError, match="draws: several encoders are probed by"):
        run(usual, quiet())


@pytest.mark.parametrize(
    ("checkpoints", "names"),
    [
        (("a/seed-0", "a/seed-1"), ["seed-0", "seed-1"]),
        (("a/model", "b/model"), ["a_model", "b_model"]),
        (("google/multiberts-seed_0", "google/multiberts-seed_1"), ["multiberts-seed_0", "multiberts-seed_1"]),
        (("x@main", "x@other"), ["x@main", "x@other"]),
    ],
)
def test_encoders_are_called_by_what_tells_them_apart(checkpoints, names):
    assert list(name_encoders(checkpoints)) == names
