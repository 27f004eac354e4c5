import json

import numpy as np
import pandas as pd
import pytest

from probing.records import InputError, Predictions
from probing.store.run_folder import RunFolder
from probing.tables import CellResult, GradientNorm, LayerWeight, Score, column_names

SETTINGS = {"model": "bermo", "layers": (), "limit": 0, "tasks": ("all",)}


def make_score(task="past_present", layer=1, split="test", **changes):
    values = {
        "model": "bermo", "checkpoint": "tiny", "revision": "", "task": task, "group": "semantic",
        "representation": "layer", "layer": layer, "layer_name": str(layer), "pooling": "mean", "probe": "linear",
        "protocol": "modern", "control": "none", "seed": 0, "split": split, "metric": "accuracy", "value": 1 / 3,
        "ci_low": 0.1, "ci_high": 0.5, "n": 3, "n_classes": 2, "majority": 0.5, "hyperparameters": '{"strength": 0.1}',
        "converged": True, "seconds": 0.123456789,
    }  # fmt: skip
    return Score(**values | changes)


WEIGHT = LayerWeight("bermo", "tiny", "past_present", "semantic", "none", 0, 1, "1", -0.1, 0.4, 1.7, 0.6)


def make_result(task="past_present"):
    said = {
        f"layer/{layer}": Predictions(
            np.array([0, 1, 1]), np.array([0, 0, layer]), np.array([-0.1, -2.5, -1 / 3], dtype=np.float32)
        )
        for layer in (0, 1)
    }
    scores = [make_score(task, layer, split) for split in ("dev", "test") for layer in (0, 1)]
    return CellResult(scores, [WEIGHT], said)


def equal(one, other):
    return (
        list(one.scores) == list(other.scores)
        and list(one.weights) == list(other.weights)
        and one.predictions.keys() == other.predictions.keys()
        and all(
            np.array_equal(values, vars(other.predictions[name])[field])
            for name, said in one.predictions.items()
            for field, values in vars(said).items()
        )
    )


