import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta

from analysis.stats.pruning import summarise_pruning
from analysis.tables.training import pruning_table
from probing.records import InputError
from probing.tables import TrainedModel, column_names

BERT = {0: 0.80, 1: 0.50, 2: 0.82, 3: 0.51, 4: 0.49}
"""By seed; the majority has .5, so that seeds 1, 3 and 4 diverged."""
BERMO = {0: 0.81, 1: 0.80, 2: 0.83, 3: 0.82, 4: 0.79}


def make_rows(model, values, majority=0.5, **facts):
    """One row per seed on dev, and one on test that is ten points higher."""
    base = dict.fromkeys(column_names(TrainedModel), 0) | {"task": "past_present", "metric": "accuracy"}
    base |= {"recipe": "prune", "model": model, "method": "movement", "sparsity": 0.9, "penalty": 0.0}
    base |= {"majority": majority, "achieved_sparsity": 0.9} | facts
    return [
        base | {"seed": seed, "split": split, "value": value + more, "diverged": not value > majority + 0.01}
        for seed, value in values.items()
        for split, more in (("dev", 0.0), ("test", 0.1))
    ]


def frame(*groups):
    return pd.DataFrame([row for rows in groups for row in rows])


@pytest.fixture
def planted():
    return frame(make_rows("bert", BERT), make_rows("bermo", BERMO))


def test_runs_that_were_planted_as_diverged_are_counted_and_those_of_the_other_model_are_not(planted):
    summary = summarise_pruning(planted).set_index("model")
    assert summary.loc["bert", ["n_diverged", "n_seeds", "diverged"]].tolist() == [3, 5, 0.6]
    assert summary.loc["bermo", ["n_diverged", "n_seeds", "diverged"]].tolist() == [0, 5, 0.0]


def test_score_and_spread_are_those_of_all_seeds(planted):
    row = summarise_pruning(planted).set_index("model").loc["bert"]
    values = np.array(list(BERT.values()))
    assert row["value"] == pytest.approx(values.mean())
    assert row["spread"] == pytest.approx(values.std(ddof=1))
    assert (row["lowest"], row["highest"]) == (0.49, 0.82)
    assert row["value_others"] == pytest.approx((0.80 + 0.82) / 2)


def test_the_interval_of_the_share_is_the_exact_one(planted):
    summary = summarise_pruning(planted).set_index("model")
    bounds = summary.loc["bert", "diverged_low"], summary.loc["bert", "diverged_high"]
    assert bounds == pytest.approx((beta.ppf(0.025, 3, 3), beta.ppf(0.975, 4, 2)))
    assert summary.loc["bermo", "diverged_low"] == 0
    assert summary.loc["bermo", "diverged_high"] == pytest.approx(1 - 0.025 ** (1 / 5))


def test_only_the_split_asked_for_and_the_heading_metric_count(planted):
    other = planted.assign(metric="f1", value=0.0)
    both = summarise_pruning(pd.concat([planted, other]), "test").set_index("model")
    assert both.loc["bermo", "value"] == pytest.approx(np.mean(list(BERMO.values())) + 0.1)
    assert set(both["metric"]) == {"accuracy"}


def test_aims_are_rows_of_their_own_and_soft_movement_is_told_apart_by_penalty():
    soft = {"method": "soft_movement", "sparsity": 0.0}
    models = frame(
        make_rows("bermo", BERMO, sparsity=0.5, achieved_sparsity=0.5),
        make_rows("bermo", BERMO),
        make_rows("bermo", {0: 0.8}, **soft, penalty=400.0, achieved_sparsity=0.88),
        make_rows("bermo", {0: 0.7}, **soft, penalty=50.0, achieved_sparsity=0.6),
    )
    table = pruning_table(summarise_pruning(models))
    assert table["Aim"].tolist() == ["50.0", "90.0", "penalty 50", "penalty 400"]
    assert table["Zeros"].tolist() == ["50.0", "90.0", "60.0", "88.0"]


def test_the_table_is_made_of_strings(planted):
    table = pruning_table(summarise_pruning(planted)).set_index("Model")
    assert table.loc["bert"].to_dict() == {
        "Task": "Tense",
        "Method": "movement",
        "Aim": "90.0",
        "Zeros": "90.0",
        "Seeds": "5",
        "Score": "62.4 ± 17.0",
        "Lowest": "49.0",
        "Highest": "82.0",
        "Majority": "50.0",
        "Diverged": "3 of 5",
        "Others": "81.0",
    }


def test_one_seed_has_no_spread():
    table = pruning_table(summarise_pruning(frame(make_rows("bert", {0: 0.8}))))
    assert table.loc[0, "Score"] == "80.0"


def test_a_score_that_is_no_number_has_diverged_and_leaves_no_mean():
    models = frame(make_rows("bert", {0: 0.8, 1: float("nan")}))
    row = summarise_pruning(models).iloc[0]
    assert row["n_diverged"] == 1
    assert np.isnan(row["value"])
    assert row["value_others"] == 0.8


def test_models_that_were_not_pruned_are_no_rows_and_alone_are_refused(planted):
    dense = frame(make_rows("bert", BERT, method="", sparsity=0.0, recipe="finetune"))
    assert len(summarise_pruning(pd.concat([planted, dense]))) == 2
    with pytest.raises(InputError, match="needs pruned models with scores on dev, got none"):
        summarise_pruning(dense)


def test_a_seed_that_comes_twice_is_refused(planted):
    with pytest.raises(InputError, match="expected each seed of an aim once, got model bert, method movement"):
        summarise_pruning(pd.concat([planted, planted]))
