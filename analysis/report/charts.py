"""The interactive charts of the report. Each is a specification with its data; the page's script draws it.

All of them know the parameter `task`, which the page sets when the reader chooses a task.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import altair as alt
import pandas as pd

from analysis.runs.frames import layer_names
from analysis.stats.amnesia import LAYER, LINES, list_lines
from probing.catalogue.controls import CONTROLS
from probing.catalogue.readouts import REPRESENTATIONS

MIX = REPRESENTATIONS["scalar_mix"].title
_CELL_PX = 30
_PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F"]
"""Okabe and Ito's colours and a grey, that stand out on white and on black."""
_DASHES = [[1, 0], [7, 3], [2, 2], [8, 3, 2, 3], [4, 2], [12, 3], [10, 2, 2, 2, 2, 2]]
_MARKS = ["circle", "diamond", "square", "triangle-up", "triangle-down", "cross", "triangle-left"]
_NOISE = "#cccccc"
"""Of cells whose interval does not lie above chance."""
_DARK = 0.45
"""Below this place on viridis white ink stands out more, above it black."""

Spec = dict[str, Any]


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
    rows = _percent(scores, ["value", "ci_low", "ci_high", "majority"]).assign(shade=shade, noise=noise)
    tooltip = [
        tip_of("title", "task"), tip_of("group"), tip_of("layer_name", "layer"), tip_of("value", "score x 100", ".1f"),
        tip_of("interval", "95 % interval"), tip_of("n", "test sentences"), tip_of("majority", "majority", ".1f"),
    ]  # fmt: skip
    rows["interval"] = _intervals(rows)
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


def chart_curves(scores: pd.DataFrame) -> Spec:
    """The chosen task's scores by layer with their intervals, its mix as a dashed level, its majority as a dotted one.

    Args:
        scores: from `analysis.runs.frames.mean_scores`, of one or more runs, with the column `run`.
    """
    rows = _percent(scores, ["value", "ci_low", "ci_high", "majority"])
    rows["interval"] = _intervals(rows)
    columns = ["run", "task", "title", "representation", "layer", "layer_name"]
    rows = rows[[*columns, "value", "ci_low", "ci_high", "interval", "n", "majority"]]
    tooltip = [
        tip_of("run"), tip_of("title", "task"), tip_of("layer_name", "layer"), tip_of("value", "score x 100", ".1f"),
        tip_of("interval", "95 % interval"), tip_of("n", "test sentences"),
    ]  # fmt: skip
    looks = list_line_channels("run", scores["run"])
    colour = looks["color"]
    of_task = alt.Chart(rows).transform_filter("datum.task == task")
    layers = of_task.transform_filter("datum.representation == 'layer'").encode(x=_depth(scores), color=colour)
    mixes = of_task.transform_filter("datum.representation == 'scalar_mix'").encode(color=colour, tooltip=tooltip)
    y = alt.Y("value:Q", title="score x 100 on test", scale=alt.Scale(zero=False))
    band = layers.mark_area(opacity=0.2, aria=False).encode(y=alt.Y("ci_low:Q"), y2="ci_high:Q")
    line = draw_lines(layers, y, looks, tooltip, dashed=False)
    mix = mixes.mark_rule(strokeDash=[7, 4], strokeWidth=2.5).encode(y=y)
    level = of_task.mark_rule(strokeDash=[1, 4], strokeWidth=2, color="#888888", strokeCap="round").encode(
        y=alt.Y("mean(majority):Q"), tooltip=[alt.Tooltip("mean(majority):Q", title="majority", format=".1f")]
    )
    text = "Scores of the chosen task by layer; the table below holds the same numbers."
    return _finish(alt.layer(band, level, mix, line), rows, text, height=300)


