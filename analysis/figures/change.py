"""Figures of two encoders' layers: likeness of all pairs, and change by depth beside gradient norms."""

import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from analysis.figures.alike import thin_out
from analysis.figures.style import (
    COLUMN_INCHES,
    LINE_STYLES,
    MAP,
    few_layers,
    label_bottom,
    mark_powers,
    set_title,
    small_panels,
    styled,
)
from analysis.runs.frames import title_of
from probing.records import InputError

_LINES = {
    "gradient_norm": "gradient norm of the block",
    "weight_change": "relative change of weights",
    "vector_change": "change of vectors, 1 - CKA",
}


@styled
def plot_pairs(similarities: pd.DataFrame, title: str = "") -> Figure:
    """Debiased CKA of every layer of one encoder (rows) with every layer of another (columns), a panel per task.

    Args:
        similarities: columns of `probing.tables.LayerSimilarity`.
        title: above the figure.

    Raises:
        InputError: there are none.
    """
    if similarities.empty:
        raise InputError("a figure of similar layers needs similarities, got none")
    tasks = list(dict.fromkeys(similarities["task"]))
    scale = Normalize(min(0.0, float(similarities["value"].min())), 1)
    figure, panels = small_panels(len(tasks))
    for axes, task in zip(panels.flat, tasks, strict=False):
        own = similarities[similarities["task"] == task].pivot_table(
            index="layer", columns="other_layer", values="value"
        )
        axes.pcolormesh(own.columns, own.index, own, norm=scale, cmap=MAP, shading="nearest")
        axes.set_title(title_of(task))
        axes.set_yticks(few_layers(own.index.tolist()))
        axes.set_xticks(thin_out(own.columns.tolist()))
    label_bottom(panels, len(tasks), "layer of the second")
    figure.supylabel("layer of the first (0: embeddings)")
    figure.colorbar(ScalarMappable(scale, MAP), ax=list(panels.flat), label="debiased CKA", shrink=0.8)
    set_title(figure, title or "Likeness of layers of two encoders")
    return figure


@styled
def plot_change(frame: pd.DataFrame, title: str = "") -> Figure:
    """Gradient norms, change of weights and change of vectors by depth: the mean over models, lowest to highest shaded.

    Args:
        frame: from `analysis.stats.change_by_depth.match_gradients`.
        title: above the figure.

    Raises:
        InputError: there is nothing to draw.
    """
    known = [column for column in _LINES if frame[column].notna().any()]
    if not known:
        raise InputError("a figure of change by depth needs changes, got none")
    figure = Figure(figsize=(COLUMN_INCHES, 0.6 + 1.4 * len(known)))
    panels = figure.subplots(len(known), 1, sharex=True, squeeze=False)[:, 0]
    for axes, column, (colour, mark, dashes) in zip(panels, known, LINE_STYLES, strict=False):
        table = frame.pivot_table(index="layer", columns="model", values=column)
        logarithmic = column != "vector_change"
        table = table.where(table > 0).dropna(how="all") if logarithmic else table
        mean = np.exp(np.log(table).mean(axis=1)) if logarithmic else table.mean(axis=1)
        axes.fill_between(table.index, table.min(axis=1), table.max(axis=1), color=colour, alpha=0.2, lw=0)
        axes.plot(table.index, mean, color=colour, marker=mark, linestyle=dashes, ms=3.5)
        if logarithmic:
            axes.set_yscale("log")
            mark_powers(axes.yaxis)
        axes.set_title(_LINES[column], fontsize=7.5)
        axes.grid(axis="y")
        axes.set_xticks(few_layers(sorted(frame["layer"].unique().tolist())))
    panels[-1].set_xlabel("layer (0: embeddings)")
    set_title(figure, title or "Change by depth")
    return figure
