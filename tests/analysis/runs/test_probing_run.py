import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.runs.frames import layer_names, mean_scores, order_tasks, unit_of
from analysis.runs.probing_run import load_run, load_runs, name_runs, read_json, stack_frames
from analysis.runs.training_run import load_training
from analysis.stats.summary import summarise
from analysis.stats.within_run import compare_all
from analysis.tables.main import main_table
from probing.catalogue.tasks import SENTEVAL_TASKS, TITLES
from probing.records import InputError
from probing.sealed_json import seal_json
from probing.store.run_folder import RunFolder
from probing.tables import GradientNorm
from probing.tasks.files.transfer import TRANSFER_TASKS


@pytest.fixture
def folder(plain_run, write_run, tmp_path):
    return write_run(plain_run, tmp_path / "plain")


def test_a_run_comes_back_as_it_was_written(run, write_run, tmp_path):
    loaded = load_run(write_run(run, tmp_path / "one"))
    for name in ("scores", "weights", "predictions"):
        pd.testing.assert_frame_equal(getattr(loaded, name), getattr(run, name))
    assert loaded.settings == run.settings
    assert loaded.name == "one"


def test_a_run_without_a_mix_has_no_weights(folder):
    assert load_run(folder).weights.empty


def test_runs_are_named_by_their_folder_and_by_their_path_where_two_have_the_same(plain_run, write_run, tmp_path):
    folders = [write_run(plain_run, tmp_path / place) for place in ("a", "b", "x/run", "y/run")]
    assert name_runs(folders[:2]) == ["a", "b"]
    assert name_runs(folders[2:]) == [str(folder) for folder in folders[2:]]


def test_frames_of_several_runs_are_told_apart_by_the_first_column(run, plain_run):
    stacked = stack_frames([Path("a"), Path("b")], [run.scores, plain_run.scores])
    assert stacked["run"].value_counts().to_dict() == {"a": len(run.scores), "b": len(plain_run.scores)}
    assert stacked.columns[0] == "run"


def test_more_columns_than_known_are_no_fault(folder):
    scores = pd.read_parquet(folder / "scores.parquet")
    scores.assign(later=1).to_parquet(folder / "scores.parquet")
    assert "later" in load_run(folder).scores


@pytest.fixture
def sealed(folder):
    """A run whose manifest has the digests of its tables, as the writer of runs leaves it."""
    settings = {"model": "bermo"}
    (folder / "settings.json").write_bytes(seal_json(settings))
    norm = GradientNorm("bermo", "made-up", "past_present", "last_layer", 0, 1, "1", "hidden", 0.3, 0.1, 0.5, 32)
    pd.DataFrame([vars(norm)]).to_parquet(folder / "gradient_norms.parquet")
    pd.DataFrame({"task": ["past_present"], "row": [0], "split": ["test"]}).to_parquet(folder / "splits.parquet")
    RunFolder(folder, settings).write_manifest(json.loads((folder / "manifest.json").read_text()))
    return folder


@pytest.mark.parametrize("name", ["scores", "layer_weights", "predictions", "gradient_norms", "splits"])
def test_a_flipped_bit_in_a_table_is_named_wherever_it_is(name, sealed):
    path = sealed / f"{name}.parquet"
    content = path.read_bytes()
    for place in np.linspace(0, len(content) - 1, 40).astype(int):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        with pytest.raises(InputError, match=f"{name}.parquet: damaged"):
            load_run(sealed)
    path.unlink()
    with pytest.raises(InputError, match=f"{name}.parquet is missing"):
        load_run(sealed)
    path.write_bytes(content)
    load_run(sealed)


