import sys
from dataclasses import replace
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from analysis.figures.files import render, save_figures
from analysis.figures.heatmaps import _ink
from analysis.figures.of_a_run import describe, draw_figures, plot_curves, plot_dumbbell, plot_scores, plot_weights
from analysis.runs.frames import mean_scores, mean_weights
from analysis.stats.summary import summarise
from analysis.stats.within_run import compare_all
from probing.records import InputError

EXTENT_SLACK = 1.0  # pixels, of rounding


@pytest.fixture(scope="module")
def two_task_run(build_run):
    return build_run(tasks=["tree_depth", "odd_man_out"])


def texts(figure):
    return {text.get_text() for text in figure.findobj(Text) if text.get_text() and text.get_visible()}


def shares(figure):
    """What the colours of the seven layers and two tasks stand for."""
    return np.asarray(figure.axes[1].collections[0].get_array()).reshape(7, 2)


def check_layout(figure):
    """As wide as a column or a page, nothing cut off, nothing under 7 points, no two labels on one another."""
    figure.draw_without_rendering()
    shown = [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]
    boxes = [text.get_window_extent() for text in shown]
    assert min(text.get_fontsize() for text in shown) >= 7
    for text, box in zip(shown, boxes, strict=True):
        inside = box.x0 >= -EXTENT_SLACK and box.y0 >= -EXTENT_SLACK
        inside &= box.x1 <= figure.bbox.x1 + EXTENT_SLACK and box.y1 <= figure.bbox.y1 + EXTENT_SLACK
        assert inside or not text.axes, text.get_text()
    outside = [*figure.texts, *(axes.xaxis.label for axes in figure.axes), *(axes.yaxis.label for axes in figure.axes)]
    for text in [text for text in outside if text.get_text()]:
        box = text.get_window_extent()
        assert 0 <= box.x0 + EXTENT_SLACK < box.x1 <= figure.bbox.x1 + EXTENT_SLACK, text.get_text()
        assert 0 <= box.y0 + EXTENT_SLACK < box.y1 <= figure.bbox.y1 + EXTENT_SLACK, text.get_text()
    assert figure.get_figwidth() in (3.3, 6.9)
    legends = [legend.get_window_extent() for legend in figure.legends]
    labels = [axes.xaxis.label.get_window_extent() for axes in figure.axes if axes.xaxis.label.get_text()]
    assert not any(legend.overlaps(label) for legend in legends for label in labels)
    for axes in figure.axes:
        upright = [label for label in axes.get_xticklabels() if label.get_text() and not label.get_rotation()]
        spans = sorted((label.get_window_extent().x0, label.get_window_extent().x1) for label in upright)
        assert all(left[1] <= right[0] + EXTENT_SLACK for left, right in pairwise(spans))


@pytest.mark.parametrize(
    "case",
    [
        {"tasks": ["odd_man_out"]},
        {"tasks": ["sentence_length", "tree_depth"], "mix": False},
        pytest.param({"n_layers": 25, "extra_tasks": 10, "n": 60}, marks=pytest.mark.slow),
    ],
)
def test_every_figure_is_legible_and_whole(build_run, case):
    run = build_run(**case)
    for figure in draw_figures(run).values():
        assert isinstance(figure, Figure)
        check_layout(figure)


def test_cells_hold_accuracy_times_100_with_the_embeddings_at_the_bottom(two_task_run):
    figure = plot_scores(mean_scores(two_task_run.scores))
    mix, layers = figure.axes[:2]
    scores = mean_scores(two_task_run.scores).set_index(["task", "representation", "layer"])["value"]
    expected = [[scores[task, "layer", layer] for task in ("tree_depth", "odd_man_out")] for layer in range(6, -1, -1)]
    assert [text.get_text() for text in layers.texts] == [f"{100 * value:.1f}" for value in np.ravel(expected)]
    assert mix.texts[0].get_text() == f"{100 * scores['tree_depth', 'scalar_mix', -1]:.1f}"
    assert [label.get_text() for label in layers.get_yticklabels()][-1] == "embeddings"
    assert layers.yaxis_inverted()


