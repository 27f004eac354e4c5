"""The figures of a run. Each function takes tidy frames and returns a `Figure`; none shows, saves or keeps state."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from analysis.comparisons import compare_all
from analysis.curves import plot_curves
from analysis.dumbbell import plot_dumbbell
from analysis.frames import mean_scores, mean_weights
from analysis.heatmaps import plot_scores, plot_weights
from analysis.load import Run
from analysis.summary import summarise

__all__ = ["draw_figures", "plot_curves", "plot_dumbbell", "plot_scores", "plot_weights"]


def draw_figures(run: Run, seed: int = 0) -> Mapping[str, Figure]:
    """File stem -> figure, all that the run has data for: without a mix there are no weights to draw.

    Raises:
        InputError: the run has no scores, or a task lacks a layer that others have.
    """
    title = describe(run)
    scores, weights = mean_scores(run.scores), mean_weights(run.weights)
    figures = {
        "scores_by_layer": plot_scores(scores, title),
        "curves_by_layer": plot_curves(scores, title),
        "last_best_mix": plot_dumbbell(summarise(run), compare_all(run, seed), title),
    }
    return figures | ({"mix_weights": plot_weights(weights, title)} if len(weights) else {})


def describe(run: Run) -> str:
    """Model and checkpoint in a few words, for a figure's title."""
    first = run.scores[run.scores["representation"] != "none"].iloc[0]
    checkpoint = str(first["checkpoint"]).rstrip("/").rsplit("/", 1)[-1]
    # A dollar sign would start a formula.
    return f"{first['model']} on {checkpoint}".replace("$", r"\$")
