import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from probing.records import InputError, Predictions
from probing.store.cell_files import DamageError, pack_cell, unpack_cell, write_cell
from probing.store.folder_lock import check_free, hold_folder
from probing.store.own_files import list_own
from probing.store.run_folder import RunFolder
from probing.tables import CellResult, GradientNorm, LayerWeight, Score, column_names

ROOT = Path(__file__).parents[3]
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
    write_cell(RunFolder(tmp_path / "run", SETTINGS).cell_file("a.layer.none.0"), "key", make_result())
    found = RunFolder(tmp_path / "run", SETTINGS).find_cell("a.layer.none.0", "key")
    assert found is not None
    assert equal(found, make_result())


def test_a_cell_of_other_data_or_another_name_is_not_found(tmp_path):
    folder = RunFolder(tmp_path / "run", SETTINGS)
    write_cell(folder.cell_file("a.layer.none.0"), "key", make_result())
    assert folder.find_cell("a.layer.none.0", "other") is None
    assert folder.find_cell("a.layer.none.1", "key") is None


@pytest.mark.parametrize("content", [b"", b"rubbish", None])
def test_a_damaged_cell_counts_as_not_finished_and_is_named(content, tmp_path):
    folder = RunFolder(tmp_path / "run", SETTINGS)
    write_cell(folder.cell_file("a.layer.none.0"), "key", make_result())
    (path,) = (tmp_path / "run" / "cells").iterdir()
    path.write_bytes(path.read_bytes()[:-20] if content is None else content)
    assert folder.find_cell("a.layer.none.0", "key") is None
    assert folder.damaged == [path]


def test_no_flipped_bit_of_a_cell_goes_unseen():
    """Every byte of the file, header and padding included; a CRC-32 finds all single flips."""
    content = pack_cell("key", make_result())
    assert equal(unpack_cell(content, "key"), make_result())
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        with pytest.raises(DamageError):
            unpack_cell(bytes(flipped), "key")


@given(st.binary(max_size=300) | st.text(max_size=99).map(lambda text: b'"crc32":"' + text.encode()))
def test_any_bytes_in_place_of_a_cell_are_damage(content):
    with pytest.raises(DamageError):
        unpack_cell(content, "key")


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*SETTINGS, "other"]), inner),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(content=st.binary(max_size=60) | _JSON.map(lambda value: json.dumps(value).encode()))
@example(content=b"[" * 100_000)
def test_any_settings_are_those_of_this_run_or_refused_and_kept(content, tmp_path):
    (tmp_path / "settings.json").write_bytes(content)
    for overwrite in (False, True):
        try:
            RunFolder(tmp_path, SETTINGS, overwrite=overwrite)
        except InputError:
            assert (tmp_path / "settings.json").read_bytes() == content
        else:
            assert json.loads((tmp_path / "settings.json").read_text())["model"] == "bermo"
            assert overwrite or set(SETTINGS) <= set(json.loads(content))
            return


def test_a_failure_while_keeping_a_cell_leaves_nothing(tmp_path, monkeypatch):
    folder = RunFolder(tmp_path / "run", SETTINGS)

    def fail(*args):
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_cell(folder.cell_file("a.layer.none.0"), "key", make_result())
    assert list((tmp_path / "run" / "cells").iterdir()) == []


def test_the_same_settings_open_the_same_folder_again(tmp_path):
    RunFolder(tmp_path / "run", SETTINGS)
    RunFolder(tmp_path / "run", dict(reversed(SETTINGS.items())))
    assert json.loads((tmp_path / "run" / "settings.json").read_text())["model"] == "bermo"


def test_damaged_settings_of_a_run_are_named_and_go_with_overwrite_alone(tmp_path):
    RunFolder(tmp_path, SETTINGS)
    path = tmp_path / "settings.json"
    content = path.read_bytes()
    damaged = content.replace(b'"limit": 0', b'"limit": 1')
    path.write_bytes(damaged)
    assert f"{path}: damaged" in refused(tmp_path, SETTINGS)
    assert path.read_bytes() == damaged
    RunFolder(tmp_path, SETTINGS, overwrite=True)
    assert path.read_bytes() == content


