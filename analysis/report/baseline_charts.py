"""The interactive chart of a trained model beside its baselines."""

from analysis.figures.baselines import label_metric, list_shares
from analysis.report.chart_parts import Spec, finish_chart, list_line_channels, tip_of
from analysis.report.vega import alt
from analysis.runs.training_run import TrainingRun

_ROW_PX = 12
"""Of one answer's mark in one metric's row."""


def chart_baselines(run: TrainingRun) -> Spec:
    """Every metric that is a share on test: a row each, with a mark and a 95 % interval for each answer.

    Args:
        run: with baselines.
    """
    rows = list_shares(run)
    rows = rows.assign(
        metric=rows["metric"].map(label_metric),
        **{name: 100 * rows[name] for name in ("value", "ci_low", "ci_high")},
    )
    metrics, answers = (rows[name].drop_duplicates().tolist() for name in ("metric", "answer"))
    looks = list_line_channels("answer", answers)
    tooltip = [tip_of("answer"), tip_of("metric"), tip_of("value", "x 100", ".1f")]
    tooltip += [tip_of("ci_low", "from", ".1f"), tip_of("ci_high", "to", ".1f"), tip_of("n", "test examples")]
    base = alt.Chart(rows).encode(
        y=alt.Y("metric:N", sort=metrics, title=None, axis=alt.Axis(labelLimit=260, grid=True)),
        yOffset=alt.YOffset("answer:N", sort=answers),
    )
    x = alt.X("ci_low:Q", title="x 100 on test, 95 % interval", scale=alt.Scale(zero=False))
    spans = base.mark_rule(strokeWidth=1.5, aria=False).encode(x=x, x2="ci_high:Q", color=looks["color"])
    marks = base.mark_point(filled=True, size=45, opacity=1).encode(
        x="value:Q", color=looks["color"], shape=looks["shape"], tooltip=tooltip
    )
    text = "Scores of the model and of baselines by metric; the tables hold the same numbers."
    return finish_chart(alt.layer(spans, marks), text, height=_ROW_PX * (len(answers) + 1) * len(metrics))
