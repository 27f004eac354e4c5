"""Layer x task heatmaps: scores, and the weights of the mix."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from analysis.figures.style import MAP, draw_separators, fit_width, label_groups, label_layers, label_tasks, styled
from analysis.runs.frames import group_spans, layer_names, title_of, unit_of
from analysis.stats.summary import centre_of_gravity
from probing.catalogue.readouts import REPRESENTATIONS
from probing.records import InputError

WEIGHT_PANELS = {
    "weight": "weight\n(after softmax)",
    "contribution": "contribution (weight x\nnorm about the mean)",
}
"""Column of the layer weights -> what its panel is headed with."""


@styled
def plot_scores(scores: pd.DataFrame, title: str = "") -> Figure:
    """Accuracy of every layer on every task, the mix as a row of its own.

    The colour runs, per task, from the majority baseline to the task's best value, so that columns of unlike tasks
    compare over depth; the cells hold accuracy times 100. A task without a mix has an empty cell.

    Args:
        scores: from `analysis.runs.frames.mean_scores`.
        title: above the figure, such as the model's name.

    Raises:
        InputError: a task lacks a layer that others have, or there is no layer at all.
    """
    names = _checked_layers(scores)
    tasks = list(dict.fromkeys(scores["task"]))
    spans = group_spans(scores, tasks)
    layers = by_layer(scores[scores["representation"] == "layer"], tasks, "value")
    mix = scores[scores["representation"] == "scalar_mix"].set_index("task")["value"].reindex(tasks).to_frame().T
    majority = scores.groupby("task")["majority"].first().reindex(tasks)
    best = pd.concat([layers, mix]).max()
    rows = [layers, mix] if mix.notna().any(axis=None) else [layers]

    figure = Figure(figsize=(fit_width(len(tasks), 0.72, 2.8), 6))
    width = _inches_per_task(figure, len(tasks), margin=2.4)
    panels = figure.subplots(len(rows), 1, sharex=True, squeeze=False, height_ratios=[1, len(layers)][-len(rows) :])
    for axes, frame in zip(panels[::-1, 0], rows, strict=True):
        shown = _between(frame, majority, best)
        draw_cells(axes, shown, _percent(frame), 1.0)
        draw_separators(axes, spans)
    label_layers(panels[-1, 0], list(names.values()))
    if len(rows) > 1:
        panels[0, 0].set_yticks([0.5], [REPRESENTATIONS["scalar_mix"].title], rotation=0)
        panels[0, 0].tick_params(length=0, labelbottom=False)
    label_groups(panels[0, 0], spans, width)
    label_tasks(panels[-1, 0], [title_of(task) for task in tasks], width)
    _draw_bar(figure, panels[-1, 0], panels[:, 0].tolist(), "colour, per task: majority = 0, the task's best = 1")
    figure.suptitle(_join(title, f"{unit_of(scores)} x 100 on test, by layer"))
    return figure


@styled
def plot_weights(weights: pd.DataFrame, title: str = "") -> Figure:
    """What the mix learned: weights beside contributions, in percent of a task's column, with the centre of gravity.

    Args:
        weights: from `analysis.runs.frames.mean_weights`.
        title: above the figure, such as the model's name.

    Raises:
        InputError: there are no weights, or a task lacks a layer that others have.
    """
    if weights.empty:
        raise InputError("a figure of the mix needs its weights, got none: run_senteval.py --model bermo learns one")
    names = _checked_layers(weights)
    tasks = list(dict.fromkeys(weights["task"]))
    figure = Figure(figsize=(fit_width(2 * len(tasks), 0.4, 2.6), 6))
    width = _inches_per_task(figure, 2 * len(tasks), margin=2.4)
    panels = figure.subplots(1, 2, sharey=True)
    top = float(weights[list(WEIGHT_PANELS)].to_numpy().max())
    for axes, (column, heading) in zip(panels, WEIGHT_PANELS.items(), strict=True):
        frame = by_layer(weights, tasks, column)
        draw_cells(axes, frame, _percent(frame, "{:.0f}") if width > 0.22 else None, top)
        _mark_gravity(axes, centre_of_gravity(weights, column).reindex(tasks), list(names), width)
        label_groups(axes, group_spans(weights, tasks), width)
        label_tasks(axes, [title_of(task) for task in tasks], width)
        axes.set_title(heading)
    label_layers(panels[0], list(names.values()))
    panels[1].tick_params(left=False)
    _draw_bar(figure, panels[0], panels.tolist(), "share of the task's sum", percent=True)
    figure.legend(handles=[_gravity_mark()], loc="outside lower center")
    figure.suptitle(_join(title, "scalar mix by layer, in percent"))
    return figure


def _checked_layers(frame: pd.DataFrame) -> dict[int, str]:
    names = layer_names(frame)
    if not names:
        raise InputError("a heatmap by layer needs rows of single layers, got none")
    return names


def by_layer(frame: pd.DataFrame, tasks: Sequence[str], column: str) -> pd.DataFrame:
    """Layers as rows, the top one first, and tasks as columns."""
    return frame.pivot_table(index="layer", columns="task", values=column)[list(tasks)].sort_index(ascending=False)


def _between(frame: pd.DataFrame, low: pd.Series, high: pd.Series) -> pd.DataFrame:
    width = (high - low).where(high > low)
    return ((frame - low) / width).clip(0, 1).where(frame.isna() | width.notna(), 0.0)


def _percent(frame: pd.DataFrame, form: str = "{:.1f}") -> np.ndarray:
    return frame.map(lambda value: "" if np.isnan(value) else form.format(100 * value)).to_numpy()


def draw_cells(axes: Axes, colours: pd.DataFrame, texts: np.ndarray | None, top: float) -> None:
    """Coloured cells, 0 to `top`, with their texts in the ink that stands out."""
    sns.heatmap(
        colours,
        vmin=0,
        vmax=top,
        cmap=MAP,
        annot=False if texts is None else texts,
        fmt="",
        annot_kws={"size": 8},
        cbar=False,
        linewidths=0.5,
        xticklabels=False,
        yticklabels=False,
        ax=axes,
    )
    axes.set(xlabel="", ylabel="")
    for text in axes.texts:
        column, row = (int(place) for place in text.get_position())
        text.set_color(_ink(colormaps[MAP](float(colours.to_numpy()[row, column]) / top)))


def _ink(paper: tuple[float, ...]) -> str:
    """Black or white, whichever stands out more (relative luminance, WCAG 2.1)."""
    channels = np.array(paper[:3])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return "black" if linear @ [0.2126, 0.7152, 0.0722] > 0.179 else "white"


def _draw_bar(figure: Figure, drawn: Axes, beside: list[Axes], label: str, percent: bool = False) -> None:
    bar = figure.colorbar(drawn.collections[0], ax=beside, fraction=0.04, pad=0.02, aspect=35)
    bar.set_label(label)
    bar.outline.set_visible(False)
    if percent:
        bar.ax.yaxis.set_major_formatter(PercentFormatter(xmax=1))


def _mark_gravity(axes: Axes, gravity: pd.Series, layers: Sequence[int], width: float) -> None:
    rows = np.interp(gravity, layers, np.arange(len(layers))[::-1] + 0.5)
    columns = np.arange(len(gravity)) + 0.87
    # Points squared: a quarter of the column's width, beside the number in its middle.
    size = float(np.clip((0.25 * 72 * width) ** 2, 14, 42))
    axes.scatter(columns, rows, s=size, marker="<", facecolor="white", edgecolor="black", zorder=3)


def _gravity_mark() -> Line2D:
    return Line2D(
        [],
        [],
        linestyle="",
        marker="<",
        color="white",
        markeredgecolor="black",
        label="centre of gravity (sum of l x share)",
    )


def _inches_per_task(figure: Figure, n_tasks: int, margin: float) -> float:
    return (figure.get_figwidth() - margin) / n_tasks


def _join(title: str, what: str) -> str:
    return f"{title}: {what}" if title else what[0].upper() + what[1:]
