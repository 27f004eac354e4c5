"""Matrices of erasure, from rows as a run writes them: one pair is planted, another is as large as its control."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.figures.erasure import plot_erasure, plot_erasure_layers
from analysis.report.build import build_report
from analysis.runs.probing_run import load_run
from analysis.stats.erasure import choose_best, choose_layer, choose_mix, list_erasures, pivot, warn_of_erasure
from analysis.stats.of_a_run import RunNumbers
from analysis.tables.erasure import narrow_erasure, tabulate_erasure
from analysis.tables.of_a_run import tabulate_run

STORED = Path(__file__).parents[1] / "runs" / "used"
TASKS = ("sentence_length", "tree_depth", "subj_number")
METRICS = ("erasure", "erasure_random", "erasure_control")
PLANTED, AS_RANDOM = ("sentence_length", "tree_depth"), ("tree_depth", "subj_number")


def change_of(erased, task, metric):
    """Points: a property's own probe loses all, one pair is planted, one is no more than a random subspace takes."""
    if metric != "erasure":
        return -0.1 if (erased, task) == AS_RANDOM and metric == "erasure_random" else -0.01
    return {PLANTED: -0.2, AS_RANDOM: -0.1}.get((erased, task), -0.4 if erased == task else 0.0)


@pytest.fixture(scope="module")
def run(build_run):
    plain = build_run(n_layers=3, tasks=TASKS)
    rows = plain.scores.query("split == 'test' and representation != 'none'").drop_duplicates(["task", "layer"])
    erased = []
    for row in rows.to_dict("records"):
        for name in TASKS:
            for metric in METRICS:
                value = change_of(name, row["task"], metric)
                p = 1e-6 if value < -0.05 else 0.7
                known = {"rank": 2, "after": row["value"] + value, "covered": 0.5, "p": p}
                if metric == "erasure":
                    known |= {"p_random": 0.8 if (name, row["task"]) == AS_RANDOM else p, "p_control": p}
                facts = {"metric": metric, "erased": name, "hyperparameters": json.dumps(known)}
                bounds = {"value": value, "ci_low": value - 0.02, "ci_high": value + 0.02}
                erased.append(row | facts | bounds)
    return replace(plain, scores=pd.concat([plain.scores.assign(erased=""), pd.DataFrame(erased)], ignore_index=True))


@pytest.fixture(scope="module")
def numbers(run):
    return RunNumbers(run)


def test_only_what_goes_beyond_both_controls_stands(numbers):
    frames = [choose_best(numbers.erasures, numbers.summary), choose_mix(numbers.erasures)]
    for matrix in [*frames, choose_layer(numbers.erasures, 0)]:
        assert len(matrix) == 9
        found = matrix[matrix["significant"]]
        assert list(zip(found["erased"], found["task"], strict=True)) == [PLANTED]
        # Holm's first of six pairs off the diagonal.
        assert found["p_holm"].iloc[0] == pytest.approx(6e-6)
        assert matrix.loc[matrix["own"], "p_holm"].isna().all()
        assert pivot(matrix, "beyond").loc[AS_RANDOM] == 0
        assert pivot(matrix, "beyond").loc[PLANTED] == pytest.approx(-0.19)


def test_a_matrix_has_rows_that_are_erased_and_columns_that_are_probed(numbers):
    matrix = pivot(choose_layer(numbers.erasures, 1))
    assert list(matrix.index) == list(matrix.columns) == list(TASKS)
    assert matrix.loc[PLANTED] == -0.2
    assert matrix.loc[PLANTED[::-1]] == 0


def test_a_run_without_erasure_has_no_tables_and_no_figures_of_it(build_run):
    plain = build_run(n_layers=3, tasks=TASKS)
    assert list_erasures(plain).empty
    assert tabulate_run(RunNumbers(plain)).erasure == {}
    assert narrow_erasure(list_erasures(plain), RunNumbers(plain).summary).rows == []


def test_the_tables_star_the_planted_pair_and_bracket_the_diagonal(numbers):
    tables = tabulate_erasure(numbers.erasures, numbers.summary)
    for name in ("erasure", "erasure_mix"):
        cells = {row[0]: dict(zip(tables[name].heads[1:], row[1:], strict=True)) for row in tables[name].rows}
        assert cells["SentLen"]["TreeDepth"] == "-20.0*"
        assert cells["TreeDepth"]["SubjNum"] == "-10.0"
        assert cells["SubjNum"]["SubjNum"] == "(-40.0)"
    assert len(tables["erasure_pairs"].rows) == 9
    assert tables["erasure_layers"].heads == ["Erased", "Task", "embeddings", "layer 1", "layer 2", "scalar mix"]
    (row,) = narrow_erasure(numbers.erasures, numbers.summary).rows
    assert row[:2] + row[3:] == ["SentLen", "TreeDepth", "-20.0", "[-22.0, -18.0]", "-1.0", "-1.0"]


def test_the_main_numbers_do_not_see_the_rows_of_erasure(numbers, build_run):
    plain = RunNumbers(build_run(n_layers=3, tasks=TASKS))
    pd.testing.assert_frame_equal(numbers.summary, plain.summary)
    pd.testing.assert_frame_equal(numbers.scores, plain.scores)


def test_a_task_without_a_control_is_held_against_the_random_subspace(run):
    rows = run.scores[(run.scores["metric"] != "erasure_control")].copy()
    erasures = list_erasures(replace(run, scores=rows))
    assert erasures["control"].isna().all()
    assert pivot(choose_layer(erasures, 1), "beyond").loc[PLANTED] == pytest.approx(-0.19)


def test_the_figures_write_every_change_and_colour_all_but_the_diagonal(numbers):
    figure = plot_erasure(numbers.erasures, numbers.summary, "made up")
    best, mix, *_ = figure.axes
    written = [text.get_text() for text in best.texts]
    assert written == ["-40", "-20*", "0", "0", "-40", "-10", "0", "0", "-40"]
    assert len(best.patches) == len(mix.patches) == 3
    small = [axes for axes in plot_erasure_layers(numbers.erasures).axes if axes.get_title()]
    assert [axes.get_title() for axes in small] == ["embeddings", "layer 1", "layer 2"]
    colours = small[1].collections[0].get_array()
    assert np.asarray(colours).reshape(3, 3)[0, 1] == pytest.approx(-0.19)


@pytest.mark.slow
def test_the_report_tells_the_planted_pair(run):
    page = build_report([run])
    assert "What is left without another property" in page
    assert "on 1 of 6 pairs" in page
    assert "Without SentLen, TreeDepth (layer" in page


def test_erasers_of_few_sentences_that_others_are_read_by_are_warned_of():
    stored_used = load_run(STORED)
    (line,) = warn_of_erasure(stored_used)
    assert all(title in line for title in ("SentLen", "TreeDepth", "Tense", "fitted on 400 sentences"))
    many = {task: facts | {"train": 4000} for task, facts in stored_used.manifest["tasks"].items()}
    assert list(warn_of_erasure(replace(stored_used, manifest={**stored_used.manifest, "tasks": many}))) == []
