"""Part of the page about erasure: what stands, in sentences, and the matrix at the best layers as a chart."""

import pandas as pd

from analysis.report.chart_parts import CELL_PX, Spec, finish_chart, tip_of
from analysis.report.vega import alt
from analysis.stats.erasure import choose_best
from analysis.tables.table import format_gain, format_points

_LARGEST = 5
"""Most pairs that have a sentence of their own."""


def tell_erasure(erasures: pd.DataFrame, summary: pd.DataFrame) -> list[str]:
    """Tell how many pairs of properties hang together at the best layers, and the strongest of them; maybe nothing.

    Args:
        erasures: from `analysis.stats.erasure.list_erasures`.
        summary: from `analysis.stats.summary.summarise`.
    """
    if erasures.empty:
        return []
    best = choose_best(erasures, summary)
    found = best[best["significant"]].sort_values("value", kind="stable")
    total = int((~best["own"].astype(bool)).sum())
    first = (
        f"At the best layers, erasing one property changes the score of another on {len(found)} of {total} pairs by "
        "more than a random subspace of the same rank and the control task's labels do (Holm over pairs)."
    )
    return [first, *(_tell_pair(row) for row in found.head(_LARGEST).to_dict("records"))]


def chart_erasure(erasures: pd.DataFrame, summary: pd.DataFrame) -> Spec:
    """A heatmap of the properties that are erased and the tasks that are probed, each at its best layer.

    Args:
        erasures: from `analysis.stats.erasure.list_erasures`.
        summary: from `analysis.stats.summary.summarise`.
    """
    best = choose_best(erasures, summary)
    points = {name: 100 * best[name] for name in ("value", "random", "control", "beyond")}
    interval = [format_gain(low, high) for low, high in zip(best["ci_low"], best["ci_high"], strict=True)]
    columns = ["task", "title", "erased_title", "layer_name", "rank", "own", "significant"]
    rows = best[columns].assign(**points, interval=interval, own=best["own"].astype(bool))
    rows["text"] = [
        f"{value:+z.0f}{'*' if star else ''}" for value, star in zip(rows["value"], rows["significant"], strict=True)
    ]
    tooltip = [
        tip_of("erased_title", "erased"), tip_of("title", "probed"), tip_of("layer_name", "layer"),
        tip_of("value", "points", "+.1f"), tip_of("interval", "95 % interval"),
        tip_of("random", "random subspace", "+.1f"), tip_of("control", "control task", "+.1f"),
        tip_of("rank", "rank", "d"),
    ]  # fmt: skip
    most = max(2.0, float(rows.loc[~rows["own"], "beyond"].abs().max()))
    base = alt.Chart(rows).encode(
        x=alt.X(
            "title:N",
            sort=list(dict.fromkeys(rows["title"])),
            title="probed",
            axis=alt.Axis(labelAngle=-40, labelLimit=110),
        ),
        y=alt.Y("erased_title:N", sort=list(dict.fromkeys(rows["erased_title"])), title="erased"),
    )
    scale = alt.Scale(scheme="purpleorange", domain=[-1.5 * most, 1.5 * most])
    legend = alt.Legend(
        title="points beyond both controls; grey: the property's own probe",
        orient="top",
        direction="horizontal",
        titleLimit=420,
    )
    colour = alt.condition("!datum.own", alt.Color("beyond:Q", scale=scale, legend=legend), alt.value("#cccccc"))
    cells = base.mark_rect().encode(color=colour, tooltip=tooltip)
    room = alt.condition(f"width / {rows['title'].nunique()} > 30", alt.value(1), alt.value(0))
    numbers = base.mark_text(fontSize=11, aria=False, tooltip=None, color="black").encode(text="text:N", opacity=room)
    text = "Heatmap of erased and probed properties; the table below holds the same numbers."
    return finish_chart(cells + numbers, text, CELL_PX * rows["erased_title"].nunique())


def _tell_pair(row: dict) -> str:
    control = "" if pd.isna(row["control"]) else f", its control task {format_points(row['control'])}"
    return (
        f"Without {row['erased_title']}, {row['title']} (layer {row['layer_name']}) changes by "
        f"{format_points(row['value'])} points {format_gain(row['ci_low'], row['ci_high'])}; without a random subspace "
        f"of rank {int(row['rank'])}, {format_points(row['random'])}{control}."
    )
