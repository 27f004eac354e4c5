"""Figures of two runs side by side, and of their paired differences."""

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.heatmaps import CELL_POINTS, NOISE_PATCH, by_layer, draw_cells, is_noise
from analysis.figures.style import COLOURS, COLUMN_INCHES, MARKERS, OFFSETS, PAGE_INCHES, set_title, styled
from analysis.runs.frames import layer_names
from probing.records import InputError

DIVERGING = "PuOr_r"
"""Purple below 0, orange above: told apart with any colour vision."""


@styled
def plot_differences(pairs: pd.DataFrame, first: str, second: str) -> Figure:
    """Second minus first per task, for the last layer, the best one and the mix; filled where significant.

    Args:
        pairs: from `analysis.stats.between_runs.compare_runs`.
        first: name of the run to compare with.
        second: name of the run in question.
    """
    titles = list(dict.fromkeys(pairs["title"]))
    figure = Figure(figsize=(COLUMN_INCHES, min(9.0, 1.2 + 0.33 * len(titles))))
    axes = figure.subplots()
    for contender, rows in pairs.groupby("contender", sort=False):
        _draw_contender(axes, str(contender), rows, titles)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(titles)), titles)
    axes.invert_yaxis()
    axes.set_xlabel("difference in points, paired 95 % interval\n(filled: significant, McNemar with Holm)")
    axes.grid(axis="x")
    figure.legend(loc="outside lower center", ncols=3)
    set_title(figure, f"{second} minus {first}")
    return figure


@styled
def plot_models(first: pd.DataFrame, second: pd.DataFrame, names: tuple[str, str]) -> Figure:
    """Two models side by side by layer, and the second minus the first.

    Args:
        first: from `analysis.runs.frames.mean_scores`.
        second: likewise, with the same layers.
        names: of the two.

    Raises:
        InputError: they have no task in common, or not the same layers.
    """
    layers = [list(layer_names(frame)) for frame in (first, second)]
    tasks = [task for task in dict.fromkeys(first["task"]) if task in set(second["task"])]
    if layers[0] != layers[1] or not tasks:
        counts = " and ".join(f"{len(known)} layers" for known in layers)
        raise InputError(
            f"side by side: expected the same layers and a task in common, got {counts}, {len(tasks)} tasks"
        )
    one, other = (by_layer(frame[frame["representation"] == "layer"], tasks, "value") for frame in (first, second))
    difference = other - one
    figure = Figure(figsize=(PAGE_INCHES, 1.1 + 0.19 * max(6, len(one))))
    # Half as much again as the largest difference, so that black ink stands out on every colour.
    top, most = max(one.to_numpy().max(), other.to_numpy().max()), 1.5 * float(np.abs(difference.to_numpy()).max())
    panels = figure.subplots(1, 3, sharey=True)
    titles = dict(zip(first["task"], first["title"], strict=True))
    shown_as_noise = [_pivot_noise(frame, tasks) for frame in (first, second)]
    for axes, frame, name, noise in zip(panels[:2], (one, other), names, shown_as_noise, strict=True):
        draw_cells(axes, frame, _texts(frame, "{:z.0f}"), top, noise)
        axes.set_title(textwrap.fill(name, 34))
    sns.heatmap(
        difference, vmin=-most, vmax=most, cmap=DIVERGING, annot=_texts(difference, "{:+z.0f}"), fmt="", cbar=False,
        annot_kws={"size": CELL_POINTS, "color": "black"}, linewidths=0.5, xticklabels=False, ax=panels[2],
    )  # fmt: skip
    panels[2].set(title="second minus first", ylabel="")
    for axes in panels:
        axes.set_xticks(np.arange(len(tasks)) + 0.5, [titles[task] for task in tasks], rotation=90)
        axes.set_xlabel("")
    shown = list(reversed(list(layer_names(first).values())))
    panels[0].set_yticks(np.arange(len(shown)) + 0.5, shown, rotation=0)
    if any(noise.any(axis=None) for noise in shown_as_noise):
        figure.legend(handles=[NOISE_PATCH], loc="outside lower center")
    set_title(figure, "Score x 100 on test, by layer")
    return figure


def _draw_contender(axes: Axes, contender: str, rows: pd.DataFrame, titles: Sequence[str]) -> None:
    colour = COLOURS[contender]
    for number, row in enumerate(rows.to_dict("records")):
        place = titles.index(row["title"]) + OFFSETS[contender]
        axes.plot([100 * row["ci_low"], 100 * row["ci_high"]], [place, place], color=colour, linewidth=1)
        face, label = colour if row["significant"] else "white", contender if not number else None
        axes.plot([100 * row["difference"]], [place], MARKERS[contender], color=colour, mfc=face, ms=3.5, label=label)


def _pivot_noise(frame: pd.DataFrame, tasks: Sequence[str]) -> pd.DataFrame:
    layers = frame[frame["representation"] == "layer"]
    return by_layer(layers.assign(noise=is_noise(layers).astype(float)), tasks, "noise") == 1


def _texts(frame: pd.DataFrame, form: str) -> np.ndarray:
    return frame.map(lambda value: form.format(100 * value)).to_numpy()
