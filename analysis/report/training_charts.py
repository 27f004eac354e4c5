"""The interactive charts of training. Lines are told apart by dashes and marks as well as by colour."""

import numpy as np
import pandas as pd

from analysis.figures.training import mean_by_depth
from analysis.report.chart_parts import Spec, draw_lines, finish_chart, list_line_channels, tip_of
from analysis.report.vega import alt
from analysis.stats.dev_curves import by_step
from analysis.stats.pruning import summarise_pruning

_TITLES = {"gradient_norm": "gradient norm", "weight": "percent of the mix"}
_FORMS = {"gradient_norm": ".3g", "weight": ".1f"}


def chart_curves(logs: pd.DataFrame, quantity: str, title: str, factor: float = 1.0) -> tuple[Spec, pd.DataFrame]:
    """A number of the log by step: the mean over seeds, and a band from the lowest to the highest seed.

    Args:
        logs: from `analysis.runs.training_run.stack_logs`.
        quantity: such as `dev_score` or `loss`.
        title: of its axis.
        factor: by which it is multiplied.

    Returns:
        The chart, and its numbers as strings.
    """
    frames = [
        _summarise_seeds(factor * by_step(own)).assign(line=name)
        for name, own in logs[logs["quantity"] == quantity].groupby("line", sort=False)
    ]
    rows = pd.concat(frames, ignore_index=True)
    tooltip = [tip_of("line", "model"), tip_of("step", form="d"), tip_of("value", title, ".3f")]
    tooltip += [tip_of("low", "lowest seed", ".3f"), tip_of("high", "highest seed", ".3f")]
    base = alt.Chart(rows).encode(x=alt.X("step:Q", title="optimiser steps"))
    y = alt.Y("value:Q", title=title, scale=alt.Scale(zero=False))
    looks = list_line_channels("line", rows["line"])
    band = base.mark_area(opacity=0.2, aria=False).encode(y="low:Q", y2="high:Q", color=looks["color"])
    line = draw_lines(base, y, looks, tooltip)
    text = f"{title} by step of training; the table below holds the same numbers."
    shown = rows.rename(columns={"line": "Model", "step": "Step", "value": "Mean", "low": "Lowest", "high": "Highest"})
    shown = shown[["Model", "Step", "Mean", "Lowest", "Highest"]]
    return finish_chart(alt.layer(band, line), text, height=280), shown.map(_format_cell)


def chart_layers(rows: pd.DataFrame, quantity: str, span: tuple[float, float]) -> Spec:
    """A number of each layer by step, as a heatmap.

    Args:
        rows: from `mean_layers`, of one model.
        quantity: `gradient_norm`, on a logarithmic scale, or `weight`.
        span: the lowest and the highest value of the colours, the same for models to compare.
    """
    logarithmic = quantity == "gradient_norm"
    scale = alt.Scale(scheme="viridis", type="log" if logarithmic else "linear", domain=list(span))
    legend = alt.Legend(
        title=_TITLES[quantity], orient="top", direction="horizontal", gradientLength=200, format=".2~g",
        values=list((np.geomspace if logarithmic else np.linspace)(*span, 4)),
    )  # fmt: skip
    order = rows.sort_values("layer", ascending=False)["layer_name"].drop_duplicates().tolist()
    tooltip = [tip_of("step", form="d"), tip_of("layer_name", "layer")]
    tooltip += [tip_of("value", _TITLES[quantity], _FORMS[quantity])]
    cells = (
        alt.Chart(rows)
        .mark_rect()
        .encode(
            x=alt.X("step:O", title="optimiser steps", axis=alt.Axis(labelAngle=0, labelOverlap=True)),
            y=alt.Y("layer_name:N", sort=order, title="layer"),
            color=alt.Color("value:Q", scale=scale, legend=legend),
            tooltip=tooltip,
        )
    )
    return finish_chart(cells, f"Heatmap of {_TITLES[quantity]} by layer and step.", height=24 * len(order))


def mean_layers(logs: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """A number of each layer at each step, a row each, averaged over seeds as in the figures; weights in percent."""
    frames = []
    for name, own in logs[logs["quantity"] == quantity].groupby("line", sort=False):
        names = own.drop_duplicates("layer").set_index("layer")["layer_name"]
        rows = mean_by_depth(own, quantity).reset_index().melt("layer", var_name="step")
        frames.append(rows.assign(line=name, layer_name=rows["layer"].map(names)).dropna(subset="value"))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["line", "layer", "step", "value"])


def chart_pruning(models: pd.DataFrame) -> Spec:
    """Dev score by the share of zeros reached: a line per model and method, with diverged runs crossed.

    Args:
        models: from `analysis.runs.training_run.stack_models`.
    """
    models = models[(models["method"] != "") & (models["split"] == "dev")]
    models = models.assign(line=models["line"] + ", " + models["method"].str.replace("_", " "))
    frames = [summarise_pruning(own).assign(line=name) for name, own in models.groupby("line", sort=False)]
    names = ["achieved", "value", "lowest", "highest", "diverged"]
    rows = pd.concat(frames, ignore_index=True)[["line", "n_seeds", *names]]
    rows = rows.assign(**{name: 100 * rows[name] for name in names})
    lost = models[models["diverged"].astype(bool)].assign(
        achieved=100 * models["achieved_sparsity"], value=100 * models["value"]
    )
    tooltip = [tip_of("line", "model"), tip_of("achieved", "percent zeros", ".1f")]
    tooltip += [tip_of("value", "score x 100", ".1f"), tip_of("diverged", "percent diverged", ".0f")]
    x = alt.X("achieved:Q", title="zeros reached, percent", scale=alt.Scale(zero=False))
    y = alt.Y("value:Q", title="score x 100 on dev", scale=alt.Scale(zero=False))
    looks = list_line_channels("line", rows["line"])
    base = alt.Chart(rows).encode(x=x)
    band = base.mark_area(opacity=0.15, aria=False).encode(y="lowest:Q", y2="highest:Q", color=looks["color"])
    line = draw_lines(base, y, looks, tooltip)
    crosses = alt.Chart(lost[["line", "achieved", "value", "seed"]]).mark_text(text="✕", fontSize=14, aria=False)
    crosses = crosses.encode(x=x, y=y, color=looks["color"])
    text = "Dev score by share of zeros; the table below holds the same numbers."
    return finish_chart(alt.layer(band, line, crosses), text, height=320)


def _summarise_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """Mean, lowest and highest over the columns of a table by step."""
    return pd.DataFrame(
        {"step": table.index, "value": table.mean(axis=1), "low": table.min(axis=1), "high": table.max(axis=1)}
    ).reset_index(drop=True)


def _format_cell(cell: object) -> str:
    return f"{cell:z.3f}" if isinstance(cell, float) else str(cell)
