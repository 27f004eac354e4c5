"""What `status` says of a run that works, was stopped, has ended, or trains."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from probing.commands.show_status import describe_status, main
from probing.exit_codes import end_in_one_line
from probing.records import InputError
from probing.store.folder_lock import hold_folder

STORED = Path(__file__).parents[2] / "analysis" / "runs"
CELLS = ("past_present.layer.none.0", "past_present.scalar_mix.none.0", "obj_number.scalar_mix.none.0")
CELLS += ("obj_number.layer.control_task.0", "obj_number.none.none.0")


@pytest.fixture
def folder(tmp_path):
    """A run folder with cells and no manifest, as a killed run leaves it."""
    (tmp_path / "run" / "cells").mkdir(parents=True)
    for name in CELLS:
        (tmp_path / "run" / "cells" / f"{name}.safetensors").touch()
    (tmp_path / "run" / "cells" / ".half").touch()
    settings = {"model": "bermo", "checkpoint": "tiny", "data": "mine", "limit": 60}
    (tmp_path / "run" / "settings.json").write_text(json.dumps(settings))
    return tmp_path / "run"


@pytest.fixture
def call(monkeypatch, capsys):
    def call(path):
        monkeypatch.setattr(sys, "argv", ["status", str(path)])
        return end_in_one_line(main), *capsys.readouterr()

    return call


def finish(folder, **facts):
    (folder / "manifest.json").write_text(json.dumps({"finished": "2026-01-02T03:04:05+00:00"} | facts))


def test_a_run_that_was_stopped_shows_its_cells_and_that_it_goes_on(folder):
    for path in (folder / "cells").iterdir():
        os.utime(path, (1_700_000_000, 1_700_000_000))
    first, state, cells = describe_status(folder)
    assert first == f"{folder}: bermo, tiny, mine"
    assert "stopped before its end; the same command goes on" in state
    assert cells.startswith("finished cells: 5 (")
    # The cells' names: task, representation, control, seed.
    for kind in ("layer 1", "scalar_mix 2", "layer control_task 1"):
        assert kind in cells
    assert cells.endswith("the last 2023-11-14 22:13:20 UTC")


def test_a_run_that_works_is_told_with_its_process(folder, call):
    with hold_folder(folder):
        code, out, _ = call(folder)
    assert code == 0
    assert "state: a run is working in it" in out
    assert str(os.getpid()) in out
    assert "goes on" not in out
    assert "stopped" in call(folder)[1]


def test_a_finished_run_ends_well(folder, call):
    finish(folder, failures=[], warnings=["a probe did not converge"])
    code, out, err = call(folder)
    assert (code, err) == (0, "")
    assert "state: finished 2026-01-02T03:04:05+00:00" in out
    assert "warning: a probe did not converge" in out


def test_a_finished_run_whose_table_is_gone_says_so(folder):
    (folder / "scores.parquet").touch()
    finish(folder, files={"scores.parquet": "", "layer_weights.parquet": ""})
    _, state, *_ = describe_status(folder)
    assert state.endswith(", but layer_weights.parquet is gone; the same command writes it again")


def test_failures_are_listed_and_change_the_exit_code(folder, call):
    failure = {"task": "past_present", "representation": "layer", "control": "none", "seed": 0, "error": "no minimum"}
    finish(folder, failures=[failure])
    code, out, _ = call(folder)
    assert code == 1
    assert "failed: past_present, layer, none, 0, no minimum" in out


@pytest.mark.parametrize("name", ["bermo", "training_bermo"])
def test_stored_runs_of_both_kinds_are_described(name, tmp_path, call):
    shutil.copytree(STORED / name, tmp_path / name)
    settings = json.loads((STORED / name / "settings.json").read_text())
    code, out, _ = call(tmp_path / name)
    assert code == 0
    assert settings["model"] in out
    if "recipe" in settings:
        assert settings["recipe"] in out
        assert settings["task"] in out


def test_a_training_shows_its_finished_models(folder):
    for path in (folder / "cells").iterdir():
        path.unlink()
    for name in ("seed-0", "seed-1"):
        (folder / "cells" / f"bermo-{name}.json").touch()
    assert next(line for line in describe_status(folder) if "cells" in line).startswith("finished cells: 2 (models 2)")


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_a_folder_of_no_run_is_refused(content, tmp_path, call):
    if content is not None:
        (tmp_path / "settings.json").write_text(content)
    code, out, err = call(tmp_path)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "expected a run folder" in err
    with pytest.raises(InputError):
        next(describe_status(tmp_path / "nowhere"))
