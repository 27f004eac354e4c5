"""Students held against their teacher -> one self-contained HTML page."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from analysis.report import facts
from analysis.report.chart_parts import Spec, draw_lines, finish_chart, list_line_channels, tip_of
from analysis.report.forgetting_answer import LIMITS, answer_forgetting, explain_teacher
from analysis.report.shell import Chart, render_page
from analysis.report.vega import alt
from analysis.runs.frames import title_of
from analysis.runs.probing_run import Run
from analysis.stats.of_students import Forgetting
from analysis.tables.forgetting import (
    tabulate_depths,
    tabulate_encoders,
    tabulate_losses,
    tabulate_mixes,
    tabulate_moves,
    tabulate_order,
)

NAME = "forgetting.html"
"""File name of the page."""
_ROW_PX = 24
_NOISE = "#cccccc"
_LOSSES = (
    "{name}: points of accuracy lost and gained by task and relative depth, with the best layer and the mix above. "
    "Grey: the 95 % interval holds 0. Hover or tap for the numbers."
)
_MIXES = "Contribution of each layer to the mix (weight x mean norm about the mean), in percent, by relative depth."


def build_page(found: Forgetting) -> str:
    """The page of one teacher and its students."""
    teacher = found.teacher.name
    return render_page(
        "forgetting.html.j2",
        title=f"What {_join(list(found.students))} forgot of {teacher}",
        answers=answer_forgetting(found),
        explanations=explain_teacher(found.lineages),
        losses=tabulate_losses(found.losses),
        charts=_chart_students(found),
        mixes=_chart_mixes(found),
        moves=tabulate_moves(found.moves),
        order=tabulate_order(found.order),
        encoders=tabulate_encoders(found.encoders),
        sections=[
            {"name": name, "facts": facts.list_facts(run), "warnings": facts.list_warnings(run)}
            for name, run in _name_runs(found)
        ],
        limits=LIMITS,
        references=facts.REFERENCES,
    )


def _name_runs(found: Forgetting) -> Sequence[tuple[str, Run]]:
    return [(f"teacher: {found.teacher.name}", found.teacher), *found.students.items()]


def _join(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _chart_students(found: Forgetting) -> list[Chart]:
    most = 100 * float(found.losses["difference"].abs().max())
    charts = []
    for number, name in enumerate(found.students):
        own = found.losses[found.losses["student"] == name]
        table = tabulate_depths(found.losses, name)
        charts.append(Chart(f"losses-{number}", _LOSSES.format(name=name), _chart_losses(own, most), [table]))
    return charts


def _chart_losses(own: pd.DataFrame, most: float) -> Spec:
    """A heatmap of one student; all of a page have the same colours."""
    rows = own.assign(
        row=own["depth"].map("{:.2f}".format).where(own["place"] == "depth", own["place"]),
        points=100 * own["difference"],
        interval=[f"{100 * low:+z.1f} to {100 * high:+z.1f}" for low, high in _pairs(own, "ci_low", "ci_high")],
        noise=(own["ci_low"] <= 0) & (own["ci_high"] >= 0),
    )
    rows = rows[["title", "group", "row", "layer_name", "teacher_layer_name", "points", "interval", "verdict", "noise"]]
    layers = own[own["place"] == "depth"].sort_values("layer", ascending=False)["depth"].map("{:.2f}".format)
    order = ["mix", "best", *dict.fromkeys(layers)]
    base = alt.Chart(rows).encode(
        x=alt.X("title:N", sort=list(dict.fromkeys(rows["title"])), title=None, axis=alt.Axis(labelAngle=-40)),
        y=alt.Y("row:N", sort=order, title="relative depth"),
    )
    tooltip = [
        tip_of("title", "task"),
        tip_of("layer_name", "student's layer"),
        tip_of("teacher_layer_name", "teacher's"),
    ]
    tooltip += [tip_of("points", "points", "+.1f"), tip_of("interval", "95 % interval"), tip_of("verdict")]
    scale = alt.Scale(scheme="purpleorange", domain=[-1.5 * most, 1.5 * most])
    legend = alt.Legend(title="points", orient="top", direction="horizontal", gradientLength=160)
    colour = alt.condition("!datum.noise", alt.Color("points:Q", scale=scale, legend=legend), alt.value(_NOISE))
    cells = base.mark_rect().encode(color=colour, tooltip=tooltip)
    numbers = base.mark_text(fontSize=11, aria=False, tooltip=None, color="black")
    chart: Any = cells + numbers.encode(text=alt.Text("points:Q", format="+.1f"))
    return finish_chart(chart, "Heatmap of losses; the table below holds the same numbers.", _ROW_PX * len(order))


def _chart_mixes(found: Forgetting) -> list[Chart]:
    """A chart for each task, all encoders' mixes in it; none where there is no mix."""
    charts = []
    for number, (task, own) in enumerate(found.mixes.groupby("task", sort=False)):
        rows = own.assign(share=100 * own["contribution"])[["encoder", "layer_name", "depth", "share"]]
        looks = list_line_channels("encoder", rows["encoder"])
        tooltip = [tip_of("encoder"), tip_of("layer_name", "layer"), tip_of("share", "percent", ".1f")]
        base = alt.Chart(rows).encode(x=alt.X("depth:Q", title="relative depth", scale=alt.Scale(domain=[0, 1])))
        lines = draw_lines(base, alt.Y("share:Q", title="percent of the mix"), looks, tooltip)
        spec = finish_chart(lines, f"Mixes of {title_of(str(task))}.", height=220)
        charts.append(Chart(f"mixes-{number}", f"{title_of(str(task))}. {_MIXES}", spec, [tabulate_mixes(own)]))
    return charts


def _pairs(frame: pd.DataFrame, one: str, other: str) -> zip:
    return zip(frame[one], frame[other], strict=True)