@pytest.mark.parametrize("name", ["settings", "manifest"])
def test_a_flipped_bit_in_settings_or_manifest_is_named_wherever_it_is(name, sealed):
    path = sealed / f"{name}.json"
    content = path.read_bytes()
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        with pytest.raises(InputError, match=rf"{name}.json: (damaged|not JSON)"):
            read_json(path)
    path.write_bytes(content.replace(b'  "', b'  "x', 1))
    with pytest.raises(InputError, match=rf"{name}.json: damaged"):
        load_run(sealed)
    path.write_bytes(content)
    assert "crc32" not in read_json(path)
    load_run(sealed)


def test_settings_and_manifest_of_before_they_had_checksums_are_read(sealed):
    for name in ("settings", "manifest"):
        path = sealed / f"{name}.json"
        path.write_text(json.dumps(dict(read_json(path))))
    assert load_run(sealed).settings == {"model": "bermo"}


def break_run(folder, how):
    scores = pd.read_parquet(folder / "scores.parquet")
    if how == "missing":
        (folder / "manifest.json").unlink()
    elif how == "no table":
        (folder / "predictions.parquet").write_bytes(b"PAR1 and then the power failed")
    elif how == "no json":
        (folder / "settings.json").write_text('{"model": ')
    elif how == "no object":
        (folder / "settings.json").write_text(json.dumps([1]))
    elif how == "no column":
        scores.drop(columns=["ci_low", "n"]).to_parquet(folder / "scores.parquet")
    elif how == "no numbers":
        scores.assign(value="high").to_parquet(folder / "scores.parquet")
    elif how == "no rows":
        scores.iloc[:0].to_parquet(folder / "scores.parquet")
    else:
        pd.concat([scores, scores.iloc[3:4]]).to_parquet(folder / "scores.parquet")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("missing", "manifest.json is missing"),
        ("no table", "predictions.parquet: not a parquet table"),
        ("no json", "settings.json: not JSON"),
        ("no object", "expected a JSON object, got list"),
        ("no column", "ci_low, n"),
        ("no numbers", "column value should hold numbers"),
        ("no rows", "holds no scores"),
        ("twice", r"1 score\(s\) twice"),
    ],
)
def test_a_broken_folder_is_one_line_that_says_where(folder, how, message):
    break_run(folder, how)
    with pytest.raises(InputError, match=message) as caught:
        load_run(folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("file", "member"),
    [
        ("manifest.json", {"tasks": []}),
        ("manifest.json", {"tasks": {"past_present": 3}}),
        ("manifest.json", {"stages": None}),
        ("manifest.json", {"encoder": "bert"}),
        ("manifest.json", {"warnings": "none"}),
        ("manifest.json", {"failures": ["one"]}),
        ("settings.json", {"metrics": 3}),
    ],
)
def test_a_member_of_another_kind_than_any_version_wrote_is_one_line(file, member, folder):
    path = folder / file
    path.write_text(json.dumps({**read_json(path), **member}))
    with pytest.raises(InputError, match=f"{file}: {next(iter(member))} is .*no version wrote") as caught:
        load_run(folder)
    assert "\n" not in str(caught.value)


def test_predictions_that_stand_twice_are_no_more_sentences(folder):
    path = folder / "predictions.parquet"
    predictions = pd.read_parquet(path)
    pd.concat([predictions, predictions.iloc[:7]]).to_parquet(path)
    with pytest.raises(InputError, match="7 predictions twice"):
        load_run(folder)


def test_an_empty_or_absent_folder_is_one_line(tmp_path):
    with pytest.raises(InputError, match="is empty"):
        load_run(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        load_run(tmp_path / "nowhere")
    with pytest.raises(InputError, match="at least one"):
        load_runs([])


def test_a_run_of_the_other_kind_and_a_folder_of_something_else_are_named_as_such(folder, tmp_path):
    runs = Path(__file__).parent
    with pytest.raises(InputError, match="training_bert: a training run; expected a probing run"):
        load_run(runs / "training_bert")
    with pytest.raises(InputError, match="bermo: a probing run; expected a training run"):
        load_training(runs / "bermo")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match=r"other: no run folder; scores.parquet is missing, and so is settings.json"):
        load_run(tmp_path / "other")
    (folder / "scores.parquet").unlink()
    with pytest.raises(InputError, match=r"scores.parquet is missing; the run did not finish"):
        load_run(folder)


