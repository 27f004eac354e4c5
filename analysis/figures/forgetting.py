"""Figures of students held against their teacher: losses by task and relative depth, and mixes side by side."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from analysis.figures.differences import DIVERGING
from analysis.figures.heatmaps import CELL_POINTS
from analysis.figures.style import (
    LINE_STYLES,
    NOISE,
    NOISE_HATCH,
    PAGE_INCHES,
    draw_separators,
    fit_width,
    label_bottom,
    label_tasks,
    set_title,
    small_panels,
    styled,
)
from analysis.runs.frames import group_spans, title_of
from probing.records import InputError

_ROW_INCHES = 0.17
_HEAD_INCHES = 0.42
_TALLEST = 9.0
_HATCHED: Any = {"facecolor": NOISE, "edgecolor": "white", "hatch": NOISE_HATCH, "linewidth": 0.5}
_LEGEND = Patch(**_HATCHED, label="95 % interval holds 0; bold: significant (Holm)")
_NAMES = {"mix": "mix", "best": "best"}


@styled
def plot_losses(losses: pd.DataFrame, teacher: str, title: str = "") -> Figure:
    """Student minus teacher in points by task and relative depth, a panel per student; mix and best layer above.

    A cell whose 95 % interval holds 0 is hatched; a significant one (Holm) is in bold. `~` stands before a depth where
    the teacher has no layer of its own.

    Args:
        losses: from `analysis.stats.forgetting.measure_losses`.
        teacher: its name.
        title: above the figure.

    Raises:
        InputError: there is nothing to draw.
    """
    if losses.empty:
        raise InputError("a figure of losses needs some, got none")
    tasks = list(dict.fromkeys(losses["task"]))
    panels = {str(name): own for name, own in losses.groupby("student", sort=False)}
    heights = [_HEAD_INCHES + _ROW_INCHES * len(_list_rows(own)) for own in panels.values()]
    n_columns = 1 if sum(heights) + 1.3 <= _TALLEST or len(tasks) > 10 else 2
    n_rows = -(-len(panels) // n_columns)
    width = PAGE_INCHES if n_columns > 1 else fit_width(len(tasks))
    tallest = [max(heights[row * n_columns : (row + 1) * n_columns]) for row in range(n_rows)]
    figure = Figure(figsize=(width, 1.3 + sum(tallest)))
    grid = figure.subplots(n_rows, n_columns, squeeze=False, height_ratios=tallest)
    # Half as much again as the largest difference, so that black ink stands out on every colour.
    most = 1.5 * max(0.01, float(losses["difference"].abs().max()))
    for axes, (name, own) in zip(grid.flat, panels.items(), strict=False):
        _draw_student(axes, own, tasks, most)
        axes.set_title(name)
        draw_separators(axes, group_spans(losses, tasks))
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    inches = (width / n_columns - 0.6) / len(tasks)
    for axes in grid.flat[max(0, len(panels) - n_columns) : len(panels)]:
        label_tasks(axes, [title_of(task) for task in tasks], inches)
    figure.supylabel("relative depth (0: embeddings, 1: last layer)")
    figure.legend(handles=[_LEGEND], loc="outside lower center")
    set_title(figure, title or f"Points lost and gained against {teacher}")
    return figure


@styled
def plot_mixes(mixes: pd.DataFrame, column: str = "weight", title: str = "") -> Figure:
    """Share that each layer has in the mix of each encoder, by relative depth; a small panel per task.

    Args:
        mixes: from `analysis.stats.moved_mixes.stack_mixes`.
        column: `weight` or `contribution`.
        title: above the figure.

    Raises:
        InputError: no encoder has a mix.
    """
    if mixes.empty:
        raise InputError("a figure of mixes needs their weights, got none: run_senteval.py --mix on learns them")
    tasks = list(dict.fromkeys(mixes["task"]))
    figure, panels = small_panels(len(tasks))
    lines = {}
    for axes, task in zip(panels.flat, tasks, strict=False):
        own = mixes[mixes["task"] == task]
        for number, encoder in enumerate(dict.fromkeys(mixes["encoder"])):
            colour, mark, dashes = LINE_STYLES[number % len(LINE_STYLES)]
            rows = own[own["encoder"] == encoder].sort_values("depth")
            shown = axes.plot(rows["depth"], 100 * rows[column], color=colour, marker=mark, ms=2.5, linestyle=dashes)
            lines[encoder] = shown[0]
        axes.set_title(title_of(task))
        axes.grid(axis="y")
    label_bottom(panels, len(tasks), "relative depth")
    figure.supylabel(f"{column}, percent of the mix")
    figure.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=1 if len(tasks) <= 10 else 3)
    set_title(figure, title or f"Mixes side by side: {column}s")
    return figure


def _list_rows(own: pd.DataFrame) -> list[tuple[str, int]]:
    """Rows of a student's panel from the top: mix and best layer where it has them, then its layers, the last first."""
    places = [(place, -1) for place in _NAMES if (own["place"] == place).any()]
    layers = sorted(own.loc[own["place"] == "depth", "layer"].unique(), reverse=True)
    return places + [("depth", int(layer)) for layer in layers]


def _draw_student(axes: Axes, own: pd.DataFrame, tasks: Sequence[str], most: float) -> None:
    rows = _list_rows(own)
    cells = {_key(row): row for row in own.to_dict("records")}
    values = np.full((len(rows), len(tasks)), np.nan)
    for number, (place, layer) in enumerate(rows):
        for column, task in enumerate(tasks):
            cell = cells.get((place, layer, task))
            if cell is not None:
                values[number, column] = cell["difference"]
                _write_cell(axes, cell, column, number)
    axes.pcolormesh(values, vmin=-most, vmax=most, cmap=DIVERGING, edgecolors="white", linewidth=0.5)
    axes.set_yticks(np.arange(len(rows)) + 0.5, [_label(own, place, layer) for place, layer in rows])
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set(xlim=(0, len(tasks)), ylim=(len(rows), 0))
    n_places = sum(place != "depth" for place, _ in rows)
    if n_places:
        axes.axhline(n_places, color="white", linewidth=3)


def _key(row: dict[Any, Any]) -> tuple[str, int, str]:
    return row["place"], int(row["layer"]) if row["place"] == "depth" else -1, row["task"]


def _write_cell(axes: Axes, cell: dict[Any, Any], column: int, row: int) -> None:
    if cell["ci_low"] <= 0 <= cell["ci_high"]:
        axes.add_patch(Rectangle((column, row), 1, 1, **_HATCHED, zorder=1.5))
    weight = "bold" if cell["significant"] else "normal"
    text = f"{100 * cell['difference']:+z.0f}"
    axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", size=CELL_POINTS, weight=weight, zorder=3)


def _label(own: pd.DataFrame, place: str, layer: int) -> str:
    if place != "depth":
        return _NAMES[place]
    row = own[(own["place"] == "depth") & (own["layer"] == layer)].iloc[0]
    return f"{'' if math.isclose(row['depth'], row['teacher_depth']) else '~'}{row['depth']:.2f}"
