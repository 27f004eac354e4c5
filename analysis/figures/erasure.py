"""Heatmaps of erasure, property by property: at the best layers, for the mix, and layer by layer."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from analysis.figures.differences import DIVERGING
from analysis.figures.style import NOISE, PAGE_INCHES, set_title, styled
from analysis.runs.frames import title_of
from analysis.stats.erasure import choose_best, choose_layer, choose_mix, pivot
from probing.records import InputError

_CELL_POINTS = 5.5
_LEAST_RANGE = 0.02
"""Points to either side that the colours span at least: noise should not look like a finding."""


@styled
def plot_erasure(erasures: pd.DataFrame, summary: pd.DataFrame, title: str = "") -> Figure:
    """Changes of each task without each property: at its best layer, and for the mix beside it.

    The numbers are the changes, the colours what of them goes beyond both controls; starred where that is significant
    (Holm over the matrix). The diagonal, a property's own probe, has no colour.

    Args:
        erasures: from `analysis.stats.erasure.list_erasures`.
        summary: from `analysis.stats.summary.summarise`.
        title: above the figure, such as the model's name.

    Raises:
        InputError: nothing was erased.
    """
    _check(erasures)
    panels = {"each task at its best layer": choose_best(erasures, summary), "the mix": choose_mix(erasures)}
    panels = {name: matrix for name, matrix in panels.items() if len(matrix)}
    n = max(len(pivot(matrix)) for matrix in panels.values())
    figure = Figure(figsize=(PAGE_INCHES, 1.5 + 0.24 * n))
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    most = _find_range(panels)
    for one, (name, matrix) in zip(axes, panels.items(), strict=True):
        _draw(one, matrix, most, texts=True)
        one.set_title(name)
        one.set_xlabel("probed")
    axes[0].set_ylabel("erased")
    _draw_bar(figure, axes.tolist())
    set_title(figure, f"{title + ': ' if title else ''}points that a probe changes by without another property")
    return figure


@styled
def plot_erasure_layers(erasures: pd.DataFrame, title: str = "") -> Figure:
    """The same colours for every layer, small, on one scale.

    Args:
        erasures: from `analysis.stats.erasure.list_erasures`.
        title: above the figure, such as the model's name.

    Raises:
        InputError: nothing was erased.
    """
    _check(erasures)
    layers = erasures[erasures["representation"] == "layer"]
    names = dict(zip(layers["layer"], layers["layer_name"], strict=True))
    panels = {str(names[layer]): choose_layer(erasures, layer) for layer in sorted(names)}
    columns = min(4, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(PAGE_INCHES, min(9.0, 1.2 + 1.7 * rows)))
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    most = _find_range(panels)
    for one, (name, matrix) in zip(grid.flat, panels.items(), strict=False):
        _draw(one, matrix, most, texts=False)
        one.set_title(f"layer {name}" if name.isdigit() else name)
    for one in grid.flat[len(panels) :]:
        one.set_visible(False)
    for one in grid.flat[max(0, len(panels) - columns) : len(panels)]:
        one.tick_params(labelbottom=True)
        one.set_xlabel("probed")
    figure.supylabel("erased")
    _draw_bar(figure, grid.ravel().tolist())
    set_title(
        figure, f"{title + ': ' if title else ''}points that a probe changes by without another property, by layer"
    )
    return figure


def _check(erasures: pd.DataFrame) -> None:
    if erasures.empty:
        raise InputError("a figure of erasure needs rows of --measures erasure, got none")


def _find_range(panels: Mapping[str, pd.DataFrame]) -> float:
    changes = pd.concat(list(panels.values()))
    return max(_LEAST_RANGE, float(changes.loc[~changes["own"].astype(bool), "beyond"].abs().max()))


def _draw(axes: Axes, matrix: pd.DataFrame, most: float, *, texts: bool) -> None:
    values, beyond, stars = (pivot(matrix, column) for column in ("value", "beyond", "significant"))
    signs = np.where(stars.fillna(False).astype(bool), "*", "")
    written = values.map(_write).to_numpy() + signs
    sns.heatmap(
        beyond, vmin=-1.5 * most, vmax=1.5 * most, cmap=DIVERGING, annot=written if texts else False, fmt="",
        annot_kws={"size": _CELL_POINTS, "color": "black"}, cbar=False, linewidths=0.5, ax=axes,
    )  # fmt: skip
    for row, erased in enumerate(values.index):
        for column, task in enumerate(values.columns):
            if erased == task:
                axes.add_patch(Rectangle((column, row), 1, 1, facecolor=NOISE, edgecolor="white", linewidth=0.5))
    axes.set_xticks(np.arange(values.shape[1]) + 0.5, [title_of(task) for task in values.columns], rotation=90)
    axes.set_yticks(np.arange(len(values)) + 0.5, [title_of(task) for task in values.index], rotation=0)
    axes.tick_params(length=0, labelsize=_CELL_POINTS + 0.5)
    axes.set(xlabel="", ylabel="")


def _write(value: float) -> str:
    text = "" if np.isnan(value) else f"{100 * value:+.0f}"
    return "0" if text in ("+0", "-0") else text


def _draw_bar(figure: Figure, axes: list[Axes]) -> None:
    drawn = next(one.collections[0] for one in axes if one.collections)
    bar = figure.colorbar(drawn, ax=axes, location="bottom", fraction=0.04, pad=0.02, aspect=50)
    bar.ax.xaxis.set_major_formatter(lambda value, _: _write(value))
    bar.set_label("colour: points beyond a random subspace of the same rank and the control task; *: significant")
    bar.outline.set_visible(False)
