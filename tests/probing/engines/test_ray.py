"""Claims about `--engine ray`, with real workers, in processes of their own: Ray warns in ways of its own."""

import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest

from tests.helpers import build_task, install_parts, read_cells, run_script, save_encoder, write_task

ROOT = Path(__file__).parents[3]
TASKS = ("past_present", "obj_number")
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="--engine ray: needs bermo-probing[cluster]")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A corpus, an encoder, and a package with the probe, installed as pip would."""
    folder = tmp_path_factory.mktemp("ray")
    for seed, name in enumerate(TASKS):
        write_task(folder / "corpus", build_task(name, seed=seed))
    save_encoder(folder / "encoder")
    install_parts(folder / "installed")
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
    lines = [line.split(" ", 2) for line in (place / "installed" / "fits").read_text().splitlines()]
    (place / "installed" / "fits").unlink()
    units = {}
    for pid, _moment, unit in lines:
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
    armed = place / "installed" / "armed.fit"
    armed.touch()
    run = begin(place, "by_ray", "--engine", "ray", "--workers", "2")
    # Ray takes five seconds to start on an idle machine, and minutes on a busy one.
    while not (waiting := list(armed.parent.glob("waits.fit.*"))):
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


@pytest.mark.slow
@needs_ray
def test_whoever_is_killed_its_work_alone_is_done_again_and_nothing_else_changes():
    """A worker that fits, encodes or trains, the command, and a node: KILL_ROUNDS times each."""
    rounds = os.environ.get("KILL_ROUNDS", "1")
    path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.kills", "--rounds", rounds],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert f"{5 * int(rounds)} rounds, 0 of them not as they should be" in done.stdout


def test_without_ray_one_line_says_what_to_install(monkeypatch, capsys, tmp_path):
    from probing import run_senteval

    monkeypatch.setitem(sys.modules, "ray", None)
    for name in ("probing.engines.ray", "probing.engines.ray_cluster"):
        monkeypatch.delitem(sys.modules, name, raising=False)
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
