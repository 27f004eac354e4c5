"""Losses by an erasure, and where they are largest, from rows that are made up."""

from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from analysis.figures.amnesia import plot_losses, plot_recovery
from analysis.figures.of_a_run import draw_figures
from analysis.report.build import build_report
from analysis.report.task_charts import chart_losses
from analysis.stats.amnesia import AGREE, DISAGREE, UNUSED, judge_places, list_lines, list_losses, warn_of_amnesia
from analysis.stats.of_a_run import RunNumbers
from analysis.stats.significance import holm
from analysis.tables.amnesia import narrow_places, tabulate_amnesia
from analysis.tables.of_a_run import tabulate_run
from probing.records import InputError
from probing.tables import AmnesicScore

N = 200
NAMES = ("embeddings", "1", "2", "3")
PLAIN = (0.70, 0.90, 0.85, 0.80)
LEFT = {0: (0.5, 0.9, 0.85, 0.80), 1: (0, 0.5, 0.65, 0.60), 2: (0, 0, 0.5, 0.65), 3: (0, 0, 0, 0.5)}
"""Accuracy by erased block and later layer."""


def row(**facts):
    usual = {"model": "bert", "checkpoint": "made-up", "task": "past_present", "group": "semantic", "control": "none"}
    usual |= {"erased": "past_present", "seed": 0, "block": -1, "block_name": "", "rank": 0, "readout": "layer"}
    usual |= {"metric": "accuracy", "against": "", "worse": 0, "better": 0, "n": N, "n_train": 500, "majority": 0.5}
    value = facts["value"]
    return usual | {"ci_low": value - 0.03, "ci_high": value + 0.03} | facts


def lose(value, **facts):
    return row(value=value, worse=round(max(value, 0) * N), better=0, **facts)


def make_rows(task="past_present", left=LEFT, random=0.0, heads=()):
    rows = []
    for layer, plain in enumerate(PLAIN):
        rows.append(row(value=plain, layer=layer, layer_name=NAMES[layer], task=task, erased=task))
    for block, scores in left.items():
        at = {"block": block, "block_name": NAMES[block], "rank": 1, "task": task, "erased": task}
        for layer in range(block, 4):
            there = at | {"layer": layer, "layer_name": NAMES[layer]}
            rows += [row(value=scores[layer], **there), lose(PLAIN[layer] - scores[layer], against="nothing", **there)]
            rows += [
                lose(PLAIN[layer] - scores[layer] - random, against="random_subspace", **there),
                row(value=PLAIN[layer] - random, **there | {"control": "random_subspace"}),
                lose(random, against="nothing", **there | {"control": "random_subspace"}),
            ]
    for block, lost in enumerate(heads):
        head = {
            "readout": "classifier",
            "layer": -1,
            "layer_name": "fine-tuned classifier",
            "task": task,
            "erased": task,
        }
        if not block:
            rows.append(row(value=0.9, **head))
        at = head | {"block": block, "block_name": NAMES[block], "rank": 1}
        rows += [
            row(value=0.9 - lost, **at),
            lose(lost, against="nothing", **at),
            lose(lost, against="random_subspace", **at),
        ]
    return rows


def frame(*parts):
    return pd.DataFrame([one for part in parts for one in part], columns=[one.name for one in fields(AmnesicScore)])


def depth(task="past_present", best=1, indistinct=(1, 2)):
    return pd.DataFrame([{"task": task, "best_layer": best, "best_name": NAMES[best], "indistinct": indistinct}])


def test_a_row_holds_the_score_without_and_with_the_erasure():
    losses = list_losses(frame(make_rows(random=0.05)))
    assert len(losses) == 4 + 3 + 2 + 1
    for one in losses.to_dict("records"):
        assert one["plain"] == PLAIN[one["layer"]]
        assert one["left"] == LEFT[one["block"]][one["layer"]]
        assert one["lost"] == pytest.approx(one["plain"] - one["left"])
        assert one["beyond"] == pytest.approx(one["lost"] - 0.05)
        assert np.isnan(one["words"])


def test_the_tests_of_the_last_layer_are_corrected_together():
    losses = list_losses(frame(make_rows()))
    last = losses[losses["last"]]
    assert last["layer"].tolist() == [3] * 4
    worse = [0, 40, 30, 60]
    p = [binomtest(count, count).pvalue if count else 1.0 for count in worse]
    np.testing.assert_allclose(last["p_holm"], holm(p))
    assert losses.loc[~losses["last"], "p_holm"].isna().all()


def test_the_block_that_costs_most_is_found_below_the_last_layer():
    """At the last layer's own output nothing is left, whatever the encoder does."""
    (found,) = judge_places(list_losses(frame(make_rows())), depth()).to_dict("records")
    assert (found["block"], found["lost"], found["rebuilt"]) == (1, pytest.approx(0.2), "2")
    assert found["verdict"] == AGREE


