"""Layer x task heatmaps: scores, and the weights of the mix."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import PercentFormatter

from analysis.figures.style import (
    MAP,
    NOISE,
    NOISE_HATCH,
    draw_separators,
    fit_width,
    label_groups,
    label_layers,
    label_tasks,
    set_title,
    styled,
)
from analysis.runs.frames import group_spans, layer_names, title_of, unit_of
from analysis.stats.summary import centre_of_gravity
from probing.catalogue.readouts import REPRESENTATIONS
from probing.records import InputError

WEIGHT_PANELS = {
    "weight": "weight (after softmax)",
    "contribution": "contribution (weight x norm about the mean)",
}
"""Column of the layer weights -> what its panel is headed with."""

CELL_POINTS = 7
"""Type in cells."""

HATCHED: Any = {"facecolor": NOISE, "edgecolor": "white", "hatch": NOISE_HATCH, "linewidth": 0.5}
"""Look of a cell that is noise."""
NOISE_PATCH = Patch(**HATCHED, label="95 % interval holds the majority, or lies below it")
"""Sign of it in the legend."""


@styled
def plot_scores(scores: pd.DataFrame, title: str = "") -> Figure:
    """Accuracy of every layer on every task, the mix as a row of its own.

    The colour runs, per task, from the majority baseline to the task's best value, so that columns of unlike tasks
    compare over depth; the cells hold accuracy times 100. A cell whose 95 % interval holds the majority, or lies below
    it, has no colour: it is hatched. A task without a mix has an empty cell.

    Args:
        scores: from `analysis.runs.frames.mean_scores`.
        title: above the figure, such as the model's name.

    Raises:
        InputError: a task lacks a layer that others have, or there is no layer at all.
    """
    names = _checked_layers(scores)
    tasks = list(dict.fromkeys(scores["task"]))
    spans = group_spans(scores, tasks)
    scores = scores.assign(noise=is_noise(scores).astype(float))
    parts = [scores[scores["representation"] == name] for name in ("layer", "scalar_mix")]
    rows = [part for part in parts if len(part)]
    majority, best = (scores.groupby("task")[name].max().reindex(tasks) for name in ("majority", "value"))

    figure = Figure(figsize=(fit_width(len(tasks)), min(9.0, 1.7 + 0.19 * len(names))))
    width = inches_per_task(figure, len(tasks), margin=0.75)
    panels = figure.subplots(len(rows), 1, sharex=True, squeeze=False, height_ratios=[1, len(names)][-len(rows) :])
    for axes, part in zip(panels[::-1, 0], rows, strict=True):
        frame, noise = (by_layer(part, tasks, name) for name in ("value", "noise"))
        draw_cells(axes, scale_between(frame, majority, best), fit_percent(frame, width), 1.0, noise == 1)
        draw_separators(axes, spans)
    label_layers(panels[-1, 0], list(names.values()))
    if len(rows) > 1:
        panels[0, 0].set_yticks([0.5], [REPRESENTATIONS["scalar_mix"].title], rotation=0)
        panels[0, 0].tick_params(length=0, labelbottom=False)
    label_groups(panels[0, 0], spans, width)
    label_tasks(panels[-1, 0], [title_of(task) for task in tasks], width)
    draw_bar(figure, panels[-1, 0], panels[:, 0].tolist(), "0: the task's majority, 1: its best score")
    if (scores["noise"] == 1).any():
        figure.legend(handles=[NOISE_PATCH], loc="outside lower center")
    set_title(figure, _join(title, f"{unit_of(scores)} x 100 on test, by layer"))
    return figure


@styled
def plot_weights(weights: pd.DataFrame, title: str = "", unconverged: Collection[str] = ()) -> Figure:
    """Plot what the mix learned: weights beside contributions, in percent of a task's column, and centres of gravity.

    Args:
        weights: from `analysis.runs.frames.mean_weights`.
        title: above the figure, such as the model's name.
        unconverged: tasks whose mix stopped before its minimum, from `analysis.runs.frames.list_unconverged`; starred.

    Raises:
        InputError: there are no weights, or a task lacks a layer that others have.
    """
    if weights.empty:
        raise InputError("a figure of the mix needs its weights, got none: run_senteval.py --model bermo learns one")
    names = _checked_layers(weights)
    tasks = list(dict.fromkeys(weights["task"]))
    figure = Figure(figsize=(fit_width(len(tasks)), min(9.0, 2.3 + 0.38 * len(names))))
    width = inches_per_task(figure, len(tasks), margin=0.75)
    panels = figure.subplots(2, 1, sharex=True)
    top = float(weights[list(WEIGHT_PANELS)].to_numpy().max())
    for axes, (column, heading) in zip(panels, WEIGHT_PANELS.items(), strict=True):
        frame = by_layer(weights, tasks, column)
        draw_cells(axes, frame, format_cells(frame, "{:z.0f}") if width > 0.2 else None, top)
        _mark_gravity(axes, centre_of_gravity(weights, column).reindex(tasks), list(names), width)
        draw_separators(axes, group_spans(weights, tasks))
        axes.set_title(heading)
        label_layers(axes, list(names.values()))
    starred = [f"{title_of(task)}{'*' if task in unconverged else ''}" for task in tasks]
    label_tasks(panels[-1], starred, width)
    panels[0].tick_params(length=0, labelbottom=False)
    draw_bar(figure, panels[0], panels.tolist(), "share of the task's sum", percent=True)
    notes = [_STOPPED] if set(unconverged) & set(tasks) else []
    figure.legend(handles=[_gravity_mark(), *notes], loc="outside lower center")
    set_title(figure, _join(title, "scalar mix by layer, in percent"))
    return figure


def _checked_layers(frame: pd.DataFrame) -> dict[int, str]:
    names = layer_names(frame)
    if not names:
        raise InputError("a heatmap by layer needs rows of single layers, got none")
    return names


def by_layer(frame: pd.DataFrame, tasks: Sequence[str], column: str) -> pd.DataFrame:
    """Layers as rows, the top one first, and tasks as columns."""
    table = frame.pivot_table(index="layer", columns="task", values=column)
    return table.reindex(columns=list(tasks)).sort_index(ascending=False)


def scale_between(frame: pd.DataFrame, low: pd.Series, high: pd.Series) -> pd.DataFrame:
    """Values of each column as shares of the way from one number to another, cut off at both."""
    width = (high - low).where(high > low)
    return ((frame - low) / width).clip(0, 1).where(frame.isna() | width.notna(), 0.0)


def fit_percent(frame: pd.DataFrame, width: float) -> np.ndarray | None:
    """Values times 100 with as many digits as a cell so many inches wide has room for."""
    forms = (form for room, form in ((0.24, "{:z.1f}"), (0.14, "{:z.0f}")) if width > room)
    form = next(forms, "")
    return format_cells(frame, form) if form else None


def format_cells(frame: pd.DataFrame, form: str, factor: int = 100) -> np.ndarray:
    """Texts of cells: values times a factor; empty where there is none."""
    return frame.map(lambda value: "" if np.isnan(value) else form.format(factor * value)).to_numpy()


def is_noise(scores: pd.DataFrame) -> pd.Series:
    """True where the 95 % interval of a row of `mean_scores` holds the majority, or lies below it."""
    return scores["ci_low"] <= scores["majority"]


def draw_cells(
    axes: Axes, colours: pd.DataFrame, texts: np.ndarray | None, top: float, noise: pd.DataFrame | None = None
) -> None:
    """Coloured cells, 0 to `top`, with their texts in the ink that stands out; those of noise are hatched instead."""
    sns.heatmap(
        colours, vmin=0, vmax=top, cmap=MAP, annot=False if texts is None else texts, fmt="",
        annot_kws={"size": CELL_POINTS}, cbar=False, linewidths=0.5, xticklabels=False, yticklabels=False, ax=axes,
    )  # fmt: skip
    axes.set(xlabel="", ylabel="")
    hatched = np.zeros(colours.shape, bool) if noise is None else noise.to_numpy()
    for row, column in zip(*np.nonzero(hatched), strict=True):
        axes.add_patch(Rectangle((column, row), 1, 1, **HATCHED, zorder=1.5))
    for text in axes.texts:
        column, row = (int(place) for place in text.get_position())
        paper = colormaps[MAP](float(colours.to_numpy()[row, column]) / top)
        text.set_color("black" if hatched[row, column] else _ink(paper))


def _ink(paper: tuple[float, ...]) -> str:
    """Black or white, whichever stands out more (relative luminance, WCAG 2.1)."""
    channels = np.array(paper[:3])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return "black" if linear @ [0.2126, 0.7152, 0.0722] > 0.179 else "white"


def draw_bar(figure: Figure, drawn: Axes, beside: list[Axes], label: str, percent: bool = False) -> None:
    """Draw the scale of the cells' colours below them."""
    bar = figure.colorbar(drawn.collections[0], ax=beside, location="bottom", fraction=0.04, pad=0.02, aspect=40)
    bar.set_label(label)
    bar.outline.set_visible(False)
    if percent:
        bar.ax.xaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))