def chart_mix(weights: pd.DataFrame) -> Spec:
    """The chosen task's weights and contributions by layer, side by side.

    Args:
        weights: from `analysis.runs.frames.mean_weights`.
    """
    shown = {"weight": "weight", "contribution": "contribution (weight x mean norm about the mean)"}
    keys = ["task", "title", "layer", "layer_name"]
    rows = weights.melt(keys, list(shown), var_name="kind", value_name="share")
    rows = rows.assign(share=100 * rows["share"], kind=rows["kind"].map(shown))
    names = list(layer_names(weights).values())
    base = alt.Chart(rows).transform_filter("datum.task == task")
    kinds = list(shown.values())
    colour = list_line_channels("kind", kinds)["color"]
    bars = base.mark_bar(strokeWidth=1.5).encode(
        x=alt.X("layer_name:N", sort=names, title="layer", axis=alt.Axis(labelAngle=0, labelOverlap=True)),
        xOffset=alt.XOffset("kind:N", sort=kinds),
        y=alt.Y("share:Q", title="percent of the mix"),
        color=colour,
        stroke=alt.Stroke("kind:N", scale=colour["scale"], legend=colour["legend"]),
        fillOpacity=alt.condition(alt.datum.kind == kinds[0], alt.value(1), alt.value(0.25)),
        tooltip=[
            tip_of("title", "task"),
            tip_of("layer_name", "layer"),
            tip_of("kind"),
            tip_of("share", "percent", ".1f"),
        ],
    )
    text = "Weights and contributions of the chosen task's mix by layer; the table below holds the same numbers."
    return _finish(bars, rows, text, height=300)


def chart_gains(gains: pd.DataFrame) -> Spec:
    """The chosen task's scores above each control, by layer, with their intervals.

    Args:
        gains: from `analysis.tables.controls.mean_gains`.
    """
    rows = _percent(gains[gains["representation"] == "layer"], ["value", "ci_low", "ci_high"])
    rows["interval"] = _intervals(rows)
    rows = rows[["task", "title", "control", "layer", "layer_name", "value", "ci_low", "ci_high", "interval", "n"]]
    tooltip = [tip_of("title", "task"), tip_of("control"), tip_of("layer_name", "layer")]
    tooltip += [tip_of("value", "points above", ".1f"), tip_of("interval", "95 % interval")]
    base = alt.Chart(rows).transform_filter("datum.task == task")
    looks = list_line_channels("control", rows["control"], tuple(CONTROLS))
    base = base.encode(x=_depth(gains), color=looks["color"])
    band = base.mark_area(opacity=0.15, aria=False).encode(y=alt.Y("ci_low:Q"), y2="ci_high:Q")
    y = alt.Y("value:Q", title="points above the control")
    line = draw_lines(base, y, looks, tooltip)
    zero = alt.Chart(rows).mark_rule(color="#888888", aria=False).encode(y=alt.datum(0))
    text = "Points of the chosen task above each control, by layer; the table of controls holds the main ones."
    return _finish(alt.layer(zero, band, line), rows, text, height=300)


def chart_losses(amnesia: pd.DataFrame, losses: pd.DataFrame) -> Spec:
    """The chosen task's losses by the block at which its property is erased, beside what a probe reads at each layer.

    Args:
        amnesia: as in `Run.amnesia`.
        losses: from `analysis.stats.amnesia.list_losses`.
    """
    own = losses[(losses["readout"] == LAYER) & (losses["erased"] == losses["task"])]
    parts = [
        lines.assign(line=LINES[name])
        for task, part in own.groupby("task", sort=False)
        for name, lines in list_lines(amnesia[amnesia["task"] == task], part).items()
    ]
    rows = pd.concat(parts, ignore_index=True)
    rows = rows.assign(interval=_intervals(rows))
    rows = rows[["task", "line", "layer", "value", "ci_low", "ci_high", "interval", "n"]]
    tooltip = [tip_of("line"), tip_of("layer"), tip_of("value", "points", ".1f"), tip_of("interval", "95 % interval")]
    looks = list_line_channels("line", LINES.values())
    base = alt.Chart(rows).transform_filter("datum.task == task").encode(x=_depth(own), color=looks["color"])
    band = base.mark_area(opacity=0.15, aria=False).encode(y=alt.Y("ci_low:Q"), y2="ci_high:Q")
    line = draw_lines(base, alt.Y("value:Q", title="points"), looks, tooltip)
    text = "Points of the chosen task by layer: what a probe reads, and what is lost; tables below hold the numbers."
    return _finish(alt.layer(band, line), rows, text, height=300)


