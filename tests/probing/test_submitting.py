"""Claims about runs and sweeps as jobs of a queue: one that does their commands at once, in this process."""

import json
import sys
from importlib import import_module
from typing import ClassVar

import pandas as pd
import pytest
import yaml

from probing import run_senteval, run_sweep, submitting
from probing.commands import show_status
from probing.exit_codes import end_in_one_line
from probing.registry import QUEUES
from tests.helpers import build_task, read_cells, run_script, save_encoder, write_task

NAMES = ("past_present", "obj_number")
pytestmark = pytest.mark.usefixtures("one_thread")


class Queue:
    """Keeps the arrays, whose commands are done when a test says so."""

    opened: ClassVar = []
    left: ClassVar = 0

    def __init__(self, options):
        self.options, self.arrays = options, {}
        Queue.opened.append(self)

    def submit(self, arrays):
        self.arrays = arrays
        return [str(number) for number in range(70, 70 + len(arrays))]

    def count_open(self, jobs):
        return Queue.left

    def work(self, monkeypatch):
        codes = []
        for command in (command for array in self.arrays.values() for command in array):
            assert command[:2] == [sys.executable, "-m"]
            with monkeypatch.context() as patch:
                patch.setattr(sys, "argv", command[2:])
                codes.append(end_in_one_line(import_module(command[2]).main))
        return codes


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A corpus and two encoders."""
    folder = tmp_path_factory.mktemp("queue")
    for seed, name in enumerate(NAMES):
        write_task(folder / "corpus", build_task(name, seed=seed))
    for seed, name in enumerate(("one", "two")):
        save_encoder(folder / name, seed=seed)
    return folder


@pytest.fixture
def call(place, monkeypatch, capsys):
    """Function: exit code, output and errors of a command, where `slurm` is the queue of this file."""
    monkeypatch.setitem(QUEUES.rows, "slurm", f"{__name__}:Queue")
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    monkeypatch.setattr(submitting, "_LOOK_S", 0.01)
    monkeypatch.setattr(Queue, "opened", [])
    monkeypatch.setattr(Queue, "left", 0)

    def call(main, *arguments):
        return run_script(main, "command", list(map(str, arguments)), monkeypatch, capsys)

    return call


def list_flags(place, output):
    return [
        *("--model", "bermo", "--checkpoint", place / "one", "--data", place / "corpus", "--tasks", *NAMES),
        *("--controls", "control_task", "--gradients", "0", "--device", "cpu", "--threads", "1", "--no-report"),
        *("--cache-dir", place / output / "cache", "--output", place / output / "run"),
    ]


@pytest.fixture
def queued(place, call):
    """Function: the queue that has the jobs of a run, and what was said of them."""

    def queue(output, *flags):
        flags = ("--engine", "slurm", "--workers", "2", "--detach", *flags)
        code, printed, error = call(run_senteval.main, *list_flags(place, output), *flags)
        assert code == 0, error
        return Queue.opened[-1], printed

    return queue


@pytest.mark.slow
def test_a_run_by_jobs_has_the_cells_of_one_process_and_status_says_how_far_it_is(place, call, queued, monkeypatch):
    assert call(run_senteval.main, *list_flags(place, "alone"), "--quiet")[0] == 0
    queue, printed = queued("jobs", "--slurm-partition", "long", "--slurm-option", "mem=2G", "--slurm-setup", "true")
    assert {name: len(array) for name, array in queue.arrays.items()} == {"encode": 2, "cells": 2, "merge": 1}
    assert (queue.options.workers, queue.options.threads, queue.options.setup) == (2, 1, ("true",))
    assert queue.options.further == {"partition": "long", "mem": "2G"}
    assert "scancel 70 71 72" in printed
    state = call(show_status.main, place / "jobs" / "run")[1]
    assert "encode 2 (70), cells 2 (71), merge 1 (72)" in state
    assert "left to its jobs" in state
    assert queue.work(monkeypatch) == [0] * 5
    state = call(show_status.main, place / "jobs" / "run")[1]
    assert "parts: encode 2 of 2 ended; cells 2 of 2 ended; merge 1 of 1 ended" in state
    assert "state: finished" in state
    one, other = (read_cells(place / name / "run") for name in ("alone", "jobs"))
    assert one == other
    tables = (pd.read_parquet(place / name / "run" / "scores.parquet") for name in ("alone", "jobs"))
    pd.testing.assert_frame_equal(*(table.drop(columns="seconds") for table in tables))
    # The same settings, so that one process takes the run up again.
    assert call(run_senteval.main, *list_flags(place, "jobs"), "--quiet")[0] == 0


def test_jobs_that_are_queued_are_not_queued_again_and_overwriting_is_done_once(place, call, queued):
    queued("twice")
    flags = (*list_flags(place, "twice"), "--engine", "slurm", "--workers", "2", "--detach")
    Queue.left = 3
    code, _, error = call(run_senteval.main, *flags)
    assert code == 2
    assert "jobs 70, 71, 72 of it are queued" in error
    Queue.left = 0
    own = place / "twice" / "run" / "cells" / "past_present.layer.none.0.safetensors"
    own.parent.mkdir()
    own.touch()
    assert call(run_senteval.main, *flags, "--overwrite")[0] == 0
    assert not own.exists()
    assert not yaml.safe_load((place / "twice" / "run" / "queue" / "run.yaml").read_text()).get("overwrite")


def test_who_waits_for_jobs_that_end_too_early_is_told_where_they_say_why(place, call):
    flags = (*list_flags(place, "early"), "--engine", "slurm", "--workers", "2", "--quiet")
    code, _, error = call(run_senteval.main, *flags)
    assert code == 2
    assert "ended before it was finished" in error
    assert "_log.out" in error


@pytest.mark.slow
def test_a_sweep_by_jobs_leaves_out_what_cannot_begin_and_ends_in_its_tables(place, call, monkeypatch):
    file = place / "sweep.yaml"
    file.write_text(
        f"model: bermo\ncheckpoint: [{place}/one, {place}/two, {place}/gone]\ndata: {place}/corpus\n"
        f"tasks: [{', '.join(NAMES)}]\ncontrols: []\ngradients: 0\ndevice: cpu\nthreads: 1\n"
        f"cache_dir: {place}/swept/cache\noutput: {place}/swept/out\n"
    )
    code, printed, error = call(run_sweep.main, file, "--engine", "slurm", "--workers", "4", "--detach")
    assert code == 0, error
    assert "run gone is left out" in error
    [queue] = Queue.opened
    assert {name: len(array) for name, array in queue.arrays.items()} == {"encode": 4, "cells": 4, "merge": 1}
    assert "cells 4 (71)" in printed
    assert queue.work(monkeypatch) == [0] * 8 + [1]
    out = place / "swept" / "out"
    assert set(pd.read_csv(out / "layers.csv")["run"]) == {"one", "two"}
    assert json.loads((out / "sweep.json").read_text())["runs"][2]["refused"]
    lines = call(show_status.main, out)[1].splitlines()
    assert lines[0].endswith("a sweep of 3 runs, 2 of them finished")
    assert "encode 2 of 2 ended; cells 2 of 2 ended; merge 1 of 1 ended" in lines[2]
    # Nothing is left to do but for the run that cannot begin.
    code, printed, error = call(run_sweep.main, file, "--engine", "slurm", "--workers", "4", "--quiet")
    assert (code, len(Queue.opened[-1].arrays)) == (1, 0)
    assert "run gone is left out" in error
    assert "Runs of the sweep" in printed


@pytest.mark.parametrize(
    ("n_runs", "workers", "expected"), [(1, 8, 8), (2, 8, 4), (50, 64, 5), (100, 8, 1), (3, 2, 2), (1, 1, 1)]
)
def test_runs_are_cut_no_finer_than_keeps_the_workers_busy(n_runs, workers, expected):
    assert submitting.count_parts(n_runs, workers) == expected


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ((), "name by --workers how many jobs"),
        (("--workers", "2", "--slurm-option", "mem"), "--slurm-option mem: expected NAME=VALUE"),
        (("--workers", "2", "--slurm-option", "mem=1G", "mem=2G"), "--slurm-option mem=2G: expected NAME=VALUE, each"),
        (("--workers", "2", "--slurm-time", "0"), "--slurm-time 0: expected minutes"),
        (("--workers", "2", "--mixed-hardware"), "name --dtype and --backend too"),
        (("--workers", "2", "--draws", "x"), "--draws: not with --engine slurm"),
        (("--workers", "2", "--device", "cuda:0"), "--device cuda:0"),
    ],
)
def test_settings_that_no_jobs_can_be_made_of_are_one_line(flags, expected, place, call):
    code, _, error = call(run_senteval.main, *list_flags(place, "bad"), "--engine", "slurm", *flags)
    assert code == 2
    assert expected in error
    assert error.count("\n") == 1
    assert not (place / "bad").exists()
