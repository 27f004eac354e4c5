"""Last layer, best layer and mix side by side, and what the paired comparison says of their differences."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures.style import COLOURS, COLUMN_INCHES, MARKERS, OFFSETS, set_title, styled
from analysis.runs.frames import group_spans, unit_of
from analysis.stats.summary import CONTENDERS

_LABELS = {"last": "last layer", "best": "best layer (chosen on dev)", "mix": "scalar mix"}


@styled
def plot_dumbbell(summary: pd.DataFrame, comparisons: pd.DataFrame, title: str = "") -> Figure:
    """Per task the three scores with their 95 % intervals; beside them, paired, each one's gain over the last layer.

    The paired intervals are narrower than the distance of two unpaired ones suggests, so the gains have a panel of
    their own; a filled mark there is significant after correction over tasks.

    Args:
        summary: from `analysis.stats.summary.summarise`.
        comparisons: from `analysis.stats.within_run.compare_all`.
        title: above the figure, such as the model's name.
    """
    tasks = summary[summary["level"] == "task"].reset_index(drop=True)
    spans = group_spans(tasks, tasks["task"])
    heights = _heights(spans)
    figure = Figure(figsize=(COLUMN_INCHES, min(9.0, 1.3 + 0.3 * len(tasks))))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[3, 2])
    _draw_scores(left, tasks, heights)
    _draw_gains(right, tasks, comparisons, heights)
    _label_rows(left, tasks, heights)
    figure.legend(handles=_legend(tasks), loc="outside lower center", ncols=2)
    set_title(figure, title)
    return figure


def _heights(spans: Sequence[tuple[str, int, int]]) -> list[float]:
    return [row + 0.5 * number for number, (_, start, end) in enumerate(spans) for row in range(start, end)]


def _draw_scores(axes: Axes, tasks: pd.DataFrame, heights: Sequence[float]) -> None:
    for height, (_, row) in zip(heights, tasks.iterrows(), strict=True):
        names = [name for name in CONTENDERS if pd.notna(row[name])]
        places = [height + OFFSETS[name] for name in names]
        axes.plot([100 * row[name] for name in names], places, color="#bbbbbb", linewidth=1)
        for name, place in zip(names, places, strict=True):
            _draw_point(axes, name, place, (row[name], row[f"{name}_low"], row[f"{name}_high"]), filled=True)
    axes.scatter(100 * tasks["majority"], heights, marker="|", color="black", s=30)
    axes.set_xlabel(f"{unit_of(tasks)} x 100 on test,\n95 % interval")
    axes.grid(axis="x")


def _draw_gains(axes: Axes, tasks: pd.DataFrame, comparisons: pd.DataFrame, heights: Sequence[float]) -> None:
    height_of = dict(zip(tasks["task"], heights, strict=True))
    gains = comparisons[(comparisons["level"] == "task") & (comparisons["second"] == "last")]
    for _, row in gains.iterrows():
        place = height_of[row["task"]] + OFFSETS[row["first"]]
        values = (row["difference"], row["ci_low"], row["ci_high"])
        _draw_point(axes, row["first"], place, values, filled=bool(row["significant"]))
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel("points above last,\npaired 95 % interval\n(filled: significant)")
    axes.grid(axis="x")


def _draw_point(axes: Axes, name: str, height: float, values: tuple[float, float, float], filled: bool) -> None:
    value, low, high = (100 * number for number in values)
    axes.plot([low, high], [height, height], color=COLOURS[name], linewidth=1)
    axes.plot([value], [height], **_mark(name, filled))


def _mark(name: str, filled: bool = True) -> dict[str, Any]:
    face = COLOURS[name] if filled else "white"
    return {
        "marker": MARKERS[name],
        "color": COLOURS[name],
        "markerfacecolor": face,
        "markersize": 3.5,
        "linestyle": "",
    }


def _legend(tasks: pd.DataFrame) -> list[Line2D]:
    shown = [name for name in CONTENDERS if tasks[name].notna().any()]
    majority = Line2D([], [], marker="|", color="black", markersize=8, linestyle="", label="majority")
    return [majority, *(Line2D([], [], label=_LABELS[name], **_mark(name)) for name in shown)]


def _label_rows(axes: Axes, tasks: pd.DataFrame, heights: Sequence[float]) -> None:
    axes.set_yticks(heights, tasks["title"].tolist())
    axes.set_ylim(max(heights) + 0.6, min(heights) - 0.6)