def test_colours_run_from_majority_to_the_tasks_best(two_task_run):
    scores = mean_scores(two_task_run.scores)
    layers = shares(plot_scores(scores))
    task = scores[scores["task"] == "odd_man_out"]
    values = task[task["representation"] == "layer"].sort_values("layer", ascending=False)["value"].to_numpy()
    majority, best = task["majority"].iloc[0], task["value"].max()
    assert layers[:, 1] == pytest.approx((values - majority) / (best - majority))


def test_a_task_that_never_beats_its_majority_is_drawn_at_zero(two_task_run):
    scores = mean_scores(two_task_run.scores)
    scores.loc[scores["task"] == "odd_man_out", "majority"] = 0.99
    assert (shares(plot_scores(scores))[:, 1] == 0).all()


def test_a_task_without_a_mix_leaves_its_cell_empty(two_task_run):
    scores = mean_scores(two_task_run.scores)
    scores = scores[(scores["task"] != "odd_man_out") | (scores["representation"] == "layer")]
    figure = plot_scores(scores)
    assert len(figure.axes[0].texts) == 1
    check_layout(plot_curves(scores))


def test_weights_are_percent_of_a_column_beside_contributions(two_task_run):
    weights = mean_weights(two_task_run.weights)
    figure = plot_weights(weights)
    for axes, column in zip(figure.axes[:2], ("weight", "contribution"), strict=True):
        frame = weights.pivot_table(index="layer", columns="task", values=column)[["tree_depth", "odd_man_out"]]
        expected = [f"{100 * value:.0f}" for value in np.ravel(frame.to_numpy()[::-1])]
        assert [text.get_text() for text in axes.texts] == expected


def test_the_centre_of_gravity_is_marked_at_its_depth(two_task_run):
    weights = mean_weights(two_task_run.weights)
    axes = plot_weights(weights).axes[0]
    marks = axes.collections[-1].get_offsets()
    rows = weights[weights["task"] == "tree_depth"]
    depth = np.dot(rows["layer"], rows["weight"])
    assert marks[0, 1] == pytest.approx(6 - depth + 0.5)  # row 0 is layer 6, and the middle of a row is at a half


@pytest.mark.slow
def test_a_mix_that_stopped_early_is_starred_and_no_other(two_task_run):
    def draw(run):
        figure = draw_figures(run)["mix_weights"]
        stars = [label.get_text() for label in figure.axes[1].get_xticklabels() if label.get_text().endswith("*")]
        return stars, any("stopped before its minimum" in text for text in texts(figure))

    assert draw(two_task_run) == ([], False)
    scores = two_task_run.scores
    mixes = (scores["task"] == "odd_man_out") & (scores["representation"] == "scalar_mix")
    stopped = replace(two_task_run, scores=scores.assign(converged=scores["converged"] & ~mixes))
    assert draw(stopped) == (["SOMO*"], True)
    layers = replace(two_task_run, scores=scores.assign(converged=scores["representation"] != "layer"))
    assert draw(layers) == ([], False)


def test_a_mix_that_leaves_out_the_embeddings_is_drawn_from_its_own_layers(two_task_run):
    weights = mean_weights(two_task_run.weights[two_task_run.weights["layer"] > 0])
    labels = [label.get_text() for label in plot_weights(weights).axes[0].get_yticklabels()]
    assert labels == [f"layer {layer}" for layer in range(6, 0, -1)]


@pytest.mark.slow
def test_figures_of_ten_tasks_are_whole_and_name_tasks_groups_chance_and_majority(build_run):
    figures = draw_figures(build_run(n_layers=13, n=60))
    for figure in figures.values():
        check_layout(figure)
    assert {"SentLen", "CoordInv", "surface", "syntactic", "semantic", "scalar mix"} <= texts(
        figures["scores_by_layer"]
    )
    assert {"chance", "majority", "single layer", "scalar mix"} <= texts(figures["curves_by_layer"])
    assert any("0: the task's majority" in text for text in texts(figures["scores_by_layer"]))


