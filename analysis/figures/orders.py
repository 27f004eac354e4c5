"""Layer x task heatmaps of several orders of sub-layers side by side, the kind of each sub-layer on its axis."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.heatmaps import NOISE_PATCH, by_layer, draw_bar, draw_cells, fit_percent, is_noise, scale_between
from analysis.figures.style import PAGE_INCHES, draw_separators, label_layers, label_tasks, set_title, styled
from analysis.runs.frames import group_spans, layer_names, order_tasks, title_of

_BESIDE = 3
"""Panels beside one another."""


@styled
def plot_orders(scores: Mapping[str, pd.DataFrame], title: str = "") -> Figure:
    """Accuracy of every sub-layer on every task, a panel for each order.

    The colour runs, per task, from the majority to the best value that any of the orders has, so that panels compare.
    A cell whose 95 % interval holds the majority, or lies below it, has no colour: it is hatched.

    Args:
        scores: name of the order -> its rows of `analysis.runs.frames.mean_scores`, the same tasks in all.
        title: above the figure.

    Raises:
        InputError: a task lacks a layer that others have.
    """
    single = {name: frame[frame["representation"] == "layer"] for name, frame in scores.items()}
    whole = pd.concat(single.values())
    tasks, best = order_tasks(whole), whole.groupby("task")["value"].max()
    majority = whole.groupby("task")["majority"].max()
    names = {order: layer_names(frame) for order, frame in single.items()}
    n_rows, n_columns = -(-len(single) // _BESIDE), min(_BESIDE, len(single))
    height = 1.6 + n_rows * (0.7 + 0.17 * max(map(len, names.values())))
    figure = Figure(figsize=(PAGE_INCHES * (0.4 + 0.2 * n_columns), min(9.5, height)))
    panels = figure.subplots(n_rows, n_columns, squeeze=False)
    width = (figure.get_figwidth() / n_columns - 0.6) / len(tasks)
    for axes, (order, frame) in zip(panels.flat, single.items(), strict=False):
        table = by_layer(frame, tasks, "value")
        noise = by_layer(frame.assign(noise=is_noise(frame).astype(float)), tasks, "noise") == 1
        colours = scale_between(table, majority.reindex(tasks), best.reindex(tasks))
        draw_cells(axes, colours, fit_percent(table, width), 1.0, noise)
        draw_separators(axes, group_spans(frame, tasks))
        label_layers(axes, list(names[order].values()))
        label_tasks(axes, [title_of(task) for task in tasks], width)
        axes.set_title(order)
    for axes in panels.flat[len(single) :]:
        axes.set_visible(False)
    draw_bar(figure, panels.flat[0], panels.ravel().tolist(), "0: the task's majority, 1: the best score of any order")
    if is_noise(whole).any():
        figure.legend(handles=[NOISE_PATCH], loc="outside lower center")
    set_title(figure, f"{title}: accuracy x 100 on test, by sub-layer" if title else "Accuracy x 100, by sub-layer")
    return figure