@pytest.mark.parametrize(
    ("indistinct", "left", "verdict"),
    [
        ((1, 2), LEFT, AGREE),
        ((2, 3), LEFT, DISAGREE),
        ((1, 2), {block: (*scores[:3], 0.8) for block, scores in LEFT.items()}, UNUSED),
    ],
)
def test_probing_and_amnesia_agree_or_not(indistinct, left, verdict):
    places = judge_places(list_losses(frame(make_rows(left=left))), depth(indistinct=indistinct, best=indistinct[0]))
    assert places["verdict"].tolist() == [verdict]
    lines = list(warn_of_amnesia(places))
    assert len(lines) == (verdict == DISAGREE)
    assert all("a probe reads it best at layer 2" in line and "erased at layer 1" in line for line in lines)


def test_a_loss_that_random_directions_cause_too_is_none():
    rows = make_rows(random=0.2)
    places = judge_places(list_losses(frame(rows)), depth())
    assert places["verdict"].tolist() == [UNUSED]


def test_a_head_is_asked_at_every_block():
    losses = list_losses(frame(make_rows(heads=(0.0, 0.1, 0.0, 0.3))))
    places = judge_places(losses, depth()).set_index("readout")
    assert places.loc["classifier", "block"] == 3
    assert places.loc["classifier", "verdict"] == DISAGREE
    tables = tabulate_amnesia(losses, judge_places(losses, depth()))
    assert [line[1] for line in tables["amnesia"].rows] == ["classifier", "last layer"]


def test_tables_say_what_was_erased_and_how_many_sentences_there_were():
    amnesia = frame(make_rows(), make_rows("subj_number"))
    losses = list_losses(amnesia)
    tables = tabulate_amnesia(losses, judge_places(losses, depth()))
    assert set(tables) == {"amnesia", "amnesia_recovery", "amnesia_losses"}
    recovery = tables["amnesia_recovery"]
    assert recovery.rows[0] == ["Tense", "nowhere", "70.0", "90.0", "85.0", "80.0"]
    assert recovery.rows[2] == ["Tense", "1", "-", "50.0", "65.0", "60.0"]
    assert "500 training and 200 test sentences" in recovery.caption
    assert narrow_places(judge_places(losses, depth())).rows[0][-1] == AGREE


def test_what_another_task_loses_has_a_table_where_it_was_measured():
    other = [one | {"task": "subj_number"} for one in make_rows()]
    losses = list_losses(frame(make_rows(), other))
    table = tabulate_amnesia(losses, judge_places(losses, depth()))["amnesia_others"]
    assert table.heads == ["Erased", "Tense", "SubjNum"]
    assert [line[0] for line in table.rows] == ["Tense"]
    assert all(cell.startswith("+20.0") and cell.endswith("* (1)") for cell in table.rows[0][1:])


def test_lines_are_in_points_above_the_majority_and_below_no_erasure():
    amnesia = frame(make_rows(random=0.05))
    lines = list_lines(amnesia, list_losses(amnesia))
    np.testing.assert_allclose(lines["probe"]["value"], [20, 40, 35, 30])
    np.testing.assert_allclose(lines["lost"].sort_values("layer")["value"], [0, 20, 15, 30], atol=1e-9)
    np.testing.assert_allclose(lines["random"]["value"], 5)


def test_figures_and_charts_have_a_panel_or_a_choice_for_each_property():
    amnesia = frame(make_rows(), make_rows("subj_number"))
    losses = list_losses(amnesia)
    for figure in (plot_recovery(losses, "made-up"), plot_losses(amnesia, losses, "made-up")):
        assert [axes.get_title() for axes in figure.axes if axes.get_visible()][:2] == ["Tense", "SubjNum"]
    texts = {text.get_text() for text in plot_recovery(losses).axes[0].texts}
    assert texts == {"50", "90", "85", "80", "65", "60"}
    (data,) = chart_losses(amnesia, losses)["datasets"].values()
    assert {one["task"] for one in data} == {"past_present", "subj_number"}


def test_a_figure_without_such_rows_is_refused():
    with pytest.raises(InputError, match="--measures amnesia"):
        plot_recovery(pd.DataFrame())


@pytest.mark.slow
def test_the_report_and_the_tables_of_a_run_have_it_where_it_was_measured(build_run):
    run = build_run(n_layers=4, tasks=["past_present"], mix=False)
    assert not tabulate_run(RunNumbers(run)).amnesia
    assert 'id="amnesia"' not in build_report([run])
    erased = replace(run, amnesia=frame(make_rows()))
    assert {"amnesia", "amnesia_recovery", "amnesia_losses"} <= set(tabulate_run(RunNumbers(erased)).printed())
    page = build_report([erased])
    assert 'id="amnesia"' in page
    assert 'data-chart="chart-losses-0"' in page
    assert {"amnesia", "amnesia_curves"} <= set(draw_figures(erased))
