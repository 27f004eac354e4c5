"""Claims about `--engine ray`, with real workers, in processes of their own: Ray warns in ways of its own."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest

from tests.helpers import build_task, install_probe, read_cells, run_script, save_encoder, write_task

ROOT = Path(__file__).parents[3]
TASKS = ("past_present", "obj_number")
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="--engine ray: needs bermo-probing[cluster]")
PROBE = '''"""A probe that says when it is fitted, and by whom; in one of the fits it waits until it is killed."""

import os
from pathlib import Path
from zlib import crc32

from probing.probes.linear import LinearProbe

HERE = Path(__file__).parent


class WaitingProbe(LinearProbe):
    def fit(self, X, y, X_dev, y_dev):
        with (HERE / "fits").open("a") as file:
            file.write(f"{os.getpid()} {X.sum()} {crc32(y.tobytes())}\\n")
        try:
            (HERE / "armed").rename(HERE / f"waits.{os.getpid()}")
        except FileNotFoundError:
            return super().fit(X, y, X_dev, y_dev)
        with (HERE / "pipe").open() as pipe:  # nobody writes there
            return pipe.read()
'''


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A corpus, an encoder, and a package with the probe, installed as pip would."""
    folder = tmp_path_factory.mktemp("ray")
    for seed, name in enumerate(TASKS):
        write_task(folder / "corpus", build_task(name, seed=seed))
    save_encoder(folder / "encoder")
    install_probe(folder / "installed", "waiting:WaitingProbe", PROBE)
    os.mkfifo(folder / "installed" / "pipe")
    return folder


