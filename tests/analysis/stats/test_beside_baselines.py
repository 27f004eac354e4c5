"""A model beside baselines: differences and intervals by hand, and what the page and the figure make of them."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, t

from analysis.figures.baselines import plot_baselines
from analysis.report.baseline_answer import answer_baselines
from analysis.report.training import build_training_report
from analysis.runs.training_run import load_training
from analysis.stats.baselines import compare_baselines, summarise_answers
from analysis.tables.baselines import differences_table
from probing.records import InputError

RUNS = Path(__file__).parents[1] / "runs"
HALF = 0.02
"""Half the width of each score's interval."""


def make_rows(like, model, values, metric="accuracy", half=HALF):
    """A row for each seed on test."""
    facts = {"model": model, "split": "test", "metric": metric, "n": 1000, "diverged": False}
    scores = [{"seed": seed, "value": v, "ci_low": v - half, "ci_high": v + half} for seed, v in enumerate(values)]
    return pd.DataFrame([{**like, **facts, **one} for one in scores])


@pytest.fixture
def make_run():
    """Function: a run with these scores of the model and of each baseline, by name and metric."""
    stored = load_training(RUNS / "training_bert")
    like = stored.models.iloc[0].to_dict()

    def make(models, **baselines):
        made = {
            name: pd.concat([make_rows(like, name, values, metric) for metric, values in scores.items()])
            for name, scores in {"bert": models, **baselines}.items()
        }
        others = pd.concat(list(made.values())[1:]) if baselines else pd.DataFrame()
        return replace(stored, models=made["bert"], baselines=others)

    return make


def test_with_one_seed_the_interval_is_over_examples_alone(make_run):
    [row] = compare_baselines(make_run({"accuracy": [0.9]}, transe={"accuracy": [0.8]})).to_dict("records")
    assert row["difference"] == pytest.approx(0.1)
    # Two errors of HALF / z each, independent.
    assert row["ci_high"] - row["difference"] == pytest.approx(np.sqrt(2) * HALF)
    z = 0.1 / (np.sqrt(2) * HALF / norm.isf(0.025))
    assert row["p"] == pytest.approx(2 * norm.sf(z))
    assert row["significant"]


def test_with_several_seeds_it_is_over_seeds_too_and_these_are_paired(make_run):
    """Howe's sum of Student's interval of the paired differences and of the examples' (1974)."""
    run = make_run({"accuracy": [0.90, 0.94, 0.92]}, transe={"accuracy": [0.80, 0.85, 0.84]})
    [row] = compare_baselines(run).to_dict("records")
    differences = np.array([0.10, 0.09, 0.08])
    seeds = t.isf(0.025, 2) * differences.std(ddof=1) / np.sqrt(3)
    assert row["difference"] == pytest.approx(0.09)
    assert row["difference"] - row["ci_low"] == pytest.approx(np.hypot(seeds, np.sqrt(2) * HALF))


def test_what_draws_nothing_is_held_against_every_seed(make_run):
    run = make_run({"accuracy": [0.90, 0.94]}, frequency={"accuracy": [0.5]}, transe={"accuracy": [0.8, 0.9]})
    rows = {row["baseline"]: row for row in compare_baselines(run).to_dict("records")}
    assert rows["frequency"]["difference"] == pytest.approx(0.42)
    assert rows["transe"]["difference"] == pytest.approx(0.07)


def test_p_is_corrected_over_rows_and_less_is_better_of_ranks(make_run):
    scores = {"accuracy": [0.8], "mean_rank": [0.76]}
    run = make_run(scores, transe={"accuracy": [0.74], "mean_rank": [0.8]})
    alone = [compare_baselines(replace(run, models=own, baselines=others)) for own, others in split_metrics(run)]
    both = compare_baselines(run).set_index("metric")
    assert both["better"].all()
    assert both.loc["accuracy", "difference"] > 0 > both.loc["mean_rank", "difference"]
    singles = pd.concat(alone).set_index("metric")["p"]
    assert both.loc["accuracy", "p"] == pytest.approx(2 * singles["accuracy"])
    assert both.loc["mean_rank", "p"] == pytest.approx(max(singles["mean_rank"], 2 * singles["accuracy"]))


