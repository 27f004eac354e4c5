"""Lines by layer, one small panel per task: what is left above each control, code length, gradient norms."""

from collections.abc import Mapping
from itertools import cycle

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.style import (
    LINE_STYLES,
    LineStyle,
    few_layers,
    label_bottom,
    mark_powers,
    set_title,
    small_panels,
    styled,
)
from analysis.runs.frames import layer_names, mean_scores, order_tasks, title_of
from probing.catalogue.controls import CONTROLS, DIFFERENCES
from probing.records import InputError

HEADS = {"last_layer": "head on the last layer", "scalar_mix": "head on the mix"}
QUANTITIES = {"hidden": "gradient norm of hidden states", "parameters": "gradient norm of a block's parameters"}
"""Words for what the columns `head` and `quantity` say."""


@styled
def plot_selectivity(scores: pd.DataFrame, title: str = "") -> Figure:
    """Score minus each control's score, by layer, with its paired 95 % interval.

    Args:
        scores: as in `Run.scores`, with rows whose metric is `selectivity` or `gain`.
        title: above the figure, such as the model's name.

    Raises:
        InputError: no such rows, or a task lacks a layer that others have.
    """
    found = scores[scores["metric"].isin(DIFFERENCES)][["control", "metric"]].drop_duplicates()
    if found.empty:
        raise InputError("what is left above the controls needs rows of metric selectivity or gain, got none")
    frames = {
        f"above {name_control(control)}": mean_scores(scores, control=control, metric=metric)
        for control, metric in zip(found["control"].tolist(), found["metric"].tolist(), strict=True)
    }
    lines = {name: _times_100(frame[frame["representation"] == "layer"]) for name, frame in frames.items()}
    return _draw_panels(lines, "points above the control on test", title, zero=True)


@styled
def plot_code_length(scores: pd.DataFrame, title: str = "") -> Figure:
    """Compression of the labels by layer, with its 95 % interval; 1 is a code no better than the uniform one.

    Args:
        scores: as in `Run.scores`, with rows whose metric is `compression` (arXiv 2003.12298).
        title: above the figure, such as the model's name.

    Raises:
        InputError: no such rows, or a task lacks a layer that others have.
    """
    rows = scores[(scores["metric"] == "compression") & (scores["representation"] == "layer")]
    if rows.empty:
        raise InputError("code length by layer needs rows of metric compression, got none")
    controls = dict.fromkeys(rows["control"])
    splits = rows.groupby("control")["split"].first()
    frames = {
        "the task" if name == "none" else name_control(name): mean_scores(rows, splits[name], name, "compression")
        for name in controls
    }
    return _draw_panels(frames, "compression (uniform code = 1)", title)


@styled
def plot_gradients(gradients: pd.DataFrame, quantity: str = "hidden", title: str = "") -> Figure:
    """Gradient norms by depth at the first and the last step measured, a line per head, with 95 % intervals.

    Args:
        gradients: as in `Run.gradients`.
        quantity: `hidden` (of the hidden states) or `parameters` (of each block).
        title: above the figure, such as the model's name.

    Raises:
        InputError: no such rows, or a task lacks a layer that others have.
    """
    lines = gradient_lines(gradients, quantity)
    return _draw_panels(lines, QUANTITIES.get(quantity, quantity), title, logarithmic=True)


def gradient_lines(gradients: pd.DataFrame, quantity: str) -> dict[str, pd.DataFrame]:
    """Name of the head, and of the step where there are two, -> its rows at the first and at the last step measured.

    Raises:
        InputError: no such rows.
    """
    rows = gradients[gradients["quantity"] == quantity]
    if rows.empty:
        raise InputError(f"gradients by depth need rows of quantity {quantity}, got none: --gradients 16 measures them")
    steps = sorted({int(rows["step"].min()), int(rows["step"].max())})
    lines = {
        _name_line(str(head), step, len(steps) > 1): own[own["step"] == step]
        for head, own in rows.groupby("head", sort=False)
        for step in steps
    }
    return {name: own.assign(group="") for name, own in lines.items()}


def name_control(name: str) -> str:
    """Name a control as a sentence does."""
    return CONTROLS[name].title if name in CONTROLS else name


def _name_line(head: str, step: int, several: bool) -> str:
    when = "before training" if step == 0 else f"after {step} steps"
    return f"{HEADS.get(head, head)}, {when}" if several else HEADS.get(head, head)


def _draw_panels(
    lines: Mapping[str, pd.DataFrame], label: str, title: str, *, zero: bool = False, logarithmic: bool = False
) -> Figure:
    """One panel per task, one line per frame; the frames have columns `task group layer value ci_low ci_high`."""
    together = pd.concat(lines.values(), ignore_index=True)
    names = layer_names(together)
    tasks = order_tasks(together)
    figure, panels = small_panels(len(tasks))
    for axes, task in zip(panels.flat, tasks, strict=False):
        for (name, frame), style in zip(lines.items(), cycle(LINE_STYLES), strict=False):
            draw_line(axes, frame[frame["task"] == task], name, style)
        axes.set_title(title_of(task))
        _finish_panel(axes, list(names), zero, logarithmic)
    figure.supylabel(label)
    label_bottom(panels, len(tasks), "layer (0: embeddings)" if names.get(0) == "embeddings" else "layer")
    handles = panels[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=1 if max(map(len, lines)) > 20 else 2)
    set_title(figure, title)
    return figure


def draw_line(axes: Axes, rows: pd.DataFrame, name: str, style: LineStyle) -> None:
    """Values by layer with their intervals."""
    colour, mark, dashes = style
    rows = rows.sort_values("layer")
    axes.fill_between(rows["layer"], rows["ci_low"], rows["ci_high"], color=colour, alpha=0.2, lw=0)
    axes.plot(rows["layer"], rows["value"], color=colour, marker=mark, linestyle=dashes, markersize=3, label=name)


def _finish_panel(axes: Axes, layers: list[int], zero: bool, logarithmic: bool) -> None:
    if zero:
        axes.axhline(0, color="black", linewidth=0.8)
    if logarithmic:
        axes.set_yscale("log")
        mark_powers(axes.yaxis)
    axes.set_xticks(few_layers(layers))
    axes.grid(axis="y")


def _times_100(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(**{name: 100 * frame[name] for name in ("value", "ci_low", "ci_high")})
