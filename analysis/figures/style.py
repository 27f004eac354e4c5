"""What all figures share: the style, the colours, the group labels and the layer axis."""

from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

STYLE = Path(__file__).with_name("style.mplstyle")
"""Every figure is drawn, and should be saved, under `matplotlib.rc_context(fname=STYLE)`."""

MAP = "viridis"
"""Perceptually uniform, and readable with any colour vision."""

COLOURS = {"last": "#0072B2", "best": "#666666", "mix": "#D55E00"}
"""From Okabe and Ito's set; told apart by shape (`MARKERS`) as well."""

MARKERS = {"last": "o", "best": "s", "mix": "D"}

OFFSETS = {"last": -0.22, "best": 0.0, "mix": 0.22}
"""Where each one stands beside the middle of a task's row."""

LineStyle = tuple[str, str, str | tuple[int, tuple[int, ...]]]

LINE_STYLES: tuple[LineStyle, ...] = (
    ("#0072B2", "o", "-"),
    ("#D55E00", "D", "--"),
    ("#009E73", "s", "-."),
    ("#CC79A7", "^", ":"),
    ("#E69F00", "v", (0, (5, 1, 1, 1, 1, 1))),
    ("#56B4E9", "P", (0, (1, 1))),
)
"""Colour (Okabe and Ito), mark and dashes of each line: told apart without colour."""

_INCHES_PER_LETTER = 0.078

Span = tuple[str, int, int]
P = ParamSpec("P")


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw under the style file alone, whatever the caller's settings, and leave those as they were."""

    @wraps(draw)
    def draw_styled(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with mpl.rc_context(fname=STYLE):
            return draw(*args, **kwargs)

    return draw_styled


def fit_width(n_columns: int, per_column: float, margin: float, most: float = 10.0) -> float:
    """Width in inches of a figure with so many columns: no more than a page, no less than its title."""
    return float(np.clip(margin + per_column * n_columns, 5.5, most))


def small_panels(n_tasks: int, **options: Any) -> tuple[Figure, np.ndarray]:
    """A figure with a small panel for each task, at most five in a row; the panels left over are not seen.

    Args:
        n_tasks: how many.
        options: of `Figure.subplots`.
    """
    n_columns = min(5, n_tasks)
    n_rows = -(-n_tasks // n_columns)
    figure = Figure(figsize=(max(5.5, 2 * n_columns), min(8.0, max(3.4, 0.7 + 2.5 * n_rows))))
    panels = figure.subplots(n_rows, n_columns, sharex=True, squeeze=False, **options)
    for axes in panels.flat[n_tasks:]:
        axes.set_visible(False)
    return figure, panels


def few_layers(layers: Iterable[int]) -> list[int]:
    """At most seven or so of the layers, from the first one on: as many as an axis has room for."""
    known = list(layers)
    step = max(1, int(np.ceil((known[-1] - known[0]) / 6)))
    return [layer for layer in known if (layer - known[0]) % step == 0]


def label_groups(axes: Axes, spans: Sequence[Span], inches_per_task: float) -> None:
    """Group names above the columns and white lines between the groups; cut short where a group is narrow."""
    top = axes.secondary_xaxis("top")
    names = [
        group if _INCHES_PER_LETTER * len(group) < (end - start) * inches_per_task else f"{group[:4]}."
        for group, start, end in spans
    ]
    top.set_xticks([(start + end) / 2 for _, start, end in spans], names, style="italic")
    top.tick_params(length=0, pad=2)
    top.spines[:].set_visible(False)
    draw_separators(axes, spans)


def draw_separators(axes: Axes, spans: Sequence[Span]) -> None:
    """White lines between the groups of columns."""
    for _, start, _ in spans[1:]:
        axes.axvline(start, color="white", linewidth=5)


def label_tasks(axes: Axes, titles: Sequence[str], inches_per_task: float) -> None:
    """Task names below the columns, turned where they would touch."""
    turned = max(map(len, titles)) * _INCHES_PER_LETTER > inches_per_task
    axes.set_xticks(
        np.arange(len(titles)) + 0.5, titles, rotation=45 if turned else 0, ha="right" if turned else "center"
    )
    if turned:
        for label in axes.get_xticklabels():
            label.set_rotation_mode("anchor")
    axes.tick_params(length=0)


def label_layers(axes: Axes, names: Sequence[str]) -> None:
    """Layer names beside the rows of a heatmap whose first row is the top layer."""
    axes.set_yticks(np.arange(len(names)) + 0.5, list(reversed(names)), rotation=0)
    axes.set_ylabel("")