def test_a_run_begun_before_settings_had_a_checksum_goes_on(tmp_path):
    folder = RunFolder(tmp_path, SETTINGS)
    write_cell(folder.cell_file("a.layer.none.0"), "key", make_result())
    path = tmp_path / "settings.json"
    sealed = path.read_bytes()
    path.write_text(json.dumps(SETTINGS, indent=2) + "\n")
    assert RunFolder(tmp_path, SETTINGS).find_cell("a.layer.none.0", "key") is not None
    assert path.read_bytes() == sealed


def test_other_settings_are_refused_by_the_name_of_the_field_and_nothing_is_touched(tmp_path):
    write_cell(RunFolder(tmp_path / "run", SETTINGS).cell_file("a"), "key", make_result())
    before = (tmp_path / "run" / "settings.json").read_bytes()
    message = refused(tmp_path / "run", SETTINGS | {"limit": 5})
    assert "limit 0 -> 5" in message
    assert "model" not in message
    assert "--overwrite" in message
    assert (tmp_path / "run" / "settings.json").read_bytes() == before
    assert "pooling" in refused(tmp_path / "run", SETTINGS | {"pooling": "cls"})


def test_overwrite_throws_a_run_away(tmp_path):
    write_cell(RunFolder(tmp_path / "run", SETTINGS).cell_file("a.layer.none.0"), "key", make_result())
    folder = RunFolder(tmp_path / "run", SETTINGS | {"limit": 5}, overwrite=True)
    assert folder.find_cell("a.layer.none.0", "key") is None


def fill(folder):
    """A run's files, and beside them some that are nobody's but the user's."""
    write_cell(RunFolder(folder, SETTINGS).cell_file("a.layer.none.0"), "key", make_result())
    RunFolder(folder, SETTINGS).write_tables([make_result()])
    RunFolder(folder, SETTINGS).write_manifest({})
    own = ["figures/depth.png", "models/seed-0/config.json", "stages/seed-0/one/README.md", "report.html"]
    mine = ["thesis.tex", "figures/mine.png", "models/seed-0/notes.txt", "data/scores.parquet", ".git/config"]
    mine += ["models/bert/config.json", "cells/notes.json", "figures/training/depth.png"]
    for name in (*own, *mine):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")
    return {folder / name for name in mine}, {folder / name for name in own}


def files(folder):
    return {path for path in folder.rglob("*") if path.is_file()}


def test_overwriting_removes_what_runs_write_and_nothing_else(tmp_path):
    mine, own = fill(tmp_path / "run")
    assert own < set(list_own(tmp_path / "run"))
    RunFolder(tmp_path / "run", SETTINGS | {"limit": 5}, overwrite=True)
    assert files(tmp_path / "run") == mine | {tmp_path / "run" / "settings.json"}
    assert not (tmp_path / "run" / "stages").exists()


def test_a_link_to_a_run_folder_is_overwritten_as_the_folder_is(tmp_path):
    mine, _ = fill(tmp_path / "run")
    (tmp_path / "link").symlink_to("run")
    RunFolder(tmp_path / "link", SETTINGS | {"limit": 5}, overwrite=True)
    assert (tmp_path / "link").is_symlink()
    assert files(tmp_path / "run") == mine | {tmp_path / "run" / "settings.json"}


@pytest.mark.parametrize("stuck", ["report.html", "scores.csv", "settings.json"])
def test_what_cannot_be_overwritten_whole_is_left_whole(stuck, tmp_path, monkeypatch):
    fill(tmp_path / "run")
    before = {path: path.read_bytes() for path in files(tmp_path / "run")}
    usual = {name: getattr(Path, name) for name in ("rename", "replace")}

    def refuse(name):
        def move(self, target):
            if stuck in (self.name, Path(target).name):
                raise PermissionError(1, "Operation not permitted", str(self))
            return usual[name](self, target)

        monkeypatch.setattr(Path, name, move)

    refuse("rename")
    refuse("replace")
    assert stuck in (message := refused(tmp_path / "run", SETTINGS | {"limit": 5}, overwrite=True))
    assert "nothing was" in message
    assert {path: path.read_bytes() for path in files(tmp_path / "run")} == before


