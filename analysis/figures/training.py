"""Figures of training, each as wide as one column of a paper: scores and loss by step, layers by step, pruning."""

from collections.abc import Iterable
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from analysis.figures.style import (
    COLUMN_INCHES,
    LINE_STYLES,
    MAP,
    LineStyle,
    few_layers,
    mark_powers,
    set_title,
    styled,
)
from analysis.runs.frames import title_of
from analysis.stats.dev_curves import by_step
from analysis.stats.pruning import summarise_pruning
from probing.records import InputError

LABELS = {"gradient_norm": "gradient norm of a block, before clipping", "weight": "weight in the mix, percent"}
"""Quantity that the log has for each layer -> what its colour bar says."""

_PHASE = 0.2
"""Share of the steps that the beginning and the end of training are, where depth is drawn by phase."""


@styled
def plot_training(logs: pd.DataFrame, metric: str = "score") -> Figure:
    """Dev score and training loss by step: the mean over seeds, and a band from the lowest to the highest seed.

    Args:
        logs: from `analysis.runs.training_run.stack_logs`.
        metric: what the dev score is.

    Raises:
        InputError: there is no dev score.
    """
    if not (logs["quantity"] == "dev_score").any():
        raise InputError("curves of training need rows of quantity dev_score, got none")
    figure = Figure(figsize=(COLUMN_INCHES, 4.4))
    above, below = figure.subplots(2, 1, sharex=True)
    for axes, quantity, factor in ((above, "dev_score", 100), (below, "loss", 1)):
        for (name, rows), style in _with_styles(logs[logs["quantity"] == quantity]):
            _draw_band(axes, factor * by_step(rows), name, style)
        axes.grid(axis="y")
    above.set_ylabel(f"{metric} x 100 on dev")
    below.set(ylabel="training loss", xlabel="optimiser steps")
    _add_legend(figure, above)
    _set_title(figure, logs)
    return figure


@styled
def plot_layers_by_step(logs: pd.DataFrame, quantity: str) -> Figure:
    """A number of each layer by step, a heatmap per model: gradient norms on a logarithmic scale, or mix weights.

    Args:
        logs: as for `plot_training`.
        quantity: a key of `LABELS`.

    Raises:
        InputError: there are no such rows.
    """
    tables = {name: mean_by_depth(rows, quantity) for name, rows in _lines(_rows_of(logs, quantity))}
    together = np.concatenate([table.to_numpy().ravel() for table in tables.values()])
    norm = LogNorm(*_span(together)) if quantity == "gradient_norm" else Normalize(0, float(np.nanmax(together)))
    figure = Figure(figsize=(COLUMN_INCHES, 0.7 + 2.1 * len(tables)))
    panels = figure.subplots(len(tables), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, table) in zip(panels, tables.items(), strict=True):
        axes.pcolormesh(table.columns, table.index, table, norm=norm, cmap=MAP, shading="nearest")
        axes.set_ylabel("layer (0: embeddings)" if 0 in table.index else "layer")
        axes.set_yticks(few_layers(table.index.tolist()))
        axes.set_title(name, fontsize=7.5)
    panels[-1].set_xlabel("optimiser steps")
    bar = figure.colorbar(ScalarMappable(norm, MAP), ax=list(panels), label=LABELS[quantity])
    if quantity == "gradient_norm":
        mark_powers(bar.ax.yaxis)
    _set_title(figure, logs)
    return figure