def refused(path, settings, **options):
    with pytest.raises(InputError) as caught:
        RunFolder(path, settings, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_kept_cell_is_found_as_it_was(tmp_path):
    RunFolder(tmp_path / "run", SETTINGS).keep_cell("a.layer.none.0", "key", make_result())
    found = RunFolder(tmp_path / "run", SETTINGS).find_cell("a.layer.none.0", "key")
    assert found is not None
    assert equal(found, make_result())


def test_a_cell_of_other_data_or_another_name_is_not_found(tmp_path):
    folder = RunFolder(tmp_path / "run", SETTINGS)
    folder.keep_cell("a.layer.none.0", "key", make_result())
    assert folder.find_cell("a.layer.none.0", "other") is None
    assert folder.find_cell("a.layer.none.1", "key") is None


@pytest.mark.parametrize("content", [b"", b"rubbish", None])
def test_a_damaged_cell_counts_as_not_finished(content, tmp_path):
    folder = RunFolder(tmp_path / "run", SETTINGS)
    folder.keep_cell("a.layer.none.0", "key", make_result())
    (path,) = (tmp_path / "run" / "cells").iterdir()
    path.write_bytes(path.read_bytes()[:-20] if content is None else content)
    assert folder.find_cell("a.layer.none.0", "key") is None


def test_a_failure_while_keeping_a_cell_leaves_nothing(tmp_path, monkeypatch):
    folder = RunFolder(tmp_path / "run", SETTINGS)

    def fail(*args):
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        folder.keep_cell("a.layer.none.0", "key", make_result())
    assert list((tmp_path / "run" / "cells").iterdir()) == []


def test_the_same_settings_open_the_same_folder_again(tmp_path):
    RunFolder(tmp_path / "run", SETTINGS)
    RunFolder(tmp_path / "run", dict(reversed(SETTINGS.items())))
    assert json.loads((tmp_path / "run" / "settings.json").read_text())["model"] == "bermo"


def test_other_settings_are_refused_by_the_name_of_the_field_and_nothing_is_touched(tmp_path):
    RunFolder(tmp_path / "run", SETTINGS).keep_cell("a", "key", make_result())
    before = (tmp_path / "run" / "settings.json").read_bytes()
    message = refused(tmp_path / "run", SETTINGS | {"limit": 5})
    assert "limit 0 -> 5" in message
    assert "model" not in message
    assert "--overwrite" in message
    assert (tmp_path / "run" / "settings.json").read_bytes() == before
    assert "pooling" in refused(tmp_path / "run", SETTINGS | {"pooling": "cls"})


def test_overwrite_throws_a_run_away(tmp_path):
    RunFolder(tmp_path / "run", SETTINGS).keep_cell("a", "key", make_result())
    folder = RunFolder(tmp_path / "run", SETTINGS | {"limit": 5}, overwrite=True)
    assert folder.find_cell("a", "key") is None


def test_a_folder_of_something_else_is_never_touched(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    for overwrite in (False, True):
        assert str(tmp_path) in refused(tmp_path, SETTINGS, overwrite=overwrite)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_folder_of_something_else_that_has_settings_is_not_thrown_away(tmp_path):
    """An editor's folder has a settings.json too."""
    (tmp_path / "settings.json").write_text('{"editor.fontSize": 12}')
    (tmp_path / "thesis.tex").write_text("mine")
    refused(tmp_path, SETTINGS, overwrite=True)
    assert (tmp_path / "thesis.tex").read_text() == "mine"


@pytest.mark.parametrize("content", ["", "{", "[1]", "\x00"])
def test_damaged_settings_are_refused_in_a_line(content, tmp_path):
    RunFolder(tmp_path / "run", SETTINGS)
    (tmp_path / "run" / "settings.json").write_text(content)
    assert "settings.json" in refused(tmp_path / "run", SETTINGS)


def test_a_file_in_its_place_is_refused(tmp_path):
    (tmp_path / "run").write_text("mine")
    for overwrite in (False, True):
        refused(tmp_path / "run", SETTINGS, overwrite=overwrite)
    assert (tmp_path / "run").read_text() == "mine"


def test_a_place_where_no_folder_can_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    assert "file" in refused(tmp_path / "file" / "run", SETTINGS)


def test_an_empty_folder_is_taken(tmp_path):
    RunFolder(tmp_path, SETTINGS)
    assert (tmp_path / "settings.json").is_file()


def test_tables_hold_every_row_with_the_columns_of_the_records(tmp_path):
    folder = RunFolder(tmp_path, SETTINGS)
    folder.write_tables([make_result(), make_result("obj_number")])
    scores = pd.read_parquet(tmp_path / "scores.parquet")
    assert list(scores.columns) == column_names(Score)
    assert scores["task"].tolist() == ["past_present"] * 4 + ["obj_number"] * 4
    assert scores["value"].tolist() == [1 / 3] * 8  # unrounded
    written = pd.read_csv(tmp_path / "scores.csv", keep_default_na=False, dtype={"layer_name": str})
    pd.testing.assert_frame_equal(written, scores, check_dtype=False)
    weights = pd.read_parquet(tmp_path / "layer_weights.parquet")
    assert list(weights.columns) == column_names(LayerWeight)
    assert len(weights) == 2


def test_predictions_are_one_row_per_sentence_and_reading(tmp_path):
    folder = RunFolder(tmp_path, SETTINGS)
    folder.write_tables([make_result(), make_result("obj_number")])
    table = pd.read_parquet(tmp_path / "predictions.parquet")
    assert len(table) == 2 * 2 * 3
    one = table[(table["task"] == "obj_number") & (table["layer"] == 1)]
    assert one["row"].tolist() == [0, 1, 2]
    assert one["label"].tolist() == [0, 1, 1]
    assert one["predicted"].tolist() == [0, 0, 1]
    assert one["log_probability"].tolist() == np.array([-0.1, -2.5, -1 / 3], dtype=np.float32).tolist()


def test_a_run_begun_before_a_setting_existed_goes_on_with_its_default_alone(tmp_path):
    RunFolder(tmp_path / "run", SETTINGS).keep_cell("a.layer.none.0", "key", make_result())
    found = RunFolder(tmp_path / "run", SETTINGS | {"gradients": 32}, defaults={"gradients": 32, "limit": 9})
    assert found.find_cell("a.layer.none.0", "key") is not None
    assert json.loads((tmp_path / "run" / "settings.json").read_text())["gradients"] == 32
    RunFolder(tmp_path / "other", SETTINGS)
    message = refused(tmp_path / "other", SETTINGS | {"gradients": 8}, defaults={"gradients": 32})
    assert "gradients 32 -> 8" in message


def test_gradient_norms_are_kept_and_written_where_there_are_any(tmp_path):
    norm = GradientNorm("bermo", "tiny", "past_present", "last_layer", 0, 1, "1", "hidden", 1 / 3, 0.1, 0.5, 32)
    folder = RunFolder(tmp_path / "run", SETTINGS)
    folder.keep_cell("a", "key", CellResult(gradients=[norm]))
    found = folder.find_cell("a", "key")
    assert found is not None
    assert list(found.gradients) == [norm]
    folder.write_tables([make_result()])
    path = tmp_path / "run" / "gradient_norms.parquet"
    assert not path.exists()
    folder.write_tables([make_result(), found])
    assert pd.read_parquet(path).to_dict("records") == [vars(norm)]