def begin(place, output, *flags):
    command = [
        *(sys.executable, ROOT / "probing" / "run_senteval.py", "--model", "bermo", "--probe", "waiting"),
        *("--checkpoint", place / "encoder", "--data", place / "corpus", "--tasks", *TASKS, "--threads", "1"),
        *(
            "--cache-dir",
            place / f"cache_{output}",
            "--output",
            place / output,
            "--controls",
            "control_task",
            "untrained",
            "--gradients",
            "2",
        ),
        *("--gradient-steps", "2", "--device", "cpu", "--no-report", *flags),
    ]
    path = os.pathsep.join([str(ROOT), str(place / "installed"), *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1"}
    with (place / f"{output}.log").open("w") as log:
        return subprocess.Popen(list(map(str, command)), env=environment, stdout=log, stderr=log)


def count_fits(place):
    """How often each unit was fitted, and by which processes; then they are forgotten."""
    lines = [line.partition(" ") for line in (place / "installed" / "fits").read_text().splitlines()]
    (place / "installed" / "fits").unlink()
    units = {}
    for pid, _, unit in lines:
        units.setdefault(unit, []).append(int(pid))
    return units


def read_shards(cache):
    """The files of a cache, by their place in it."""
    shards = {path.relative_to(cache): path.read_bytes() for path in cache.rglob("*.safetensors")}
    assert shards
    return shards


@pytest.mark.slow
@needs_ray
def test_cells_by_workers_of_whom_one_was_killed_are_equal_in_bytes_to_those_of_one_process(place):
    alone = begin(place, "local")
    assert alone.wait(300) == 0, (place / "local.log").read_text()
    once = count_fits(place)
    armed = place / "installed" / "armed"
    armed.touch()
    run = begin(place, "by_ray", "--engine", "ray", "--workers", "2")
    # Ray takes five seconds to start on an idle machine, and minutes on a busy one.
    while not (waiting := list(armed.parent.glob("waits.*"))):
        assert run.poll() is None, (place / "by_ray.log").read_text()
        time.sleep(0.1)
    victim = int(waiting[0].suffix[1:])
    waiting[0].unlink()
    os.kill(victim, signal.SIGKILL)
    assert run.wait(300) == 0, (place / "by_ray.log").read_text()
    fits = count_fits(place)
    assert fits.keys() == once.keys()
    again = [pids for pids in fits.values() if len(pids) > 1]
    assert len(again) == 1
    assert victim in again[0]
    assert len(set(again[0])) == 2
    assert run.pid not in {pid for pids in fits.values() for pid in pids}
    expected, found = read_cells(place / "local"), read_cells(place / "by_ray")
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []
    assert read_shards(place / "cache_by_ray") == read_shards(place / "cache_local")
    for table in ("scores", "layer_weights", "gradient_norms", "predictions"):
        one, other = (pd.read_parquet(place / run / f"{table}.parquet") for run in ("local", "by_ray"))
        pd.testing.assert_frame_equal(
            other.drop(columns="seconds", errors="ignore"), one[other.columns].drop(columns="seconds", errors="ignore")
        )


def list_workers(run, title):
    """Processes below a command whose title says that they work at such a unit."""
    found, below = {}, {run.pid}
    stats = [(int(path.parent.name), path.read_text()) for path in Path("/proc").glob("[0-9]*/stat") if path.exists()]
    parents = {pid: int(line.rpartition(")")[2].split()[1]) for pid, line in stats}
    for pid in sorted(parents):
        chain = [pid]
        while (parent := parents.get(chain[-1], 0)) > 1:
            chain.append(parent)
        if below & set(chain[1:]):
            with suppress(OSError):
                found[pid] = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
    return [pid for pid, words in found.items() if words.startswith(f"ray::{title}")]


def start_training(place, output, *flags):
    command = [
        *(sys.executable, ROOT / "probing" / "train_encoder.py", "--checkpoint", place / "encoder", "--threads", "1"),
        *("--data", place / "corpus", "--task", "past_present", "--seeds", "0", "1", "--max-steps", "1500"),
        *("--checkpoint-every", "20", "--evaluate-every", "500", "--batch-size", "8", "--device", "cpu"),
        *("--learning-rate", "1e-3", "--dtype", "float32", "--output", place / output, *flags),
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    with (place / f"{output}.log").open("w") as log:
        return subprocess.Popen(list(map(str, command)), env=environment, stdout=log, stderr=log)


@pytest.mark.slow
@needs_ray
def test_a_model_whose_worker_is_killed_in_mid_training_is_gone_on_with_and_tables_are_equal(place):
    alone = start_training(place, "train_local")
    assert alone.wait(300) == 0, (place / "train_local.log").read_text()
    run = start_training(place, "train_ray", "--engine", "ray", "--workers", "2")
    state = place / "train_ray" / "cells" / "seed-0.pt"
    while not (state.exists() and (victims := list_workers(run, "seed-0"))):
        assert run.poll() is None, (place / "train_ray.log").read_text()
        time.sleep(0.02)
    os.kill(victims[0], signal.SIGKILL)
    assert not state.with_suffix(".json").exists()
    assert run.wait(300) == 0, (place / "train_ray.log").read_text()
    for table in ("trained_models", "training_log"):
        one, other = (pd.read_parquet(place / run / f"{table}.parquet") for run in ("train_local", "train_ray"))
        spent = ["seconds", "tokens_per_s", "peak_rss_bytes"]
        pd.testing.assert_frame_equal(
            one.drop(columns=spent, errors="ignore"), other.drop(columns=spent, errors="ignore"), check_exact=True
        )


@pytest.mark.slow
@needs_ray
def test_a_killed_command_takes_its_workers_along_and_the_same_command_goes_on(place):
    flags = ("--engine", "ray", "--workers", "2")
    (place / "installed" / "armed").touch()
    run = begin(place, "killed", *flags)
    while not (waiting := list((place / "installed").glob("waits.*"))):
        assert run.poll() is None, (place / "killed.log").read_text()
        time.sleep(0.1)
    waiting[0].unlink()
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    worker, deadline = int(waiting[0].suffix[1:]), time.monotonic() + 60
    while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path(f"/proc/{worker}").exists()
    before = set((place / "killed" / "cells").glob("*.safetensors"))
    stamps = {path: path.stat().st_mtime_ns for path in before}
    again = begin(place, "killed", *flags)
    assert again.wait(300) == 0, (place / "killed.log").read_text()
    assert {path: path.stat().st_mtime_ns for path in before} == stamps
    local = begin(place, "unkilled")
    assert local.wait(300) == 0, (place / "unkilled.log").read_text()
    assert read_cells(place / "killed") == read_cells(place / "unkilled")


def test_without_ray_one_line_says_what_to_install(monkeypatch, capsys, tmp_path):
    from probing import run_senteval

    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "probing.engines.ray", raising=False)
    code, _, error = run_script(
        run_senteval.main, "run", ["--engine", "ray", "--output", str(tmp_path / "run")], monkeypatch, capsys
    )
    assert code == 2
    assert error == "--engine ray: needs ray; pip install 'bermo-probing[cluster]'\n"
    assert not (tmp_path / "run").exists()


def test_an_engine_that_does_not_exist_is_one_line_with_the_nearest_name(monkeypatch, capsys):
    from probing import run_senteval

    code, _, error = run_script(run_senteval.main, "run", ["--engine", "rai"], monkeypatch, capsys)
    assert code == 2
    assert "unknown engine 'rai'" in error
    assert "ray" in error
    assert error.count("\n") == 1
