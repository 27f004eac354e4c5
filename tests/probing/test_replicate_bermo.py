"""Claims about the trainings of the replication, several at a time."""

import sys
from dataclasses import replace

import pandas as pd
import pytest

from probing import replicate_bermo
from probing.exit_codes import end_in_one_line
from probing.progress import Reporter
from probing.registry import RECIPES
from tests.helpers import build_task, save_encoder, write_task


@pytest.mark.slow
def test_runs_that_processes_of_their_own_train_are_those_of_one_after_the_other(tmp_path):
    write_task(tmp_path / "corpus", build_task("past_present"))
    one = RECIPES.load("finetune").settings(
        checkpoint=str(save_encoder(tmp_path / "encoder")), data=str(tmp_path / "corpus"), task="past_present",
        max_steps=4, device="cpu", threads=1, quiet=True, keep_models=False,
    )  # fmt: skip
    for workers in (1, 2):
        runs = {model: replace(one, model=model, output=tmp_path / f"{workers}-{model}") for model in ("bert", "bermo")}
        replicate_bermo.train_all(runs, workers, Reporter(quiet=True))
    for model in ("bert", "bermo"):
        logs = [pd.read_parquet(tmp_path / f"{workers}-{model}" / "training_log.parquet") for workers in (1, 2)]
        pd.testing.assert_frame_equal(*logs)


def test_no_workers_are_one_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["replicate_bermo.py", "--workers", "0"])
    assert end_in_one_line(replicate_bermo.main) == 2
    assert capsys.readouterr().err == "--workers 0: expected 1 or more\n"


def test_every_run_of_the_replication_has_settings_that_go_together():
    runs = replicate_bermo.list_runs(replicate_bermo.ReplicationSettings())
    assert {one.recipe for one in runs.values()} == {"finetune", "prune"}
    for one in runs.values():
        RECIPES.load(one.recipe).check(one)
