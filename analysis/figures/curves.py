"""Score by layer, one small panel per task."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.style import COLOURS, few_layers, label_bottom, set_title, small_panels, styled
from analysis.runs.frames import ACCURACY, layer_names, unit_of
from probing.records import InputError


@styled
def plot_curves(scores: pd.DataFrame, title: str = "") -> Figure:
    """Score by layer with its 95 % interval, chance and majority, and the mix as a dotted level; all on one scale.

    Args:
        scores: from `analysis.runs.frames.mean_scores`.
        title: above the figure, such as the model's name.

    Raises:
        InputError: a task lacks a layer that others have, or there is no layer at all.
    """
    names = layer_names(scores)
    if not names:
        raise InputError("curves by layer need rows of single layers, got none")
    tasks = list(dict.fromkeys(scores["task"]))
    figure, panels = small_panels(len(tasks))
    for axes, task in zip(panels.flat, tasks, strict=False):
        draw_task(axes, scores[scores["task"] == task])
        label_depth(axes, list(names), list(names.values()))
    label_bottom(panels, len(tasks), "layer (emb: embeddings)" if _starts_with_embeddings(names) else "layer")
    figure.supylabel(f"{unit_of(scores)} x 100 on test")
    handles = {name: line for axes in panels.flat for line, name in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=2)
    set_title(figure, title)
    return figure


def draw_task(axes: Axes, rows: pd.DataFrame) -> None:
    """One task's scores by layer, from `mean_scores`, with the levels of chance, majority and mix."""
    first = rows.iloc[0]
    layers, mix = (rows[rows["representation"] == name] for name in ("layer", "scalar_mix"))
    if first["metric"] == ACCURACY:
        axes.axhline(100 / first["n_classes"], color="#999999", linestyle=":", linewidth=1, label="chance")
    axes.axhline(100 * first["majority"], color="#999999", linestyle="--", linewidth=1, label="majority")
    colour = COLOURS["last"]
    axes.fill_between(layers["layer"], 100 * layers["ci_low"], 100 * layers["ci_high"], color=colour, alpha=0.25, lw=0)
    axes.plot(layers["layer"], 100 * layers["value"], color=colour, marker="o", markersize=2.5, label="single layer")
    for _, row in mix.iterrows():
        axes.axhspan(100 * row["ci_low"], 100 * row["ci_high"], color=COLOURS["mix"], alpha=0.12, lw=0)
        axes.axhline(100 * row["value"], color=COLOURS["mix"], linestyle=(0, (1, 1)), linewidth=1.8, label="scalar mix")
    axes.set_title(f"{first['title']} ({first['group']})")
    axes.grid(axis="y")


def label_depth(axes: Axes, layers: list[int], names: list[str]) -> None:
    """At most seven or so of the layers as ticks."""
    shown = few_layers(layers)
    texts = ["emb" if name == "embeddings" else str(layer) for layer, name in zip(layers, names, strict=True)]
    axes.set_xticks(shown, [texts[layers.index(layer)] for layer in shown])


def _starts_with_embeddings(names: dict[int, str]) -> bool:
    return next(iter(names.values())) == "embeddings"
