"""One model trained by two processes over gloo, as `torchrun` starts them: killed, and gone on with."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from probing.progress import Reporter
from probing.registry import RECIPES
from probing.training.run import train
from tests.helpers import build_task, save_encoder, write_task

ROOT = Path(__file__).parents[3]
STEPS, EVERY, WAITS_AT = 12, 4, 6
SCRIPT = '''"""Trains as train_encoder.py does, notes each step, and waits at one of them until it is killed."""

import os
import sys
import time
from pathlib import Path

from probing.exit_codes import end_in_one_line
from probing.train_encoder import main
from probing.training.loop import _Training

HERE = Path(__file__).parent
usual = _Training._step


def step(self, batch):
    rank = self.accelerator.process_index
    with (HERE / f"steps.{rank}").open("a") as file:
        file.write(f"{self.progress.step} of {self.accelerator.num_processes}\\n")
    if self.progress.step == WAITS_AT and (HERE / "armed").exists():
        (HERE / f"part.{rank}").write_text(str(os.getpid()))
        (HERE / f"part.{rank}").rename(HERE / f"waits.{rank}")
        time.sleep(600)
    usual(self, batch)


_Training._step = step
sys.exit(end_in_one_line(main))
'''


@pytest.fixture
def place(tmp_path):
    """A corpus, an encoder and the script."""
    write_task(tmp_path / "corpus", build_task("past_present"))
    save_encoder(tmp_path / "encoder")
    (tmp_path / "script.py").write_text(SCRIPT.replace("WAITS_AT", str(WAITS_AT)))
    return tmp_path


def describe(place, output):
    """Settings that make the same numbers, whatever the number of processes: no dropout, which each draws by itself."""
    return {
        "checkpoint": str(place / "encoder"), "data": str(place / "corpus"), "task": "past_present", "dropout": 0.0,
        "max_steps": STEPS, "evaluate_every": EVERY, "checkpoint_every": EVERY, "log_every": 1, "learning_rate": 1e-3,
        "batch_size": 6, "threads": 1, "device": "cpu", "dtype": "float32", "output": place / output, "quiet": True,
    }  # fmt: skip


def launch(place):
    flags = [("--" + name.replace("_", "-"), value) for name, value in describe(place, "two").items()]
    flags = [part for flag, value in flags for part in ([flag] if value is True else [flag, str(value)])]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    with (place / "log").open("a") as log:
        return subprocess.Popen(
            [*command, str(place / "script.py"), *flags],
            env={**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1"},
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip


def read_log(folder):
    log = pd.read_parquet(folder / "training_log.parquet")
    return log.set_index(["step", "quantity", "layer"])["value"].sort_index()


@pytest.mark.slow
def test_two_processes_train_to_the_numbers_of_one_though_they_are_killed_on_the_way(place):
    train(RECIPES.load("finetune").settings(**describe(place, "one")), Reporter(quiet=True))
    (place / "armed").touch()
    killed = launch(place)
    try:
        end = time.monotonic() + 120
        while not all((place / f"waits.{rank}").exists() for rank in (0, 1)):
            assert killed.poll() is None, (place / "log").read_text()
            assert time.monotonic() < end, (place / "log").read_text()
            time.sleep(0.1)
        for rank in (0, 1):  # each has a session of its own
            os.kill(int((place / f"waits.{rank}").read_text()), signal.SIGKILL)
    finally:
        killed.kill()
        killed.wait(60)
    (place / "armed").unlink()
    again = launch(place)
    assert again.wait(300) == 0, (place / "log").read_text()
    # Both took each step, from the last state on a second time and no earlier one.
    steps = [*range(WAITS_AT + 1), *range(EVERY, STEPS)]
    for rank in (0, 1):
        assert (place / f"steps.{rank}").read_text().splitlines() == [f"{step} of 2" for step in steps]
    one, two = read_log(place / "one"), read_log(place / "two")
    assert one.index.equals(two.index)
    losses = one.index.get_level_values("quantity").str.contains("loss|gradient")
    # Gradients are added up in another order, and Adam divides by their size: 2e-7 becomes more in each step.
    pd.testing.assert_series_equal(two[losses], one[losses], rtol=1e-3, atol=1e-5)
    assert two[losses].nunique() > STEPS
    scores = [pd.read_parquet(place / name / "trained_models.parquet") for name in ("one", "two")]
    assert scores[0]["steps"].tolist() == scores[1]["steps"].tolist()
    assert scores[0]["value"].tolist() == pytest.approx(scores[1]["value"].tolist(), abs=0.051)  # a sentence of twenty
