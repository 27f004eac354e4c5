"""Layers that are nearly the same and share the weight, and three views of which layer counts."""

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.figures.alike import plot_geometry, plot_knockouts, plot_similarity
from analysis.figures.of_a_run import draw_figures
from analysis.report.build import build_report
from analysis.runs.frames import mean_weights
from analysis.stats.alike import find_alike, summarise_views, warn_of_alike
from analysis.stats.of_a_run import RunNumbers
from analysis.tables.alike import narrow_views, tabulate_pairs, tabulate_views
from analysis.tables.of_a_run import tabulate_run
from probing.records import InputError
from probing.tables import LayerSimilarity, column_names

COSTLY = 2
"""The layer without which the made-up mix loses most."""


def measure(run, near=((2, 3),)):
    """The run with similarities of its layers, pairs in `near` above the bound, knock-outs and shapes."""
    names = dict(run.weights[["layer", "layer_name"]].drop_duplicates().itertuples(index=False))
    likeness = [
        LayerSimilarity(
            "bermo",
            "made-up",
            "made-up",
            task,
            a,
            names[a],
            b,
            names[b],
            value,
            value - 0.01,
            min(value + 0.01, 1.0),
            300,
        )
        for task in run.scores["task"].unique()
        for a in names
        for b in names
        for value in [1.0 if a == b else 0.97 if tuple(sorted((a, b))) in near else 0.9 - 0.05 * abs(a - b)]
    ]
    mixes = run.scores[(run.scores["representation"] == "scalar_mix") & (run.scores["split"] == "test")]
    layers = run.scores[(run.scores["representation"] == "layer") & (run.scores["split"] == "test")]
    rows = [run.scores]
    for layer, name in names.items():
        lost = 0.2 if layer == COSTLY else 0.0
        place = {"layer": layer, "layer_name": name, "majority": np.nan}
        for metric, size in (("knockout_accuracy", lost), ("knockout_bits", 2 * lost)):
            rows.append(mixes.assign(**place, metric=metric, value=size, ci_low=size - 0.05, ci_high=size + 0.05))
    for metric, factor in (("effective_rank", 100), ("anisotropy", 0.5)):
        value = factor * (1 + layers["layer"] / 100)
        rows.append(
            layers.assign(metric=metric, split="train", value=value, ci_low=value, ci_high=value, majority=np.nan)
        )
    scores = pd.concat(rows, ignore_index=True)
    return replace(run, scores=scores, similarities=pd.DataFrame(likeness, columns=column_names(LayerSimilarity)))


@pytest.fixture(scope="module")
def measured(build_run):
    return measure(build_run(tasks=["sentence_length", "past_present"]))


def test_layers_are_alike_where_both_the_likeness_and_both_weights_are_above_their_bounds():
    names = ["embeddings", "1", "2", "3"]
    values = np.full((4, 4), 0.5)
    for a, b in ((1, 2), (2, 3), (0, 1)):
        values[a, b] = values[b, a] = 0.96
    rows = [
        LayerSimilarity("bermo", "one", "one", "past_present", a, names[a], b, names[b], values[a, b], 0.9, 1.0, 50)
        for a in range(4)
        for b in range(4)
    ]
    frame = pd.DataFrame(rows)
    # Of three mixed layers the bound of the weight is a sixth.
    shares = pd.DataFrame({"task": "past_present", "title": "Tense", "layer": [1, 2, 3], "weight": [0.6, 0.3, 0.1]})
    found = find_alike(frame, shares)
    assert found[["layer", "other_layer"]].to_numpy().tolist() == [[1, 2]]
    [line] = warn_of_alike(found)
    assert "layers 1 and 2 (CKA 0.96, 60 and 30 % of the weight) are nearly the same" in line
    assert find_alike(frame, shares.assign(weight=[0.6, 0.2, 0.2]))["other_layer"].tolist() == [2, 3]
    assert find_alike(frame.assign(value=0.95), shares).empty, "the bound itself is not above it"
    assert find_alike(frame.assign(other_checkpoint="another"), shares).empty


