"""Runs that are killed while they write, by the program itself at a chosen write: the same command goes on."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.helpers import build_task, write_task

ROOT = Path(__file__).parents[3]
KILL = """
import os, runpy, signal, sys
left, usual = int(sys.argv.pop(1)), os.fsync
def fsync(file):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    usual(file)
os.fsync = fsync
sys.argv.pop(0)
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def is_leftover(path):
    return path.is_file() and path.name.startswith(".")


@pytest.mark.slow
@pytest.mark.parametrize("script", ["run_senteval.py", "train_encoder.py"])
@pytest.mark.parametrize("write", [1, 3])
def test_a_run_killed_at_a_write_is_resumed_and_leaves_nothing_half_written(script, write, tmp_path, tiny_folder):
    write_task(tmp_path / "corpus", build_task("past_present"))
    command = [str(ROOT / "probing" / script), "--data", str(tmp_path / "corpus"), "--checkpoint", str(tiny_folder)]
    command += ["--output", str(tmp_path / "run"), "--dtype", "float32", "--device", "cpu"]
    command += (
        ["--tasks", "tense", "--gradients", "0", "--controls", "--no-report", "--cache-dir", str(tmp_path / "cache")]
        if script == "run_senteval.py"
        else ["--task", "tense", "--max-steps", "4", "--checkpoint-every", "1"]
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    killed = subprocess.run([sys.executable, "-c", KILL, str(write), *command], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert any(is_leftover(path) for path in tmp_path.rglob("*"))
    again = subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert not any(is_leftover(path) for path in tmp_path.rglob("*"))
    assert len(pd.read_parquet(next((tmp_path / "run").glob("[st]*s.parquet"))))