def chart_knockouts(lost: pd.DataFrame) -> Spec:
    """Points that the chosen task's mix loses without each layer, with their intervals.

    Args:
        lost: from `analysis.stats.alike.list_knockouts`, of accuracy.
    """
    rows = _percent(lost, ["value", "ci_low", "ci_high"])
    rows["interval"] = _intervals(rows)
    rows = rows[["task", "title", "layer", "layer_name", "value", "ci_low", "ci_high", "interval", "n"]]
    tooltip = [tip_of("title", "task"), tip_of("layer_name", "layer"), tip_of("value", "points lost", ".1f")]
    tooltip += [tip_of("interval", "95 % interval"), tip_of("n", "test sentences")]
    base = alt.Chart(rows).transform_filter("datum.task == task").encode(x=_depth(lost), color=alt.value(_PALETTE[0]))
    ranges = base.mark_rule(strokeWidth=2).encode(y=alt.Y("ci_low:Q", title="points lost"), y2="ci_high:Q")
    points = base.mark_point(size=70, filled=True, opacity=1).encode(y="value:Q", tooltip=tooltip)
    zero = alt.Chart(rows).mark_rule(color="#888888", aria=False).encode(y=alt.datum(0))
    text = "Points that the chosen task's mix loses without each layer; a table below holds the same numbers."
    return _finish(alt.layer(zero, ranges, points), rows, text, height=300)


def chart_similarity(similarities: pd.DataFrame) -> Spec:
    """Debiased CKA of all pairs of layers on the chosen task's sentences, as a heatmap.

    Args:
        similarities: as in `Run.similarities`.
    """
    rows = similarities[["task", "layer", "layer_name", "other_layer", "other_layer_name", "value", "n"]]
    names = list(layer_names(similarities).values())
    tooltip = [tip_of("layer_name", "layer"), tip_of("other_layer_name", "other layer")]
    tooltip += [tip_of("value", "CKA", ".3f"), tip_of("n", "sentences")]
    scale = alt.Scale(scheme="viridis", domain=[min(0.0, float(rows["value"].min())), 1])
    legend = alt.Legend(title="debiased CKA", orient="top", direction="horizontal", gradientLength=160)
    base = alt.Chart(rows).transform_filter("datum.task == task")
    base = base.encode(
        x=alt.X("other_layer_name:N", sort=names, title="layer", axis=alt.Axis(labelAngle=0, labelOverlap=True)),
        y=alt.Y("layer_name:N", sort=names[::-1], title="layer"),
    )
    cells = base.mark_rect().encode(color=alt.Color("value:Q", scale=scale, legend=legend), tooltip=tooltip)
    text = "Likeness of all pairs of layers of the chosen task; a table below holds the same numbers."
    return _finish(cells, rows, text, height=min(420, _CELL_PX * len(names)))


