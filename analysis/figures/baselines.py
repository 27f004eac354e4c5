"""Figure of a trained model beside its baselines: a row per metric, a mark per answer."""

from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.style import COLUMN_INCHES, LINE_STYLES, set_title, styled
from analysis.runs.frames import title_of
from analysis.runs.training_run import TrainingRun
from analysis.stats.baselines import RANK, summarise_answers
from probing.records import InputError

_HIGHEST = 8.5
"""Inches."""
_SPREAD = 0.6
"""Share of a row's height that its marks are spread over."""


@styled
def plot_baselines(run: TrainingRun, split: str = "test") -> Figure:
    """Every metric that is a share, of the models and of each baseline, with 95 % intervals; ranks stand in the table.

    Args:
        run: with baselines.
        split: whose scores.

    Raises:
        InputError: the run has no baselines.
    """
    rows = list_shares(run, split)
    if rows.empty:
        raise InputError(f"{run.folder}: has no scores of baselines on {split} to draw")
    metrics, answers = (list(dict.fromkeys(rows[name])) for name in ("metric", "answer"))
    figure = Figure(figsize=(COLUMN_INCHES, min(_HIGHEST, 1.0 + (0.1 + 0.07 * len(answers)) * len(metrics))))
    axes = figure.subplots()
    places = np.linspace(-_SPREAD / 2, _SPREAD / 2, len(answers)) if len(answers) > 1 else [0.0]
    for answer, place, (colour, mark, _) in zip(answers, places, cycle(LINE_STYLES), strict=False):
        own = rows[rows["answer"] == answer]
        heights = [metrics.index(metric) + place for metric in own["metric"]]
        axes.hlines(heights, 100 * own["ci_low"], 100 * own["ci_high"], color=colour, linewidth=1)
        axes.plot(100 * own["value"], heights, color=colour, marker=mark, markersize=3, linestyle="", label=answer)
    axes.set_yticks(range(len(metrics)), [label_metric(metric) for metric in metrics])
    axes.set_ylim(len(metrics) - 0.5, -0.5)
    axes.set_xlabel(f"x 100 on {split}, 95 % interval")
    axes.grid(axis="x")
    figure.legend(loc="outside lower center", ncols=3)
    set_title(figure, title_of(run.task))
    return figure


def list_shares(run: TrainingRun, split: str = "test") -> pd.DataFrame:
    """The rows of `summarise_answers` that are shares, in [0, 1]."""
    rows = summarise_answers(run, split)
    return rows[~rows["metric"].str.startswith(RANK)] if len(rows) else rows


def label_metric(metric: str) -> str:
    """A metric's name for a reader: `accuracy[part of]` is that of one relation."""
    name, _, part = metric.removesuffix("]").partition("[")
    return part if part else name.replace("_relation_thresholds", ", own borders").replace("_", " ")
