"""Figures of layers beside each other: likeness beside the mix's weights, knock-outs beside both, shape by depth."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from analysis.figures.heatmaps import HATCHED, WEIGHT_PANELS, by_layer, draw_cells, format_cells, inches_per_task
from analysis.figures.style import (
    COLUMN_INCHES,
    LINE_STYLES,
    MAP,
    draw_separators,
    few_layers,
    fit_width,
    label_bottom,
    label_layers,
    label_tasks,
    set_title,
    small_panels,
    styled,
)
from analysis.runs.frames import group_spans, layer_names, mean_scores, order_tasks, title_of
from analysis.stats.alike import KNOCKOUTS, NEAR, find_alike, list_knockouts
from probing.catalogue.measures import QUANTITIES, name_quantities
from probing.records import InputError

_LOST = {"cost": "accuracy lost without the layer, points", "bits": "bits lost without the layer, per sentence"}
_SHAPES = {
    "effective_rank": "effective rank",
    "anisotropy": "mean cosine",
    "intrinsic_dimension": "intrinsic dimension",
}
_LEAST = {"cost": 0.0005, "bits": 0.005}
"""Losses below which cells show 0."""
_BARS = "#D55E00"
_BAR_CELLS = 0.35
"""Room of the bars beside a heatmap, as a share of its width."""
_NOISE = Patch(**HATCHED, label="95 % interval holds 0, to the digits shown")


@styled
def plot_similarity(similarities: pd.DataFrame, weights: pd.DataFrame, groups: pd.DataFrame, title: str = "") -> Figure:
    """Debiased CKA of all pairs of layers, a panel per task, with the weights of the mix as bars beside it.

    Cells of layers that are nearly the same and share the weight are outlined.

    Args:
        similarities: as in `Run.similarities`, of an encoder with itself.
        weights: from `analysis.runs.frames.mean_weights`; without rows there are no bars.
        groups: columns `task` and `group`, for the order of the panels.
        title: above the figure, such as the model's name.

    Raises:
        InputError: there are no similarities.
    """
    if similarities.empty:
        raise InputError("a figure of similar layers needs rows of --measures similarity, got none")
    tasks = [task for task in order_tasks(groups) if task in set(similarities["task"])]
    alike = find_alike(similarities, weights)
    scale = Normalize(np.floor(10 * similarities["value"].min()) / 10, 1)
    figure, panels = small_panels(len(tasks))
    for axes, task in zip(panels.flat, tasks, strict=False):
        own = similarities[similarities["task"] == task].pivot_table(
            index="layer", columns="other_layer", values="value"
        )
        axes.pcolormesh(own.columns, own.index, own, norm=scale, cmap=MAP, shading="nearest")
        for layer, other in alike.loc[alike["task"] == task, ["layer", "other_layer"]].itertuples(index=False):
            for place in ((layer, other), (other, layer)):
                corner = (place[0] - 0.5, place[1] - 0.5)
                axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=_BARS, linewidth=1.2))
        _draw_bars(axes, weights[weights["task"] == task], own.index.tolist())
        axes.set_title(title_of(task))
        axes.set_yticks(few_layers(own.index.tolist()))
        axes.set_xticks(thin_out(own.index.tolist()))
    label_bottom(panels, len(tasks), "layer")
    figure.supylabel("layer (0: embeddings)")
    figure.colorbar(ScalarMappable(scale, MAP), ax=list(panels.flat), label="debiased CKA", shrink=0.8)
    handles = [Patch(color=_BARS, label="weight in the mix")] if len(weights) else []
    if len(alike):
        label = f"above {NEAR}, and both share the weight"
        handles.append(Patch(fill=False, edgecolor=_BARS, label=label))
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=1 if len(tasks) <= 10 else 2)
    set_title(figure, f"{title}: likeness of layers" if title else "Likeness of layers")
    return figure


def thin_out(layers: list[int]) -> list[int]:
    """The layers that are named below a small panel: their names have two digits from 10 on."""
    shown = few_layers(layers)
    return shown if layers[-1] < 10 else shown[::3]


def _draw_bars(axes: Axes, weights: pd.DataFrame, layers: list[int]) -> None:
    """Weights as bars to the right of a heatmap, the longest as long as there is room."""
    right = max(layers) + 0.5
    if weights.empty:
        return
    room = _BAR_CELLS * (right - min(layers))
    lengths = room * weights["weight"] / weights["weight"].max()
    axes.barh(weights["layer"], lengths, left=right + 0.1 * room, height=0.7, color=_BARS)
    axes.set_xlim(min(layers) - 0.5, right + 1.15 * room)


@styled
def plot_knockouts(weights: pd.DataFrame, scores: pd.DataFrame, title: str = "") -> Figure:
    """Three views of a mix by layer and task: weight, contribution, and what is lost without the layer.

    Losses whose 95 % interval holds 0, to the digits shown, are hatched.

    Args:
        weights: from `analysis.runs.frames.mean_weights`.
        scores: as in `Run.scores`, with rows of the measure `knockouts`.
        title: above the figure, such as the model's name.

    Raises:
        InputError: there are no knock-outs.
    """
    lost = {view: list_knockouts(scores, metric) for view, metric in KNOCKOUTS.items()}
    if any(frame.empty for frame in lost.values()):
        raise InputError("a figure of knock-outs needs rows of --measures knockouts, got none")
    tasks = [task for task in order_tasks(weights) if task in set(lost["cost"]["task"])]
    weights = weights[weights["task"].isin(tasks)]
    names = list(layer_names(weights).values())
    figure = Figure(figsize=(fit_width(len(tasks)), min(9.0, 2.6 + 0.68 * len(names))))
    width = inches_per_task(figure, len(tasks), margin=0.75)
    panels = figure.subplots(4, 1, sharex=True)
    heads = {column: f"{column}, percent of the mix" for column in WEIGHT_PANELS} | _LOST
    for axes, (view, heading) in zip(panels, heads.items(), strict=True):
        rows, column = (weights, view) if view in WEIGHT_PANELS else (lost[view], "value")
        frame, noise = by_layer(rows, tasks, column), None
        if view in _LOST:
            noise = by_layer(rows.assign(noise=(rows["ci_low"] < _LEAST[view]).astype(float)), tasks, "noise") == 1
        form = "{:z.2f}" if view == "bits" else "{:z.0f}" if width < 0.24 or view in WEIGHT_PANELS else "{:z.1f}"
        texts = format_cells(frame, form, 1 if view == "bits" else 100) if width > 0.2 else None
        draw_cells(axes, frame.clip(lower=0), texts, max(float(frame.to_numpy().max()), 1e-9), noise)
        draw_separators(axes, group_spans(weights, tasks))
        axes.set_title(heading)
        label_layers(axes, names)
        axes.tick_params(length=0, labelbottom=axes is panels[-1])
    label_tasks(panels[-1], [title_of(task) for task in tasks], width)
    figure.supylabel("layer")
    figure.legend(handles=[_NOISE], loc="outside lower center")
    set_title(figure, f"{title}: three views of the mix" if title else "Three views of the mix")
    return figure


@styled
def plot_geometry(scores: pd.DataFrame, title: str = "") -> Figure:
    """Shape of the vectors by layer, a panel for each quantity measured: a line per task, and their mean.

    Args:
        scores: as in `Run.scores`, with rows of the measures `geometry` or `intrinsic_dimension`.
        title: above the figure, such as the model's name.

    Raises:
        InputError: no such rows.
    """
    known = [metric for metric in name_quantities("geometry") if (scores["metric"] == metric).any()]
    if not known:
        raise InputError("a figure of the shape of vectors needs rows of --measures geometry, got none")
    figure = Figure(figsize=(COLUMN_INCHES, 0.8 + 1.4 * len(known)))
    panels = figure.subplots(len(known), 1, sharex=True, squeeze=False)[:, 0]
    shapes = [mean_scores(scores[scores["metric"] == metric], "train", metric=metric) for metric in known]
    for axes, metric, rows in zip(panels, known, shapes, strict=True):
        table = QUANTITIES[metric].factor * rows.pivot_table(index="layer", columns="task", values="value")
        axes.plot(table.index, table, color="#bbbbbb", linewidth=0.8)
        colour, mark, dashes = LINE_STYLES[0]
        axes.plot(table.index, table.mean(axis=1), color=colour, marker=mark, linestyle=dashes, ms=3.5)
        axes.set_ylabel(_SHAPES[metric])
        axes.grid(axis="y")
        axes.set_xticks(few_layers(table.index.tolist()))
    panels[-1].set_xlabel("layer (0: embeddings)" if 0 in layer_names(shapes[-1]) else "layer")
    lines = [*panels[0].lines[:1], panels[0].lines[-1]]
    figure.legend(lines, ["sentences of each task", "mean over tasks"], loc="outside lower center", ncols=2)
    set_title(figure, f"{title}: shape of the vectors" if title else "Shape of the vectors")
    return figure
