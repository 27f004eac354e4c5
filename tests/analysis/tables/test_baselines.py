"""The table of every metric beside its baselines; runs without baselines have none."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from analysis.report.training import build_training_report
from analysis.runs.training_run import load_training
from analysis.tables.baselines import baselines_table
from analysis.tables.training import tabulate_training
from probing.records import InputError

STORED = Path(__file__).parents[1] / "runs" / "training_bert"


@pytest.fixture
def folder(tmp_path):
    """A stored run, of its first seed alone, with a rank beside its score, and one baseline of two seeds."""
    shutil.copytree(STORED, tmp_path / "run")
    models = pd.read_parquet(tmp_path / "run" / "trained_models.parquet")
    models = models[models["seed"] == models["seed"].min()]
    ranks = models[models["split"] == "test"].assign(metric="mean_rank", value=2.5, ci_low=2.0, ci_high=3.25)
    own = pd.concat([models.assign(value=0.5, ci_low=0.25, ci_high=0.75), ranks])
    own.to_parquet(tmp_path / "run" / "trained_models.parquet")
    seeds = [own.assign(model="transe", seed=seed, value=own["value"] / (1 + seed)) for seed in (0, 1)]
    pd.concat(seeds).to_parquet(tmp_path / "run" / "baselines.parquet")
    return tmp_path / "run"


def test_one_seed_has_its_interval_several_their_deviation_and_ranks_are_no_percentages(folder):
    run = load_training(folder)
    table = baselines_table(run)
    assert list(table) == ["Split", "Metric", "n", run.model, "transe"]
    by_metric = {(row["Split"], row["Metric"]): row for row in table.to_dict("records")}
    score = by_metric["test", run.metric]
    assert score[run.model] == "50.0 [25.0, 75.0]"
    assert score["transe"] == "37.5 ± 17.7"  # 50 and 25
    assert by_metric["test", "mean_rank"][run.model] == "2.50 [2.00, 3.25]"
    assert by_metric["test", "mean_rank"]["transe"] == "1.88 ± 0.88"


def test_files_and_page_have_it(folder):
    run = load_training(folder)
    assert "baselines" in tabulate_training(run)
    assert "transe" in build_training_report([run])


def test_without_baselines_there_is_no_such_table(folder):
    (folder / "baselines.parquet").unlink()
    run = load_training(folder)
    assert baselines_table(run).empty
    assert "baselines" not in tabulate_training(run)
    assert "transe" not in build_training_report([run])


def test_a_table_of_baselines_that_is_none_is_named(folder):
    (folder / "baselines.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"baselines\.parquet"):
        load_training(folder)
