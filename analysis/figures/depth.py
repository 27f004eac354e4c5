"""Figure of where each task lies in the depth: the summaries of depth side by side."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.style import COLUMN_INCHES, set_title, styled
from analysis.runs.frames import group_spans
from probing.records import InputError

_SUMMARIES = {
    "gravity_weight": ("centre of gravity of weights", "#56B4E9", "o"),
    "gravity_contribution": ("centre of gravity of contributions", "#0072B2", "D"),
    "gravity_compression": ("centre of gravity of compressions", "#009E73", "s"),
    "expected_layer": ("expected layer of cumulative mixes", "#D55E00", "^"),
}
"""Column -> its name, colour (Okabe and Ito) and mark: told apart by shape as well."""


@styled
def plot_depth(depth: pd.DataFrame, title: str = "") -> Figure:
    """Per task the summaries of depth that the run measured, with intervals where there are any.

    The picture of Tenney et al. 2019 (arXiv 1905.05950, figure 1). The grey bar spans the layers that are not
    significantly worse than the best single one, which is the black tick.

    Args:
        depth: from `analysis.stats.depth.summarise_depth`.
        title: above the figure, such as the model's name.

    Raises:
        InputError: there is no task.
    """
    if depth.empty:
        raise InputError("a figure of depth needs tasks, got none")
    spans = group_spans(depth, depth["task"])
    heights = [row + 0.4 * number for number, (_, start, end) in enumerate(spans) for row in range(start, end)]
    shown = [name for name in _SUMMARIES if depth[name].notna().any()]
    figure = Figure(figsize=(COLUMN_INCHES, min(9.0, 1.5 + 0.36 * len(depth))))
    axes = figure.subplots()
    offsets = np.linspace(-0.24, 0.24, len(shown)) if len(shown) > 1 else np.zeros(len(shown))
    for height, row in zip(heights, depth.to_dict("records"), strict=True):
        _draw_layers(axes, height, row)
        for name, offset in zip(shown, offsets, strict=True):
            _draw_summary(axes, height + offset, row, name)
    axes.set_yticks(heights, depth["title"].tolist())
    axes.set_ylim(max(heights) + 0.6, min(heights) - 0.6)
    axes.use_sticky_edges = False
    axes.margins(x=0.03)
    axes.set_xlabel("layer (0: embeddings)")
    axes.grid(axis="x")
    handles = dict(reversed(list(zip(*reversed(axes.get_legend_handles_labels()), strict=True))))
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=1)
    set_title(figure, title or "Depth of each task")
    return figure


def _draw_layers(axes: Axes, height: float, row: Mapping[Any, Any]) -> None:
    low, high = min(row["indistinct"]), max(row["indistinct"])
    span, name = high - low + 0.3, "layers not significantly worse than the best"
    axes.barh(height, span, left=low - 0.15, height=0.66, color="#dddddd", label=name)
    axes.plot([row["best_layer"]], [height], "|", color="black", ms=12, mew=1.2, label="best layer (chosen on dev)")


def _draw_summary(axes: Axes, height: float, row: Mapping[Any, Any], name: str) -> None:
    label, colour, mark = _SUMMARIES[name]
    if pd.isna(row[name]):
        return
    bounds = [row.get(f"{name}_{end}", np.nan) for end in ("low", "high")]
    axes.plot(bounds, [height, height], color=colour, linewidth=1)
    axes.plot([row[name]], [height], mark, color=colour, ms=3.5, label=label)
