"""The heatmaps of layers and all tasks, in which a click chooses a task."""

import pandas as pd

from analysis.report.chart_parts import CELL_PX, Spec, finish_task_chart, format_intervals, take_percent, tip_of
from analysis.report.vega import alt
from analysis.runs.frames import layer_names
from probing.catalogue.readouts import REPRESENTATIONS

MIX = REPRESENTATIONS["scalar_mix"].title
_NOISE = "#cccccc"
"""Of cells whose interval does not lie above chance."""
_DARK = 0.45
"""Below this place on viridis white ink stands out more, above it black."""


def chart_scores(scores: pd.DataFrame) -> Spec:
    """A heatmap of layers and tasks, the mix above the layers; coloured, per task, from the majority to its best.

    Cells whose 95 % interval holds the majority, or lies below it, are grey.

    Args:
        scores: from `analysis.runs.frames.mean_scores`.
    """
    names = list(layer_names(scores).values())
    best = scores.groupby("task")["value"].transform("max")
    width = (best - scores["majority"]).where(best > scores["majority"])
    shade = ((scores["value"] - scores["majority"]) / width).clip(0, 1).fillna(0)
    noise = scores["ci_low"] <= scores["majority"]
    rows = take_percent(scores, ["value", "ci_low", "ci_high", "majority"]).assign(shade=shade, noise=noise)
    tooltip = [
        tip_of("title", "task"), tip_of("group"), tip_of("layer_name", "layer"), tip_of("value", "score x 100", ".1f"),
        tip_of("interval", "95 % interval"), tip_of("n", "test sentences"), tip_of("majority", "majority", ".1f"),
    ]  # fmt: skip
    rows["interval"] = format_intervals(rows)
    columns = ["task", "title", "group", "layer_name", "value", "interval", "n", "majority", "shade", "noise"]
    order = [MIX, *reversed(names)] if (rows["layer_name"] == MIX).any() else list(reversed(names))
    title = "0: majority, 1: best of the task; grey: interval holds the majority"
    return _heatmap(rows[columns], order, "shade", "value", tooltip, title, ".1f")


def chart_weights(weights: pd.DataFrame, column: str) -> Spec:
    """A heatmap of what each layer has in the mix, in percent of a task's sum.

    Args:
        weights: from `analysis.runs.frames.mean_weights`.
        column: `weight` or `contribution`.
    """
    rows = weights.assign(share=100 * weights[column])[["task", "title", "group", "layer_name", "share"]]
    tooltip = [
        tip_of("title", "task"),
        tip_of("layer_name", "layer"),
        tip_of("share", "percent of the mix", ".1f"),
    ]
    order = list(reversed(list(layer_names(weights).values())))
    rows = rows.assign(shade=rows["share"] / rows["share"].max())
    return _heatmap(rows, order, "shade", "share", tooltip, "share of the mix (1: the largest)", ".0f")


def _heatmap(
    rows: pd.DataFrame, order: list[str], shade: str, shown: str, tooltip: list, title: str, form: str
) -> Spec:
    # Seven arguments: two charts differ in just these, and a bundle of them would have no other use.
    tasks = list(dict.fromkeys(rows["title"]))
    base = alt.Chart(rows).encode(
        x=alt.X("title:N", sort=tasks, title=None, axis=alt.Axis(labelAngle=-40, orient="bottom", labelLimit=110)),
        y=alt.Y("layer_name:N", sort=order, title="layer"),
    )
    scale = alt.Scale(scheme="viridis", domain=[0, 1])
    legend = alt.Legend(title=title, orient="top", direction="horizontal", gradientLength=160, titleLimit=420)
    chosen = alt.condition("datum.task == task", alt.value("#D55E00"), alt.value("transparent"))
    cells = base.mark_rect(strokeWidth=2.5, cursor="pointer").encode(
        color=alt.condition("!datum.noise", alt.Color(f"{shade}:Q", scale=scale, legend=legend), alt.value(_NOISE)),
        stroke=chosen,
        tooltip=tooltip,
    )
    ink = alt.condition(f"datum.noise || datum.{shade} > {_DARK}", alt.value("black"), alt.value("white"))
    # Numbers where they fit: 34 pixels hold "100.0" at 11 pixels.
    room = alt.condition(f"width / {len(tasks)} > 34", alt.value(1), alt.value(0))
    numbers = base.mark_text(fontSize=11, aria=False, tooltip=None).encode(
        text=alt.Text(f"{shown}:Q", format=form), color=ink, opacity=room
    )
    text = "Heatmap of layers and tasks; the table below holds the same numbers."
    return finish_task_chart(cells + numbers, rows, text, height=CELL_PX * len(order))