@pytest.mark.parametrize("name", ["cells", "figures"])
def test_a_file_in_the_place_of_a_folder_is_refused_before_anything_is_computed(name, tmp_path):
    RunFolder(tmp_path, SETTINGS)
    (tmp_path / name).write_text("mine")
    assert name in refused(tmp_path, SETTINGS)


def test_a_folder_in_the_place_of_a_table_is_refused_before_anything_is_computed(tmp_path):
    RunFolder(tmp_path, SETTINGS)
    (tmp_path / "scores.parquet").mkdir()
    assert "scores.parquet" in refused(tmp_path, SETTINGS)


def test_hidden_files_alone_are_no_content(tmp_path):
    (tmp_path / ".DS_Store").write_text("")
    (tmp_path / f".settings.json.{'a' * 32}").write_text("{")
    RunFolder(tmp_path, SETTINGS)
    assert {path.name for path in tmp_path.iterdir()} == {".DS_Store", "settings.json"}


def test_leftovers_are_removed_and_other_hidden_files_stay(tmp_path):
    fill(tmp_path)
    rest = [tmp_path / "cells" / f".a.safetensors.{'a' * 32}", tmp_path / f".scores.csv.{'b' * 32}"]
    for path in rest:
        path.write_text("half")
    RunFolder(tmp_path, SETTINGS)
    assert not any(path.exists() for path in rest)
    assert (tmp_path / ".git" / "config").exists()


def test_a_held_folder_is_refused_by_the_number_of_the_process_that_holds_it(tmp_path):
    hold = "import sys; from pathlib import Path; from probing.store.folder_lock import hold_folder\n"
    hold += "with hold_folder(Path(sys.argv[1])):\n    print('held', flush=True)\n    input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=f"pid {first.pid}"):
            check_free(tmp_path)
        with pytest.raises(InputError, match=f"pid {first.pid}"), hold_folder(tmp_path):
            pass
        first.kill()
    # A kill leaves no lock; nobody is named who is gone.
    check_free(tmp_path)
    with hold_folder(tmp_path), pytest.raises(InputError, match=f"pid {os.getpid()}"), hold_folder(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_something_else_is_never_touched(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    for overwrite in (False, True):
        assert str(tmp_path) in refused(tmp_path, SETTINGS, overwrite=overwrite)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_folder_of_something_else_that_has_settings_is_not_thrown_away(tmp_path):
    """An editor's folder has a settings.json too, and every second program has a setting named model."""
    (tmp_path / "settings.json").write_text('{"editor.fontSize": 12, "model": "gpt-4", "limit": 1}')
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
    write_cell(RunFolder(tmp_path / "run", SETTINGS).cell_file("a.layer.none.0"), "key", make_result())
    found = RunFolder(tmp_path / "run", SETTINGS | {"gradients": 32}, defaults={"gradients": 32, "limit": 9})
    assert found.find_cell("a.layer.none.0", "key") is not None
    assert json.loads((tmp_path / "run" / "settings.json").read_text())["gradients"] == 32
    RunFolder(tmp_path / "other", SETTINGS)
    message = refused(tmp_path / "other", SETTINGS | {"gradients": 8}, defaults={"gradients": 32})
    assert "gradients 32 -> 8" in message


def test_gradient_norms_are_kept_and_written_where_there_are_any(tmp_path):
    norm = GradientNorm("bermo", "tiny", "past_present", "last_layer", 0, 1, "1", "hidden", 1 / 3, 0.1, 0.5, 32)
    folder = RunFolder(tmp_path / "run", SETTINGS)
    write_cell(folder.cell_file("a"), "key", CellResult(gradients=[norm]))
    found = folder.find_cell("a", "key")
    assert found is not None
    assert list(found.gradients) == [norm]
    folder.write_tables([make_result()])
    path = tmp_path / "run" / "gradient_norms.parquet"
    assert not path.exists()
    folder.write_tables([make_result(), found])
    assert pd.read_parquet(path).to_dict("records") == [vars(norm)]
