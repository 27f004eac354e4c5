"""Figures of several encoders of one procedure: those of one run, their numbers being means between encoders."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.curves import plot_curves
from analysis.figures.heatmaps import plot_scores
from analysis.runs.draws_run import Draws
from analysis.runs.frames import mean_scores
from analysis.stats.between_encoders import BETWEEN


def frame_between(draws: Draws, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of layers and mixes between encoders, with the columns of `analysis.runs.frames.mean_scores`.

    Args:
        draws: whose layers.
        rows: from `analysis.stats.between_encoders.summarise_between`.
    """
    own = rows[(rows["kind"] == "layer") & (rows["encoder"] == BETWEEN)]
    first = mean_scores(next(iter(draws.runs.values())).scores)
    keys = ["task", "representation", "layer"]
    means = own.rename(columns={"readout": "representation", "low": "ci_low", "high": "ci_high"})
    means = means.assign(layer=means["layer"].astype(int))[[*keys, "value", "ci_low", "ci_high"]]
    return first.drop(columns=["value", "ci_low", "ci_high"]).merge(means, on=keys)


def draw_draws(draws: Draws, rows: pd.DataFrame) -> Mapping[str, Figure]:
    """File stem -> figure: scores by layer between encoders, as a heatmap and as curves."""
    frame, title = frame_between(draws, rows), f"mean of {len(draws.runs)} encoders"
    return {"scores_by_layer": plot_scores(frame, title), "curves_by_layer": plot_curves(frame, title)}