def test_scores_of_two_models_are_not_averaged(run):
    two = pd.concat([run.scores, run.scores.assign(model="bert")])
    with pytest.raises(InputError, match="one model, got bermo, bert"):
        mean_scores(two)


def test_the_mix_may_have_a_probe_of_its_own_but_a_layer_may_not_have_two(run):
    mixed = run.scores["representation"] == "scalar_mix"
    own = run.scores.assign(probe=run.scores["probe"].mask(mixed, "scalar_mix"))
    pd.testing.assert_frame_equal(mean_scores(own), mean_scores(run.scores))
    with pytest.raises(InputError, match="one pooling, got mean, cls"):
        mean_scores(pd.concat([run.scores, run.scores[mixed].assign(pooling="cls")]))


def test_a_missing_layer_is_one_line(run):
    lacking = run.scores[(run.scores["task"] != "tree_depth") | (run.scores["layer"] != 3)]
    with pytest.raises(InputError, match="task tree_depth lacks layer 3"):
        layer_names(mean_scores(lacking))


def test_titles_are_those_of_the_task_table():
    transfer = [task.spec for task in TRANSFER_TASKS]
    assert list(TITLES.items()) == [(spec.name, spec.title) for spec in (*SENTEVAL_TASKS, *transfer)]


def test_tasks_come_in_the_papers_order_and_unknown_ones_last(run):
    shuffled = run.scores.sample(frac=1, random_state=1)
    extra = shuffled[shuffled["task"] == "tree_depth"].assign(task="mine", group="transfer")
    papers = [spec.name for spec in SENTEVAL_TASKS]
    assert order_tasks(pd.concat([extra, shuffled])) == [*papers, "mine"]
    assert mean_scores(shuffled)["task"].drop_duplicates().tolist() == papers


def test_each_task_is_headed_by_the_metric_of_its_first_row(run):
    depth = run.scores["task"] == "tree_depth"
    more = run.scores[depth].assign(metric="f1", value=0.1)
    correlation = run.scores.assign(metric=run.scores["metric"].mask(depth, "pearson"))
    pd.testing.assert_frame_equal(mean_scores(pd.concat([run.scores, more])), mean_scores(run.scores))
    headed = mean_scores(pd.concat([correlation, more])).set_index("task")
    assert set(headed.loc["tree_depth", "title"]) == {"TreeDepth (Pearson)"}
    assert set(headed.drop("tree_depth")["metric"]) == {"accuracy"}
    assert (unit_of(headed), unit_of(mean_scores(run.scores))) == ("score", "accuracy")


@pytest.mark.slow
def test_a_task_without_right_and_wrong_is_compared_without_an_interval(run):
    depth = run.scores["task"] == "tree_depth"
    graded = replace(run, scores=run.scores.assign(metric=run.scores["metric"].mask(depth, "pearson")))
    compared, plain = compare_all(graded), compare_all(run)
    assert set(plain["task"]) - set(compared["task"]) == {"tree_depth"}
    assert "syntactic" not in set(compared.loc[compared["level"] == "group", "group"])
    table = main_table(summarise(graded), compared).set_index("Task")
    assert table.loc["TreeDepth (Pearson)", "95 % interval"] == "-"
    as_accuracy = main_table(summarise(run), plain).set_index("Task").loc["TreeDepth", "Mix - last"]
    assert table.loc["TreeDepth (Pearson)", "Mix - last"] == as_accuracy.rstrip("*")
    alone = replace(graded, scores=graded.scores[depth])
    assert compare_all(alone).empty


def test_a_run_is_not_changed_by_what_is_read_from_it(run):
    before = replace(run, scores=run.scores.copy())
    summarise(run)
    pd.testing.assert_frame_equal(run.scores, before.scores)
