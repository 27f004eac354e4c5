"""Trackers hear of every score of a run and of a training, change none, and are refused where they cannot be had."""

import json
from dataclasses import fields, replace

import pandas as pd
import pytest
from accelerate import PartialState, tracking
from accelerate.logging import get_logger
from accelerate.tracking import GeneralTracker
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from probing import pipeline, trackers
from probing.progress import Reporter
from probing.records import InputError
from probing.settings.checks import check_settings
from probing.settings.run import RunSettings
from probing.settings.training import TrainSettings
from probing.store.own_files import list_own
from probing.tables import Score
from probing.trackers import check_trackers, list_series, send_scores, track
from probing.training.run import check_training
from tests.helpers import build_task, write_task


@pytest.fixture
def settings(tmp_path, tiny_folder):
    write_task(tmp_path / "corpus", build_task("past_present"))
    usual = {"checkpoint": str(tiny_folder), "data": str(tmp_path / "corpus"), "tasks": ("past_present",)}
    usual |= {"output": tmp_path / "run", "cache_dir": tmp_path / "cache", "controls": (), "gradients": 0}
    return RunSettings(**usual, device="cpu", dtype="float32", seeds=(0, 1), trackers=("tensorboard",))


def probe(settings):
    return pipeline.run(settings, Reporter(quiet=True)).folder


def read_events(folder):
    return EventAccumulator(str(folder)).Reload()


def make_score(**changes):
    kinds = {column.name: column.type for column in fields(Score)}
    values = {name: kind() for name, kind in kinds.items()} | {"split": "test", "metric": "accuracy", "task": "a"}
    values |= {"representation": "layer", "control": "none", "seed": 0, "layer": 0, "value": 0.5}
    return Score(**values | changes)


@pytest.mark.slow
def test_every_test_score_of_a_run_reaches_tensorboard_at_its_layer(settings):
    folder = probe(settings)
    scores = pd.read_parquet(folder / "scores.parquet").query("split == 'test' and control == 'none'")
    events = read_events(folder / "events" / folder.name)
    found = {(tag, event.step): event.value for tag in events.Tags()["scalars"] for event in events.Scalars(tag)}
    plain = scores.query("representation == 'layer' and metric == 'accuracy'")
    assert len(plain) > 2
    for row in plain.itertuples():
        assert found[f"past_present/accuracy/seed-{row.seed}", row.layer] == pytest.approx(row.value)
    mixed = scores.query("representation == 'scalar_mix' and metric == 'accuracy'")
    assert len(mixed) == 2
    for row in mixed.itertuples():
        name = f"past_present/scalar_mix/accuracy/seed-{row.seed}"
        assert found[name, scores["layer"].max()] == pytest.approx(row.value)
    assert not list(folder.glob("events/**/.*"))


@pytest.mark.slow
def test_numbers_and_settings_are_those_of_a_run_without_trackers(settings):
    one = probe(settings)
    two = probe(replace(settings, trackers=(), output=settings.output.with_name("other")))
    frames = [pd.read_parquet(folder / "scores.parquet").drop(columns="seconds") for folder in (one, two)]
    pd.testing.assert_frame_equal(*frames)
    assert "trackers" not in json.loads((one / "settings.json").read_text())


@pytest.mark.slow
def test_what_trackers_left_is_the_runs_own_and_goes_with_it(settings):
    folder = probe(settings)
    left = {path for path in (folder / "events").rglob("*") if path.is_file()}
    assert left
    assert left <= set(list_own(folder))


def test_curves_are_named_by_what_they_are_of():
    scores = [
        make_score(layer=0, value=0.1),
        make_score(layer=2, value=0.2),
        make_score(layer=-1, representation="scalar_mix", value=0.3),
        make_score(layer=1, control="control_task", value=0.4),
        make_score(layer=-1, representation="none", probe="majority", value=0.05),
        make_score(layer=1, value=float("nan")),
        make_score(layer=1, split="dev"),
    ]
    expected = {
        0: {"a/accuracy": 0.1},
        1: {"a/control_task/accuracy": 0.4},
        2: {"a/accuracy": 0.2, "a/scalar_mix/accuracy": 0.3, "a/majority/accuracy": 0.05},
    }
    assert list_series(scores) == expected
    assert list_series([make_score(seed=0), make_score(seed=1)])[0].keys() == {"a/accuracy/seed-0", "a/accuracy/seed-1"}
    assert list_series([]) == {}