def split_metrics(run):
    return [
        (run.models[run.models["metric"] == metric], run.baselines[run.baselines["metric"] == metric])
        for metric in ("accuracy", "mean_rank")
    ]


def test_parts_are_corrected_by_themselves(make_run):
    whole, parts = {"accuracy": [0.8]}, {f"accuracy[{name}]": [0.8] for name in "abcd"}
    below = {metric: [value - 0.06 for value in values] for metric, values in (whole | parts).items()}
    rows = compare_baselines(make_run(whole | parts, transe=below)).set_index("metric")["p"]
    assert rows["accuracy[a]"] == pytest.approx(4 * rows["accuracy"])


def test_scores_without_intervals_and_of_diverged_models_are_left_out(make_run):
    run = make_run({"accuracy": [0.9], "mrr": [np.nan]}, transe={"accuracy": [0.8], "mrr": [0.5]})
    assert compare_baselines(run)["metric"].tolist() == ["accuracy"]
    assert set(summarise_answers(run)["metric"]) == {"accuracy", "mrr"}


def test_the_interval_of_a_share_or_a_rank_ends_where_it_can(make_run):
    scores = {"accuracy": [0.99, 0.91], "mean_rank": [1.1, 1.4]}
    rows = summarise_answers(make_run(scores, transe=scores)).set_index(["metric", "answer"])
    assert rows.loc[("accuracy", "bert"), "ci_high"] == 1.0
    assert rows.loc[("accuracy", "bert"), "ci_low"] < 0.9
    assert rows.loc[("mean_rank", "bert"), "ci_low"] == 1.0
    assert rows.loc[("mean_rank", "bert"), "ci_high"] > 1.4


def test_without_baselines_there_is_nothing_to_compare_or_draw(make_run):
    run = make_run({"accuracy": [0.9]})
    assert compare_baselines(run).empty
    assert summarise_answers(run).empty
    assert differences_table(run).empty
    assert answer_baselines(run, "bert") == []
    with pytest.raises(InputError, match="no scores of baselines"):
        plot_baselines(run)


def test_the_answer_names_the_best_baseline_first_and_what_is_inconclusive(make_run):
    run = make_run({"accuracy": [0.9]}, frequency={"accuracy": [0.6]}, transe={"accuracy": [0.89]})
    [sentence] = answer_baselines(run, "bert")
    assert "test accuracy is 90.0" in sentence
    assert "transe (89.0) +1.0 [-1.8, +3.8], inconclusive; frequency (60.0) +30.0 [+27.2, +32.8]." in sentence


@pytest.mark.slow
def test_the_page_of_the_stored_triples_has_chart_tables_and_answer():
    run = load_training(RUNS / "training_triples")
    page = build_training_report([run])
    specs = dict(re.findall(r'class="spec" data-chart="chart-([\w-]+)">(.*?)</script>', page, re.DOTALL))
    rows = [row for values in json.loads(specs["baselines-0"])["datasets"].values() for row in values]
    whole = {row["answer"]: row["value"] for row in rows if row["metric"] == "accuracy"}
    for name, table in (("bert", run.models), ("transe", run.baselines[run.baselines["model"] == "transe"])):
        own = table[(table["split"] == "test") & (table["metric"] == "accuracy")]
        assert whole[name] == pytest.approx(100 * own["value"].mean())
    assert {"part of", "type of"} <= {row["metric"] for row in rows}
    assert "triples of WN11_classification" in page
    assert differences_table(run)["Baseline"].isin(["frequency", "transe"]).all()


def test_the_figure_has_a_row_for_each_share_and_a_mark_for_each_answer(make_run):
    run = make_run(
        {"accuracy": [0.9], "accuracy[part of]": [0.7], "mean_rank": [2.0]},
        transe={"accuracy": [0.8], "accuracy[part of]": [0.6], "mean_rank": [3.0]},
    )
    [axes] = plot_baselines(run).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["accuracy", "part of"]
    drawn = {line.get_label(): line.get_xdata().tolist() for line in axes.lines}
    assert drawn == {"bert": pytest.approx([90, 70]), "transe": pytest.approx([80, 60])}
