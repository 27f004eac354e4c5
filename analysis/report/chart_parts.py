"""Parts that the interactive charts share: lines and their looks, the axis of layers, tooltips, and how a chart ends.

A chart is a specification with its data; the page's script draws it. Those of one task know the parameter `task`, which
the page sets when the reader chooses a task.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from analysis.report.vega import alt
from analysis.runs.frames import layer_names

PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F"]
"""Okabe and Ito's colours and a grey, that stand out on white and on black."""
_DASHES = [[1, 0], [7, 3], [2, 2], [8, 3, 2, 3], [4, 2], [12, 3], [10, 2, 2, 2, 2, 2]]
_MARKS = ["circle", "diamond", "square", "triangle-up", "triangle-down", "cross", "triangle-left"]
CELL_PX = 30
"""Height of a row of a heatmap of layers."""

Spec = dict[str, Any]


def select_task(rows: pd.DataFrame) -> alt.Chart:
    """A chart of the rows of the chosen task."""
    return alt.Chart(rows).transform_filter("datum.task == task")


def finish_chart(chart: Any, description: str, height: int) -> Spec:
    """The specification of a chart as wide as its place, with the page's type and no paper of its own."""
    chart = chart.properties(width="container", height=height, description=description, background="transparent")
    chart = chart.configure_view(stroke=None).configure_axis(
        labelFontSize=12, titleFontSize=12, titleFontWeight="normal"
    )
    chart = chart.configure_legend(labelFontSize=12, titleFontSize=12, titleFontWeight="normal", labelLimit=260)
    with alt.data_transformers.enable("default", max_rows=None):
        return chart.to_dict()


def finish_task_chart(chart: Any, rows: pd.DataFrame, description: str, height: int) -> Spec:
    """The same of a chart that knows the parameter `task`; at first, the first task of the rows that have any."""
    first = next(iter(rows.get("task", ())), "")
    return finish_chart(chart.add_params(alt.param(name="task", value=str(first))), description, height)


def put_on_layers(frame: pd.DataFrame) -> alt.X:
    """The axis of layers of a frame."""
    names: Mapping[int, str] = layer_names(frame)
    axis = alt.Axis(values=list(names), format="d", labelOverlap=True, title="layer (0: embeddings)")
    if "embeddings" not in names.values():
        axis.title = "layer"
    return alt.X("layer:Q", axis=axis, scale=alt.Scale(zero=False, nice=False, padding=12))


def draw_lines(base: Any, y: alt.Y, looks: Mapping[str, Any], tooltip: list, *, dashed: bool = True) -> alt.LayerChart:
    """Lines with a mark at each point, in the looks of `list_line_channels`; of those not dashed, the marks tell."""
    dashes = {"strokeDash": looks["strokeDash"]} if dashed else {}
    line = base.mark_line().encode(y=y, color=looks["color"], **dashes)
    marks = base.mark_point(size=60, filled=True, opacity=1)
    return line + marks.encode(y=y, color=looks["color"], shape=looks["shape"], tooltip=tooltip)


def draw_band(base: Any, opacity: float, scale: Any = alt.Undefined) -> alt.Chart:
    """The intervals of lines, from `ci_low` to `ci_high`."""
    return base.mark_area(opacity=opacity, aria=False).encode(y=alt.Y("ci_low:Q", scale=scale), y2="ci_high:Q")


def draw_zero(rows: pd.DataFrame) -> alt.Chart:
    """A line at zero."""
    return alt.Chart(rows).mark_rule(color="#888888", aria=False).encode(y=alt.datum(0))


def list_line_channels(column: str, names: Iterable[str], known: tuple[str, ...] = ()) -> Mapping[str, Any]:
    """Colour, dashes and marks of lines by name, in one legend: told apart without colour.

    The known names have the same ones on every chart.
    """
    own = list(dict.fromkeys(names))
    order = [*known, *(name for name in own if name not in known)]
    places = [order.index(name) for name in own]
    legend = alt.Legend(title=None, orient="top", columns=1, symbolOpacity=1, symbolStrokeWidth=2.5)
    kinds = {"color": (alt.Color, PALETTE), "strokeDash": (alt.StrokeDash, _DASHES), "shape": (alt.Shape, _MARKS)}
    return {
        channel: build(
            f"{column}:N",
            scale=alt.Scale(domain=own, range=[looks[place % len(looks)] for place in places]),
            legend=legend,
        )
        for channel, (build, looks) in kinds.items()
    }


def tip_of(column: str, title: str = "", form: str | None = None) -> alt.Tooltip:
    """Tooltip that a hovering pointer shows for a column."""
    kind = "Q" if form or column == "n" else "N"
    return alt.Tooltip(f"{column}:{kind}", title=title or column, format=form or alt.Undefined)


def take_percent(frame: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """The frame with some columns times 100."""
    return frame.assign(**{column: 100 * frame[column] for column in columns})


def format_intervals(rows: pd.DataFrame) -> list[str]:
    """Each row's interval as a tooltip shows it."""
    return [f"{low:z.1f} to {high:z.1f}" for low, high in zip(rows["ci_low"], rows["ci_high"], strict=True)]