def test_the_views_name_the_layer_that_counts_most_by_each(measured):
    weights = mean_weights(measured.weights)
    views = summarise_views(measured, weights, find_alike(measured.similarities, weights)).set_index("task")
    assert list(views.index) == ["sentence_length", "past_present"]
    for task, row in views.iterrows():
        own = weights[weights["task"] == task].set_index("layer_name")
        assert row["weight_layer"] == own["weight"].idxmax()
        assert row["contribution_share"] == own["contribution"].max()
        assert (row["cost_layer"], row["cost"]) == (f"layer {COSTLY}", 0.2)
        assert (row["bits_layer"], row["bits"]) == (f"layer {COSTLY}", 0.4)
        assert (row["neighbours_low"], row["neighbours_high"]) == (pytest.approx(0.85), pytest.approx(0.97))


@pytest.mark.slow
def test_tables_show_them_and_the_narrow_one_fits_80_columns(measured):
    tables = tabulate_run(RunNumbers(measured)).alike
    names = ["knockout_accuracy", "knockout_bits", "effective_rank", "anisotropy"]
    assert list(tables) == ["layers_alike", "layer_similarity", *names]
    assert all(table.rows for table in tables.values())
    [first, *_] = tables["layers_alike"].rows
    assert "layer 2: 20.0 [+15.0, +25.0]" in first
    assert len(tables["layer_similarity"].rows) == 21
    assert tables["knockout_accuracy"].rows[-3][1] == "20.0 [15.0, 25.0]"
    views = RunNumbers(measured).views
    assert len(narrow_views(views, narrow=True).heads) < len(narrow_views(views).heads)


@pytest.mark.slow
def test_the_page_has_them_with_the_warning_and_charts_of_the_chosen_task(measured):
    page = build_report([measured])
    part = page.split('<section id="alike">')[1].split("</section>")[0]
    [warned] = [line for line in warn_of_alike(RunNumbers(measured).alike) if line.startswith("SentLen")]
    assert warned.replace(" %", "\u00a0%") in part
    assert part.count("<table>") == 6
    specs = {name: json.loads(text) for name, text in re.findall(r'data-chart="chart-(\w+)-0">(.+?)</script>', page)}
    [values] = specs["similarity"]["datasets"].values()
    assert len(values) == 2 * 7 * 7
    assert {row["value"] for row in next(iter(specs["knockouts"]["datasets"].values()))} == {0, 20}


@pytest.mark.slow
def test_a_run_that_measured_none_of_it_has_no_rows_and_no_figure(build_run):
    run = build_run(tasks=["past_present"])
    numbers = RunNumbers(run)
    assert numbers.alike.empty
    assert tabulate_views(numbers.views).rows == tabulate_pairs(run).rows == []
    assert not {"layers_alike", "knockouts", "geometry"} & set(draw_figures(run))
    with pytest.raises(InputError, match="--measures similarity"):
        plot_similarity(run.similarities, numbers.weights, run.scores)
    with pytest.raises(InputError, match="--measures knockouts"):
        plot_knockouts(numbers.weights, run.scores)
    with pytest.raises(InputError, match="--measures geometry"):
        plot_geometry(run.scores)


def test_figures_show_likeness_beside_weights_and_hatch_what_may_be_nothing(measured):
    weights = mean_weights(measured.weights)
    figure = plot_similarity(measured.similarities, weights, measured.scores)
    shown = np.asarray(figure.axes[0].collections[0].get_array()).reshape(7, 7)
    assert shown == pytest.approx(shown.T)
    assert shown[2, 3] == pytest.approx(0.97)
    alike = find_alike(measured.similarities, weights)
    n_bars, n_outlines = 7, 2 * (alike["task"] == "sentence_length").sum()
    assert len(figure.axes[0].patches) == n_bars + n_outlines
    losses = plot_knockouts(weights, measured.scores).axes[2]
    assert {text.get_text() for text in losses.texts} == {"20.0", "0.0"}
    assert len(losses.patches) == 12, "six layers of two tasks lose nothing"
    assert len(plot_geometry(measured.scores).axes) == 2
