"""Costs of trained models in their table: shown where they were measured, and left out of tables of before."""

from pathlib import Path

import pandas as pd
import pytest

from analysis.runs.training_run import TrainingRun
from analysis.tables.training import seeds_table

ROW = {"seed": 0, "split": "dev", "value": 0.9, "best_step": 4, "steps": 4, "seconds": 1.0, "tokens_per_s": 9.0}
ROW |= {
    "diverged": False,
    "variant": "{}",
    "method": "",
    "sparsity": 0.0,
    "penalty": 0.0,
    "task": "x",
    "metric": "accuracy",
    "until_dev_loss": 0.0,
    "dev_loss": 0.0,
}
MEASURED = {"parameters": 2e6, "weight_bytes": 8e6, "flops": 3e9, "sentences_per_s": 40.0}
COLUMNS = ["Million weights", "MB", "GFLOPs", "Sentences/s"]


def tabulate(row):
    """The table of a run with one trained model, of which nothing but its scores is read."""
    return seeds_table(TrainingRun(Path("made-up"), pd.DataFrame(), pd.DataFrame([row]), {}, {}))


@pytest.mark.parametrize("nothing", [0.0, float("nan")])
def test_what_was_not_measured_has_no_column(nothing):
    table = tabulate(ROW | dict.fromkeys(MEASURED, nothing))
    assert not set(COLUMNS) & set(table.columns)


@pytest.mark.parametrize(("rate", "shown"), [(40.0, "40"), (0.0, "-"), (float("nan"), "-")])
def test_what_was_measured_stands_there(rate, shown):
    table = tabulate(ROW | MEASURED | {"sentences_per_s": rate})
    assert table[COLUMNS].iloc[0].tolist() == ["2.00", "8.0", "3.00", shown]
