"""Figures of properties erased inside an encoder: what later layers have again, and the cost of it by depth."""

from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.by_layer import draw_line
from analysis.figures.heatmaps import draw_cells
from analysis.figures.style import (
    LINE_STYLES,
    few_layers,
    label_bottom,
    label_layers,
    set_title,
    small_panels,
    styled,
)
from analysis.runs.frames import order_tasks, title_of
from analysis.stats.amnesia import LAYER, LINES, list_lines
from analysis.tables.table import shorten_layer
from probing.records import InputError


@styled
def plot_recovery(losses: pd.DataFrame, title: str = "") -> Figure:
    """A panel for each property: the accuracy x 100 of each later layer, by the block at which it was erased.

    Coloured from the majority to the accuracy of the same layer without an erasure.

    Args:
        losses: from `analysis.stats.amnesia.list_losses`.
        title: above the figure, such as the model's name.

    Raises:
        InputError: no layer was probed behind an erasure.
    """
    own = _own_layers(losses)
    tasks = order_tasks(own)
    names = _names(own)
    figure, panels = _square_panels(len(tasks), len(names))
    for axes, task in zip(panels.flat, tasks, strict=False):
        rows = own[own["task"] == task]
        above = (rows["plain"] - rows["majority"]).clip(lower=1e-9)
        shades = rows.assign(shade=((rows["left"] - rows["majority"]) / above).clip(0, 1))
        colours, values = (
            shades.pivot_table(index="block", columns="layer", values=column).reindex(list(names), columns=list(names))
            .sort_index(ascending=False) for column in ("shade", "left")
        )  # fmt: skip
        texts = values.map(lambda value: "" if np.isnan(value) else f"{100 * value:z.0f}").to_numpy()
        draw_cells(axes, colours, texts if len(names) <= 13 else None, 1.0)
        label_layers(axes, list(names.values()))
        step = max(1, len(names) // 7)
        axes.set_xticks(np.arange(0, len(names), step) + 0.5, list(names.values())[::step], rotation=0)
        axes.set_title(title_of(task))
    figure.supylabel("erased at the output of")
    figure.supxlabel("probed at (accuracy x 100; dark: majority, light: as without an erasure)")
    set_title(figure, title)
    return figure


@styled
def plot_losses(amnesia: pd.DataFrame, losses: pd.DataFrame, title: str = "") -> Figure:
    """A panel for each property: what a probe reads at each layer, beside what erasing it there costs the last layer.

    Args:
        amnesia: as in `Run.amnesia`, for the random directions.
        losses: from `analysis.stats.amnesia.list_losses`.
        title: above the figure, such as the model's name.

    Raises:
        InputError: no layer was probed behind an erasure.
    """
    own = _own_layers(losses)
    tasks, names = order_tasks(own), _names(own)
    figure, panels = small_panels(len(tasks))
    for axes, task in zip(panels.flat, tasks, strict=False):
        lines = list_lines(amnesia[amnesia["task"] == task], own[own["task"] == task])
        for (name, rows), style in zip(lines.items(), cycle(LINE_STYLES), strict=False):
            draw_line(axes, rows, LINES[name], style)
        _finish(axes, list(names), title_of(task))
    figure.supylabel("points on test")
    label_bottom(panels, len(tasks), "layer (0: embeddings)" if names.get(0) == "emb" else "layer")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=1)
    set_title(figure, title)
    return figure


def _own_layers(losses: pd.DataFrame) -> pd.DataFrame:
    own = losses[(losses["readout"] == LAYER) & (losses["erased"] == losses["task"])] if len(losses) else losses
    if own.empty:
        raise InputError("a figure of amnesia needs layers that were probed behind an erasure: --measures amnesia")
    return own


def _names(own: pd.DataFrame) -> dict[int, str]:
    rows = own.sort_values("layer")
    return dict(zip(rows["layer"].tolist(), map(shorten_layer, rows["layer_name"]), strict=True))


def _square_panels(n_tasks: int, n_layers: int) -> tuple[Figure, np.ndarray]:
    n_columns = min(2, n_tasks)
    n_rows = -(-n_tasks // n_columns)
    side = float(np.clip(0.32 * n_layers, 2.0, 3.4))
    figure = Figure(figsize=(n_columns * side + 0.6, min(9.5, n_rows * (side * 0.85 + 0.25) + 0.9)))
    panels = figure.subplots(n_rows, n_columns, squeeze=False)
    for axes in panels.flat[n_tasks:]:
        axes.set_visible(False)
    return figure, panels


def _finish(axes: Axes, layers: list[int], title: str) -> None:
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xticks(few_layers(layers))
    axes.grid(axis="y")
    axes.set_title(title)
