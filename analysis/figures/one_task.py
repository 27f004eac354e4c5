"""One task of one run by layer: scores, what the mix learned, and gradient norms, side by side."""

from collections.abc import Sequence
from itertools import cycle

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.by_layer import draw_line, gradient_lines
from analysis.figures.curves import draw_task, label_depth
from analysis.figures.style import LINE_STYLES, PAGE_INCHES, mark_powers, set_title, styled
from analysis.runs.choosing import name_model, pooling_of
from analysis.runs.frames import layer_names, mean_scores, mean_weights, title_of, unit_of
from analysis.runs.probing_run import Run
from probing.records import InputError

_BARS = {"weight": ("#56B4E9", -0.2, ""), "contribution": ("#0072B2", 0.2, "///")}
"""Column of the layer weights -> colour (Okabe and Ito), offset and hatch of its bars."""


@styled
def plot_task(run: Run, task: str) -> Figure:
    """Three panels over the same layers; one for which the run has no rows says so, and what measures it.

    Args:
        run: from `analysis.runs.probing_run.load_run`.
        task: its key.

    Raises:
        InputError: the run has no scores of this task, or none of single layers.
    """
    if task not in set(run.scores["task"]):
        known = ", ".join(map(title_of, dict.fromkeys(run.scores["task"])))
        raise InputError(f"{run.folder}: expected a task of the run, got {title_of(task)}; it has {known}")
    scores = mean_scores(run.scores[run.scores["task"] == task])
    names = layer_names(scores)
    if not names:
        raise InputError(f"{run.folder}: {title_of(task)} has no scores of single layers")
    figure = Figure(figsize=(PAGE_INCHES, 2.6))
    panels = figure.subplots(1, 3, sharex=True)
    draw_task(panels[0], scores)
    panels[0].set(title="scores", ylabel=f"{unit_of(scores)} x 100 on test")
    _draw_mix(panels[1], mean_weights(run.weights[run.weights["task"] == task]))
    _draw_gradients(panels[2], run.gradients[run.gradients["task"] == task])
    for axes in panels:
        _finish_panel(axes, list(names), list(names.values()))
    figure.supxlabel("layer (emb: embeddings)" if "embeddings" in names.values() else "layer")
    title = f"{scores['title'].iloc[0]}, {name_model(run)}, {pooling_of(run)} pooling, n = {scores['n'].iloc[0]}"
    set_title(figure, title)
    return figure


def _draw_mix(axes: Axes, weights: pd.DataFrame) -> None:
    axes.set(title="mix", ylabel="percent of the mix")
    if weights.empty:
        _leave_out(axes, "No mix in this run:\n--model bermo learns one.")
    for column, (colour, offset, hatch) in _BARS.items() if len(weights) else ():
        axes.bar(
            weights["layer"] + offset, 100 * weights[column], 0.4, color=colour, hatch=hatch, edgecolor="white", lw=0,
            label=column,
        )  # fmt: skip


def _draw_gradients(axes: Axes, gradients: pd.DataFrame) -> None:
    axes.set(title="gradient norms of hidden states", ylabel="norm of dL/dh")
    if gradients.empty:
        _leave_out(axes, "No gradients in this run:\n--gradients 16 measures them.")
        return
    for (name, rows), style in zip(gradient_lines(gradients, "hidden").items(), cycle(LINE_STYLES), strict=False):
        draw_line(axes, rows, name, style)
    axes.set_yscale("log")
    mark_powers(axes.yaxis)


def _leave_out(axes: Axes, why: str) -> None:
    axes.text(0.5, 0.5, why, ha="center", va="center", transform=axes.transAxes)
    axes.set_yticks([])


def _finish_panel(axes: Axes, layers: Sequence[int], names: Sequence[str]) -> None:
    label_depth(axes, list(layers), list(names))
    axes.set_xlim(min(layers) - 0.6, max(layers) + 0.6)
    axes.grid(axis="y")
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        axes.legend(handles, labels, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=1)