def chart_gradients(gradients: pd.DataFrame, quantity: str) -> Spec:
    """The chosen task's gradient norms by depth, on a logarithmic axis: a line per head, at the last step measured.

    Args:
        gradients: as in `Run.gradients`.
        quantity: `hidden` or `parameters`.
    """
    rows = gradients[(gradients["quantity"] == quantity) & (gradients["step"] == gradients["step"].max())]
    rows = rows[["task", "head", "step", "layer", "layer_name", "value", "ci_low", "ci_high"]]
    tooltip = [tip_of(name) for name in ("task", "head", "step")] + [tip_of("layer_name", "layer")]
    tooltip += [
        tip_of("value", "gradient norm", ".3g"),
        tip_of("ci_low", "from", ".3g"),
        tip_of("ci_high", "to", ".3g"),
    ]
    scale = alt.Scale(type="log")
    base = alt.Chart(rows).transform_filter("datum.task == task")
    looks = list_line_channels("head", rows["head"])
    base = base.encode(x=_depth(gradients), color=looks["color"])
    band = base.mark_area(opacity=0.2, aria=False).encode(y=alt.Y("ci_low:Q", scale=scale), y2="ci_high:Q")
    y = alt.Y("value:Q", title=f"gradient norm ({quantity})", scale=scale, axis=alt.Axis(format=".1~e", tickCount=4))
    line = draw_lines(base, y, looks, tooltip)
    text = "Gradient norms of the chosen task by depth; the table below holds the same numbers."
    return _finish(alt.layer(band, line), rows, text, height=300)


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
    return _finish(cells + numbers, rows, text, height=_CELL_PX * len(order))


def _finish(chart: Any, rows: pd.DataFrame, description: str, height: int) -> Spec:
    """A chart that knows the parameter `task`."""
    first = next(iter(rows["task"]), "")
    return finish_chart(chart.add_params(alt.param(name="task", value=str(first))), description, height)


def finish_chart(chart: Any, description: str, height: int) -> Spec:
    """The specification of a chart as wide as its place, with the page's type and no paper of its own."""
    chart = chart.properties(width="container", height=height, description=description, background="transparent")
    chart = chart.configure_view(stroke=None).configure_axis(
        labelFontSize=12, titleFontSize=12, titleFontWeight="normal"
    )
    chart = chart.configure_legend(labelFontSize=12, titleFontSize=12, titleFontWeight="normal", labelLimit=260)
    with alt.data_transformers.enable("default", max_rows=None):
        return chart.to_dict()


def _depth(frame: pd.DataFrame) -> alt.X:
    names: Mapping[int, str] = layer_names(frame)
    axis = alt.Axis(values=list(names), format="d", labelOverlap=True, title="layer (0: embeddings)")
    if "embeddings" not in names.values():
        axis.title = "layer"
    return alt.X("layer:Q", axis=axis, scale=alt.Scale(zero=False, nice=False, padding=12))


def _percent(frame: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    return frame.assign(**{column: 100 * frame[column] for column in columns})


def _intervals(rows: pd.DataFrame) -> list[str]:
    return [f"{low:z.1f} to {high:z.1f}" for low, high in zip(rows["ci_low"], rows["ci_high"], strict=True)]


def draw_lines(base: Any, y: alt.Y, looks: Mapping[str, Any], tooltip: list, *, dashed: bool = True) -> alt.LayerChart:
    """Lines with a mark at each point, in the looks of `list_line_channels`; of those not dashed, the marks tell."""
    dashes = {"strokeDash": looks["strokeDash"]} if dashed else {}
    line = base.mark_line().encode(y=y, color=looks["color"], **dashes)
    marks = base.mark_point(size=60, filled=True, opacity=1)
    return line + marks.encode(y=y, color=looks["color"], shape=looks["shape"], tooltip=tooltip)


def list_line_channels(column: str, names: Iterable[str], known: tuple[str, ...] = ()) -> Mapping[str, Any]:
    """Colour, dashes and marks of lines by name, in one legend: told apart without colour.

    The known names have the same ones on every chart.
    """
    own = list(dict.fromkeys(names))
    order = [*known, *(name for name in own if name not in known)]
    places = [order.index(name) for name in own]
    legend = alt.Legend(title=None, orient="top", columns=1, symbolOpacity=1, symbolStrokeWidth=2.5)
    kinds = {"color": (alt.Color, _PALETTE), "strokeDash": (alt.StrokeDash, _DASHES), "shape": (alt.Shape, _MARKS)}
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