def test_gains_are_filled_where_significant_alone(two_task_run):
    compared = compare_all(two_task_run)
    figure = plot_dumbbell(summarise(two_task_run), compared)
    marks = [line for line in figure.axes[1].lines if line.get_marker() in ("s", "D")]
    filled = sorted(line.get_xdata()[0] for line in marks if line.get_markerfacecolor() != "white")
    rows = compared[(compared["level"] == "task") & (compared["second"] == "last") & compared["significant"]]
    assert filled == pytest.approx(sorted(100 * rows["difference"]))


def test_without_a_mix_there_are_no_weights_to_draw(plain_run):
    assert set(draw_figures(plain_run)) == {"scores_by_layer", "curves_by_layer", "last_best_mix"}
    with pytest.raises(InputError, match="got none"):
        plot_weights(mean_weights(plain_run.weights))


def test_a_missing_layer_draws_nothing(two_task_run):
    scores = mean_scores(two_task_run.scores)
    lacking = scores[(scores["task"] != "tree_depth") | (scores["layer"] != 3)]
    for draw in (plot_scores, plot_curves):
        with pytest.raises(InputError, match="lacks layer 3"):
            draw(lacking)


def test_ink_has_a_contrast_of_at_least_four_and_a_half_on_every_colour():
    def luminance(colour):
        channels = np.array(mpl.colors.to_rgb(colour))
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    for paper in mpl.colormaps["viridis"](np.linspace(0, 1, 64)):
        dark, light = sorted((luminance(_ink(tuple(paper))), luminance(paper[:3])))
        assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_drawing_leaves_no_trace_in_pyplot_or_in_the_settings(two_task_run):
    before = dict(mpl.rcParams)
    draw_figures(two_task_run)
    assert dict(mpl.rcParams) == before
    assert sys.modules["matplotlib.pyplot"].get_fignums() == []


@pytest.mark.slow
def test_files_are_whole_and_the_same_every_time(two_task_run, tmp_path):
    paths = save_figures(two_task_run, tmp_path / "figures")
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == sorted(path.name for path in paths)
    assert {path.suffix for path in paths} == {".png", ".pdf"}
    again = plot_curves(mean_scores(two_task_run.scores), describe(two_task_run))
    for name, content in render({"curves_by_layer": again}).items():
        assert (tmp_path / "figures" / name).read_bytes() == content
    assert not any(b"CreationDate" in path.read_bytes() for path in paths)


def hatched(figure):
    """(Column, row) of the cells of the layers that are hatched."""
    layers = figure.axes[1]
    return {(int(patch.get_x()), int(patch.get_y())) for patch in layers.patches if patch.get_hatch()}


def test_a_cell_whose_interval_holds_the_majority_is_hatched_and_no_other(two_task_run):
    scores = mean_scores(two_task_run.scores)
    first = (scores["task"] == "tree_depth") & scores["layer"].isin([0, 6])
    scores.loc[first, "ci_low"] = scores.loc[first, "majority"] - 0.001
    # Layer 6 is the uppermost row, the embeddings the lowest.
    figure = plot_scores(scores)
    assert hatched(figure) == {(0, 0), (0, 6)}
    assert "95 % interval holds the majority, or lies below it" in texts(figure)
    scores["ci_low"] = scores["majority"] + 0.001
    assert not hatched(plot_scores(scores))


def test_curves_of_all_tasks_have_one_scale(two_task_run):
    panels = [axes for axes in plot_curves(mean_scores(two_task_run.scores)).axes if axes.get_visible()]
    assert len({axes.get_ylim() for axes in panels}) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["US$_to_A$", "a$^$b", "task[final]", "情感分类", "a_{b}", "x & <y>"])
def test_any_file_name_is_drawn_as_it_stands_without_a_warning(build_run, name):
    run = build_run(tasks=["tree_depth"])
    renamed = {part: getattr(run, part).assign(task=name) for part in ("scores", "weights", "predictions")}
    for key, figure in draw_figures(replace(run, **renamed)).items():
        assert render({key: figure})
        assert any(name in text for text in texts(figure)), key
