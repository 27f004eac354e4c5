"""The charts of the chosen task, layer by layer."""

import pandas as pd

from analysis.report.chart_parts import (
    CELL_PX,
    PALETTE,
    Spec,
    draw_band,
    draw_lines,
    draw_zero,
    finish_task_chart,
    format_intervals,
    list_line_channels,
    put_on_layers,
    select_task,
    take_percent,
    tip_of,
)
from analysis.report.vega import alt
from analysis.runs.frames import layer_names
from analysis.stats.amnesia import LAYER, LINES, list_lines
from probing.catalogue.controls import CONTROLS


def chart_curves(scores: pd.DataFrame) -> Spec:
    """The chosen task's scores by layer with their intervals, its mix as a dashed level, its majority as a dotted one.

    Args:
        scores: from `analysis.runs.frames.mean_scores`, of one or more runs, with the column `run`.
    """
    rows = take_percent(scores, ["value", "ci_low", "ci_high", "majority"])
    rows["interval"] = format_intervals(rows)
    columns = ["run", "task", "title", "representation", "layer", "layer_name"]
    rows = rows[[*columns, "value", "ci_low", "ci_high", "interval", "n", "majority"]]
    tooltip = [
        tip_of("run"), tip_of("title", "task"), tip_of("layer_name", "layer"), tip_of("value", "score x 100", ".1f"),
        tip_of("interval", "95 % interval"), tip_of("n", "test sentences"),
    ]  # fmt: skip
    looks = list_line_channels("run", scores["run"])
    colour = looks["color"]
    of_task = select_task(rows)
    layers = of_task.transform_filter("datum.representation == 'layer'").encode(x=put_on_layers(scores), color=colour)
    mixes = of_task.transform_filter("datum.representation == 'scalar_mix'").encode(color=colour, tooltip=tooltip)
    y = alt.Y("value:Q", title="score x 100 on test", scale=alt.Scale(zero=False))
    band = draw_band(layers, 0.2)
    line = draw_lines(layers, y, looks, tooltip, dashed=False)
    mix = mixes.mark_rule(strokeDash=[7, 4], strokeWidth=2.5).encode(y=y)
    level = of_task.mark_rule(strokeDash=[1, 4], strokeWidth=2, color="#888888", strokeCap="round").encode(
        y=alt.Y("mean(majority):Q"), tooltip=[alt.Tooltip("mean(majority):Q", title="majority", format=".1f")]
    )
    text = "Scores of the chosen task by layer; the table below holds the same numbers."
    return finish_task_chart(alt.layer(band, level, mix, line), rows, text, height=300)


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
    base = select_task(rows)
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
    return finish_task_chart(bars, rows, text, height=300)


def chart_gains(gains: pd.DataFrame) -> Spec:
    """The chosen task's scores above each control, by layer, with their intervals.

    Args:
        gains: from `analysis.tables.controls.mean_gains`.
    """
    rows = take_percent(gains[gains["representation"] == "layer"], ["value", "ci_low", "ci_high"])
    rows["interval"] = format_intervals(rows)
    rows = rows[["task", "title", "control", "layer", "layer_name", "value", "ci_low", "ci_high", "interval", "n"]]
    tooltip = [tip_of("title", "task"), tip_of("control"), tip_of("layer_name", "layer")]
    tooltip += [tip_of("value", "points above", ".1f"), tip_of("interval", "95 % interval")]
    base = select_task(rows)
    looks = list_line_channels("control", rows["control"], tuple(CONTROLS))
    base = base.encode(x=put_on_layers(gains), color=looks["color"])
    band = draw_band(base, 0.15)
    y = alt.Y("value:Q", title="points above the control")
    line = draw_lines(base, y, looks, tooltip)
    zero = draw_zero(rows)
    text = "Points of the chosen task above each control, by layer; the table of controls holds the main ones."
    return finish_task_chart(alt.layer(zero, band, line), rows, text, height=300)


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
    rows = rows.assign(interval=format_intervals(rows))
    rows = rows[["task", "line", "layer", "value", "ci_low", "ci_high", "interval", "n"]]
    tooltip = [tip_of("line"), tip_of("layer"), tip_of("value", "points", ".1f"), tip_of("interval", "95 % interval")]
    looks = list_line_channels("line", LINES.values())
    base = select_task(rows).encode(x=put_on_layers(own), color=looks["color"])
    band = draw_band(base, 0.15)
    line = draw_lines(base, alt.Y("value:Q", title="points"), looks, tooltip)
    text = "Points of the chosen task by layer: what a probe reads, and what is lost; tables below hold the numbers."
    return finish_task_chart(alt.layer(band, line), rows, text, height=300)


def chart_knockouts(lost: pd.DataFrame) -> Spec:
    """Points that the chosen task's mix loses without each layer, with their intervals.

    Args:
        lost: from `analysis.stats.alike.list_knockouts`, of accuracy.
    """
    rows = take_percent(lost, ["value", "ci_low", "ci_high"])
    rows["interval"] = format_intervals(rows)
    rows = rows[["task", "title", "layer", "layer_name", "value", "ci_low", "ci_high", "interval", "n"]]
    tooltip = [tip_of("title", "task"), tip_of("layer_name", "layer"), tip_of("value", "points lost", ".1f")]
    tooltip += [tip_of("interval", "95 % interval"), tip_of("n", "test sentences")]
    base = select_task(rows).encode(x=put_on_layers(lost), color=alt.value(PALETTE[0]))
    ranges = base.mark_rule(strokeWidth=2).encode(y=alt.Y("ci_low:Q", title="points lost"), y2="ci_high:Q")
    points = base.mark_point(size=70, filled=True, opacity=1).encode(y="value:Q", tooltip=tooltip)
    zero = draw_zero(rows)
    text = "Points that the chosen task's mix loses without each layer; a table below holds the same numbers."
    return finish_task_chart(alt.layer(zero, ranges, points), rows, text, height=300)


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
    base = select_task(rows)
    base = base.encode(
        x=alt.X("other_layer_name:N", sort=names, title="layer", axis=alt.Axis(labelAngle=0, labelOverlap=True)),
        y=alt.Y("layer_name:N", sort=names[::-1], title="layer"),
    )
    cells = base.mark_rect().encode(color=alt.Color("value:Q", scale=scale, legend=legend), tooltip=tooltip)
    text = "Likeness of all pairs of layers of the chosen task; a table below holds the same numbers."
    return finish_task_chart(cells, rows, text, height=min(420, CELL_PX * len(names)))


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
    base = select_task(rows)
    looks = list_line_channels("head", rows["head"])
    base = base.encode(x=put_on_layers(gradients), color=looks["color"])
    band = draw_band(base, 0.2, scale)
    y = alt.Y("value:Q", title=f"gradient norm ({quantity})", scale=scale, axis=alt.Axis(format=".1~e", tickCount=4))
    line = draw_lines(base, y, looks, tooltip)
    text = "Gradient norms of the chosen task by depth; the table below holds the same numbers."
    return finish_task_chart(alt.layer(band, line), rows, text, height=300)
