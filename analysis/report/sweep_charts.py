"""Interactive charts over the runs of a sweep."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from analysis.report.chart_parts import (
    Spec,
    draw_zero,
    finish_task_chart,
    format_intervals,
    list_line_channels,
    select_task,
    take_percent,
    tip_of,
)
from analysis.report.vega import alt

_ROW_PX = 26
_MARGIN_PX = 190
"""Width of the axis of both parts of the specification curve, so that their places are above each other."""
_NAMES = {"last": "last layer", "best": "best layer", "mix": "mix"}


def chart_runs(layers: pd.DataFrame) -> Spec:
    """The chosen task's scores, a row for each run and a field for each layer, as wide as its share of the depth.

    Args:
        layers: from `analysis.stats.sweep.list_layers`.
    """
    rows = layers[layers["representation"] == "layer"]
    rows = take_percent(rows, ["value", "ci_low", "ci_high"])
    last = rows.groupby("run")["layer"].transform("max").clip(lower=1)
    rows = rows.assign(begin=(rows["layer"] - 0.5) / last, end=(rows["layer"] + 0.5) / last)
    rows = rows.assign(interval=format_intervals(rows))
    rows = rows[["run", "task", "title", "layer_name", "relative_depth", "begin", "end", "value", "interval", "n"]]
    tooltip = [tip_of("run"), tip_of("title", "task"), tip_of("layer_name", "layer")]
    tooltip += [tip_of("relative_depth", "relative depth", ".2f"), tip_of("value", "score x 100", ".1f")]
    tooltip += [tip_of("interval", "95 % interval"), tip_of("n", "test sentences")]
    legend = alt.Legend(title="score x 100", orient="top", direction="horizontal", gradientLength=160)
    chart = (
        select_task(rows)
        .mark_rect(stroke="white", strokeWidth=1)
        .encode(
            y=_rows_of(rows["run"]),
            x=alt.X(
                "begin:Q",
                title="relative depth",
                scale=alt.Scale(nice=False),
                axis=alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], format=".2f"),
            ),
            x2="end:Q",
            color=alt.Color("value:Q", scale=alt.Scale(scheme="viridis", zero=False), legend=legend),
            tooltip=tooltip,
        )
    )
    text = "Scores of the chosen task by run and relative depth; a table holds the same."
    return finish_task_chart(chart, rows, text, _height(rows["run"]))


def chart_contenders(summary: pd.DataFrame) -> Spec:
    """The chosen task's last layer, best layer and mix, a row for each run.

    Args:
        summary: from `analysis.stats.sweep.summarise_runs`.
    """
    rows = summary.melt(["run", "task", "title"], list(_NAMES), var_name="readout", value_name="value").dropna()
    rows = rows.assign(value=100 * rows["value"].astype(float), readout=rows["readout"].map(_NAMES))
    looks = list_line_channels("readout", rows["readout"])
    tooltip = [tip_of("run"), tip_of("title", "task"), tip_of("readout"), tip_of("value", "score x 100", ".1f")]
    points = (
        select_task(rows)
        .mark_point(size=90, filled=True, opacity=1)
        .encode(
            y=_rows_of(rows["run"]),
            x=alt.X("value:Q", title="score x 100 on test", scale=alt.Scale(zero=False)),
            color=looks["color"],
            shape=looks["shape"],
            tooltip=tooltip,
        )
    )
    text = "The chosen task's readouts by run; a table below holds the same numbers."
    return finish_task_chart(points, rows, text, _height(rows["run"]))


def chart_depths(summary: pd.DataFrame) -> Spec:
    """A heatmap of the best layer's relative depth, runs by tasks.

    Args:
        summary: from `analysis.stats.sweep.summarise_runs`.
    """
    rows = summary[["run", "task", "title", "best_name", "best_depth"]]
    tooltip = [tip_of("run"), tip_of("title", "task"), tip_of("best_name", "best layer")]
    tooltip += [tip_of("best_depth", "relative depth", ".2f")]
    legend = alt.Legend(title="relative depth", orient="top", direction="horizontal", gradientLength=160)
    titles = list(dict.fromkeys(rows["title"]))
    base = alt.Chart(rows).encode(
        x=alt.X("title:N", sort=titles, title=None, axis=alt.Axis(labelAngle=-40, orient="bottom")),
        y=_rows_of(rows["run"]),
    )
    scale = alt.Scale(scheme="viridis", domain=[0, 1])
    cells = base.mark_rect(cursor="pointer").encode(
        color=alt.Color("best_depth:Q", scale=scale, legend=legend), tooltip=tooltip
    )
    ink = alt.condition("datum.best_depth > 0.45", alt.value("black"), alt.value("white"))
    numbers = base.mark_text(fontSize=11, aria=False, tooltip=None).encode(
        text=alt.Text("best_depth:Q", format=".2f"), color=ink
    )
    text = "Relative depth of the best layer by run and task."
    return finish_task_chart(cells + numbers, rows, text, _height(rows["run"]))


def chart_correlations(correlations: pd.DataFrame, what: str) -> Spec | None:
    """A heatmap of the rank correlation between every two runs; none where there is none.

    Args:
        correlations: from `analysis.stats.sweep.correlate_runs`.
        what: kind of table that is correlated.
    """
    own = correlations[(correlations["what"] == what) & correlations["spearman"].notna()]
    if own.empty:
        return None
    turned = own.rename(columns={"first": "second", "second": "first"})
    rows = pd.concat([own, turned], ignore_index=True)[["first", "second", "n", "spearman"]]
    names = list(dict.fromkeys([*own["first"], *own["second"]]))
    base = alt.Chart(rows).encode(
        x=alt.X("second:N", sort=names, title=None, axis=alt.Axis(labelAngle=-40, labelLimit=140)),
        y=alt.Y("first:N", sort=names, title=None, axis=alt.Axis(labelLimit=200)),
    )
    scale = alt.Scale(scheme="purpleorange", domain=[-1, 1], reverse=True)
    legend = alt.Legend(title="Spearman's correlation", orient="top", direction="horizontal", gradientLength=160)
    tooltip = [tip_of("first", "run"), tip_of("second", "other run"), tip_of("spearman", "correlation", ".2f")]
    cells = base.mark_rect().encode(
        color=alt.Color("spearman:Q", scale=scale, legend=legend),
        tooltip=[*tooltip, tip_of("n", "numbers")],
    )
    room = alt.condition(f"width / {len(names)} > 30", alt.value(1), alt.value(0))
    ink = alt.condition("abs(datum.spearman) > 0.7", alt.value("white"), alt.value("black"))
    numbers = base.mark_text(fontSize=11, aria=False, tooltip=None).encode(
        text=alt.Text("spearman:Q", format=".2f"), opacity=room, color=ink
    )
    text = "Rank correlations between runs; a table holds the same."
    return finish_task_chart(cells + numbers, rows, text, _height(names))


def chart_curve(specifications: pd.DataFrame) -> Spec:
    """The specification curve: each run's difference with its interval, in their order.

    Args:
        specifications: from `analysis.stats.sweep.specify`.
    """
    rows = specifications.assign(
        place=np.arange(len(specifications)),
        what=specifications["first"] + " - " + specifications["second"],
    )
    rows = take_percent(rows, ["difference", "ci_low", "ci_high"])
    rows = rows[["place", "run", "what", "difference", "ci_low", "ci_high", "significant"]]
    tooltip = [tip_of("run"), tip_of("what", "difference"), tip_of("difference", "points", "+.1f")]
    tooltip += [tip_of("ci_low", "from", "+.1f"), tip_of("ci_high", "to", "+.1f"), tip_of("significant")]
    axis = alt.Axis(minExtent=_MARGIN_PX, maxExtent=_MARGIN_PX)
    base = alt.Chart(rows).encode(x=_places(len(rows)))
    ranges = base.mark_rule(strokeWidth=2, color="#7F7F7F").encode(
        y=alt.Y("ci_low:Q", title=None, axis=axis), y2="ci_high:Q"
    )
    points = base.mark_point(size=70, filled=True, opacity=1, stroke="#0072B2").encode(
        y="difference:Q",
        fill=alt.condition("datum.significant", alt.value("#0072B2"), alt.value("white")),
        tooltip=tooltip,
    )
    zero = draw_zero(rows)
    text = "Specification curve; a table holds the same numbers."
    return finish_task_chart(alt.layer(zero, ranges, points), rows, text, height=220)


def chart_choices(specifications: pd.DataFrame, varied: Sequence[str]) -> Spec:
    """The choices of each run, below its place on the curve.

    Args:
        specifications: from `analysis.stats.sweep.specify`.
        varied: names of its columns of settings.
    """
    frames = [
        pd.DataFrame(
            {
                "place": np.arange(len(specifications)),
                "run": specifications["run"],
                "choice": name.replace("_", " ") + ": " + specifications[name].astype(str).str[-40:],
            }
        )
        for name in varied
    ]
    rows = pd.concat(frames, ignore_index=True)
    names = sorted(set(rows["choice"]))
    axis = alt.Axis(minExtent=_MARGIN_PX, maxExtent=_MARGIN_PX, labelLimit=_MARGIN_PX - 10, grid=True)
    chart = (
        alt.Chart(rows)
        .mark_point(size=60, filled=True, opacity=1, color="#333333", shape="square")
        .encode(
            x=_places(len(specifications)),
            y=alt.Y("choice:N", sort=names, title=None, axis=axis),
            tooltip=[tip_of("run"), tip_of("choice")],
        )
    )
    return finish_task_chart(chart, rows, "Choices of each run, in the order of the curve.", _height(names))


def _places(count: int) -> alt.X:
    return alt.X("place:Q", axis=None, scale=alt.Scale(domain=[-0.5, count - 0.5], nice=False))


def _rows_of(runs: pd.Series) -> alt.Y:
    return alt.Y("run:N", sort=list(dict.fromkeys(runs)), title=None, axis=alt.Axis(labelLimit=240))


def _height(names: Iterable[str]) -> int:
    return _ROW_PX * max(2, len(set(names)))