def _mark_gravity(axes: Axes, gravity: pd.Series, layers: Sequence[int], width: float) -> None:
    rows = np.interp(gravity, layers, np.arange(len(layers))[::-1] + 0.5)
    columns = np.arange(len(gravity)) + 0.87
    # Points squared: a quarter of the column's width, beside the number in its middle.
    size = float(np.clip((0.25 * 72 * width) ** 2, 8, 30))
    axes.scatter(columns, rows, s=size, marker="<", facecolor="white", edgecolor="black", linewidth=0.6, zorder=3)
    for text in axes.texts if width < _NARROW else ():
        text.set_x(text.get_position()[0] - _ASIDE)


_NARROW, _ASIDE = 0.35, 0.1
"""Inches below which a number of three digits reaches to the mark beside it; share of a column that it goes aside."""
_STOPPED = Line2D([], [], linestyle="", label="*: this mix stopped before its minimum")


def _gravity_mark() -> Line2D:
    return Line2D(
        [],
        [],
        linestyle="",
        marker="<",
        color="white",
        markeredgecolor="black",
        label="centre of gravity (sum of l x share)",
    )


def inches_per_task(figure: Figure, n_tasks: int, margin: float) -> float:
    """Width of a task's column in a figure whose labels take `margin` inches."""
    return (figure.get_figwidth() - margin) / n_tasks


def _join(title: str, what: str) -> str:
    return f"{title}: {what}" if title else what[0].upper() + what[1:]