@styled
def plot_gradients_by_depth(logs: pd.DataFrame) -> Figure:
    """Gradient norms by depth in the first and in the last fifth of training: a panel each, a line per model.

    A point is the geometric mean over seeds and steps, the band from the lowest to the highest seed.

    Args:
        logs: as for `plot_training`.

    Raises:
        InputError: there are no gradient norms.
    """
    rows = _rows_of(logs, "gradient_norm")
    last = rows["step"].max()
    early, late = rows["step"] <= _PHASE * last, rows["step"] >= (1 - _PHASE) * last
    phases = {"first fifth of the steps": rows[early], "last fifth of the steps": rows[late]}
    phases = {name: own for name, own in phases.items() if len(own)}
    figure = Figure(figsize=(COLUMN_INCHES, 0.6 + 1.9 * len(phases)))
    panels = figure.subplots(len(phases), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for axes, (phase, own) in zip(panels, phases.items(), strict=True):
        for (name, of_line), style in _with_styles(own):
            by_seed = _logarithms(of_line).groupby([of_line["layer"], of_line["seed"]]).mean().unstack()
            _draw_band(axes, by_seed.map(np.exp), name, style, marked=True)
        axes.set(yscale="log", title=phase, ylabel="gradient norm")
        mark_powers(axes.yaxis)
        axes.title.set_fontsize(7.5)
        axes.set_xticks(few_layers(sorted(own["layer"].unique().tolist())))
        axes.grid(axis="y")
    panels[-1].set_xlabel("layer (0: embeddings)" if (rows["layer"] == 0).any() else "layer")
    _add_legend(figure, panels[0])
    _set_title(figure, logs)
    return figure


@styled
def plot_pruning(models: pd.DataFrame, split: str = "dev") -> Figure:
    """Score by the share of zeros reached, a panel per method, and a line per model; diverged models are crossed.

    The line is the mean over seeds, the band goes from the lowest to the highest seed, the dotted level is the
    majority baseline.

    Args:
        models: from `analysis.runs.training_run.stack_models`.
        split: which scores.

    Raises:
        InputError: nothing was pruned.
    """
    rows = models[(models["split"] == split) & (models["method"] != "")]
    if rows.empty:
        raise InputError(f"curves of pruning need pruned models with scores on {split}, got none")
    methods = list(dict.fromkeys(rows["method"]))
    figure = Figure(figsize=(COLUMN_INCHES, 0.7 + 1.8 * len(methods)))
    panels = figure.subplots(len(methods), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    for axes, method in zip(panels, methods, strict=True):
        for (name, own), style in _with_styles(rows, rows["method"] == method):
            _draw_sparsities(axes, own, split, name, style)
        axes.axhline(100 * rows["majority"].mean(), color="#777777", linestyle=":", linewidth=1, label="majority")
        axes.set(ylabel=f"{rows['metric'].iloc[0]} x 100 on {split}", title=method.replace("_", " "))
        axes.grid(axis="y")
    panels[-1].set_xlabel("zeros reached, percent")
    _add_legend(figure, *panels)
    _set_title(figure, models)
    return figure


def mean_by_depth(rows: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """A row per layer and a column per step: the mean over seeds, geometric for gradient norms; weights in percent."""
    grouped = [rows["layer"], rows["step"]]
    if quantity == "gradient_norm":
        return _logarithms(rows).groupby(grouped).mean().unstack().map(np.exp)
    return 100 * rows["value"].groupby(grouped).mean().unstack()


def _draw_band(axes: Axes, table: pd.DataFrame, name: str, style: LineStyle, *, marked: bool = False) -> None:
    """The mean over the columns of a table by its index, and a band from the lowest to the highest."""
    colour, mark, dashes = style
    mean = np.exp(np.log(table).mean(axis=1)) if marked else table.mean(axis=1)
    every = 1 if marked else max(1, len(table) // 8)
    if table.shape[1] > 1:
        axes.fill_between(table.index, table.min(axis=1), table.max(axis=1), color=colour, alpha=0.2, lw=0)
    axes.plot(table.index, mean, color=colour, linestyle=dashes, marker=mark, markevery=every, ms=3.5, label=name)


def _draw_sparsities(axes: Axes, rows: pd.DataFrame, split: str, name: str, style: LineStyle) -> None:
    colour, mark, dashes = style
    means = 100 * summarise_pruning(rows, split).sort_values("achieved")[["achieved", "value", "lowest", "highest"]]
    zeros = means["achieved"]
    axes.fill_between(zeros, means["lowest"], means["highest"], color=colour, alpha=0.2, lw=0)
    axes.plot(zeros, means["value"], color=colour, marker=mark, linestyle=dashes, ms=4, label=name)
    diverged = rows[rows["diverged"].astype(bool)]
    axes.scatter(100 * diverged["achieved_sparsity"], 100 * diverged["value"], marker="x", s=36, color=colour, zorder=3)
    axes.scatter([], [], marker="x", s=36, color="black", label="diverged (one seed)")


def _logarithms(rows: pd.DataFrame) -> pd.Series:
    """Of the values; no number where there is none, as of a norm that is 0."""
    return pd.Series(np.log(rows["value"].where(rows["value"] > 0)), index=rows.index)


def _rows_of(logs: pd.DataFrame, quantity: str) -> pd.DataFrame:
    rows = logs[logs["quantity"] == quantity]
    if rows.empty:
        raise InputError(f"a figure of layers by step needs rows of quantity {quantity}, got none")
    return rows


def _lines(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    return [(str(name), rows) for name, rows in frame.groupby("line", sort=False)]


def _with_styles(
    frame: pd.DataFrame, chosen: pd.Series | None = None
) -> Iterable[tuple[tuple[str, pd.DataFrame], LineStyle]]:
    """Each line's rows and style; where only some rows are chosen, a line still has the style that it has in all."""
    pairs = zip(_lines(frame), cycle(LINE_STYLES), strict=False)
    for (name, rows), style in pairs:
        own = rows if chosen is None else rows[chosen[rows.index]]
        if len(own):
            yield (name, own), style


def _span(values: np.ndarray) -> tuple[float, float]:
    known = values[np.isfinite(values) & (values > 0)]
    return float(known.min()), float(max(known.max(), known.min() * 1.001))


def _add_legend(figure: Figure, *panels: Axes) -> None:
    handles = {name: line for axes in panels for line, name in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=2)


def _set_title(figure: Figure, frame: pd.DataFrame) -> None:
    tasks = ", ".join(title_of(task) for task in dict.fromkeys(frame["task"]))
    seeds = frame["seed"].nunique()
    set_title(figure, f"{tasks}, {seeds} seed{'s' if seeds > 1 else ''}")