class Recorder(GeneralTracker):
    """A tracker that keeps what it is told; `told` is of all."""

    name, requires_logging_directory, told = "recorder", False, []

    def __init__(self, project, **options):
        super().__init__()
        self.told.append(("open", project, options))

    tracker = property(lambda self: self)

    def store_init_configuration(self, values):
        get_logger(__name__).debug("as accelerate's own trackers do, which need to know their process for it")
        self.told.append(("settings", values))

    def log(self, values, step=None, **options):
        self.told.append((step, values))

    def finish(self):
        self.told.append(("finish",))


class Locked(Recorder):
    def start(self):
        raise OSError("no account:\n  log in first")


@pytest.fixture
def recorded(monkeypatch):
    PartialState._reset_state()
    monkeypatch.setattr(Recorder, "told", [])
    monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, "wandb", Recorder)
    monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, "mlflow", Locked)
    monkeypatch.setattr(trackers, "get_available_trackers", lambda: ["wandb", "mlflow", "tensorboard"])
    return Recorder.told


def test_a_tracker_is_opened_with_the_runs_name_and_plain_settings_and_closed(recorded, tmp_path):
    with track(["wandb"], tmp_path / "my-run", {"tasks": ("all",), "limit": 3, "output": None}) as opened:
        send_scores(opened, [make_score(layer=1), make_score(layer=0)], pytest.fail)
    assert recorded == [
        ("open", "bermo-probing", {"name": "my-run"}),
        ("settings", {"tasks": "('all',)", "limit": 3, "output": "None"}),
        (0, {"a/accuracy": 0.5}),
        (1, {"a/accuracy": 0.5}),
        ("finish",),
    ]


def test_trackers_are_closed_where_the_run_fails(recorded, tmp_path):
    with pytest.raises(KeyboardInterrupt), track(["wandb"], tmp_path / "run", {}):
        raise KeyboardInterrupt
    assert recorded[-1] == ("finish",)


def test_one_that_cannot_be_opened_stops_the_run_in_a_line_before_anything_is_computed(recorded, settings):
    with pytest.raises(InputError, match=r"--trackers mlflow: cannot be opened \(OSError: no account: log in first\)"):
        probe(replace(settings, trackers=("wandb", "mlflow")))
    assert recorded[-1] == ("finish",)
    assert not (settings.output / "cells").exists()


@pytest.mark.slow
def test_one_that_does_not_take_the_scores_costs_no_run(recorded, settings, monkeypatch):
    def refuse(self, values, step=None, **options):
        raise ConnectionError("gone")

    monkeypatch.setattr(Recorder, "log", refuse)
    folder = probe(replace(settings, trackers=("wandb",)))
    [warning] = [line for line in json.loads((folder / "manifest.json").read_text())["warnings"] if "tracker" in line]
    assert "gone" in warning
    assert (folder / "scores.parquet").is_file()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("tensorbord",), "--trackers tensorbord: no such tracker; did you mean tensorboard"),
        (("all",), "--trackers all: no such tracker"),
        (("tensorboard", "comet_ml"), "--trackers comet_ml: its package is not installed; pip install comet_ml"),
        (("tensorboard", "tensorboard"), "expected different names"),
    ],
)
def test_names_that_cannot_be_had_are_refused_by_both_commands_before_anything(names, message, monkeypatch, tmp_path):
    monkeypatch.setattr(trackers, "get_available_trackers", lambda: ["tensorboard"])
    with pytest.raises(InputError, match=message):
        check_settings(RunSettings(trackers=names, cache_dir=tmp_path))
    with pytest.raises(InputError, match=message):
        check_training(TrainSettings(trackers=names))


def test_the_names_are_accelerates():
    for name in tracking.LOGGER_TYPE_TO_CLASS:
        try:
            check_trackers([name])
        except InputError as error:
            assert "not installed" in str(error)  # noqa: PT017 - either is right, as this machine has it
