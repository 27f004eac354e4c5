"""The figures of a run. Each function takes tidy frames and returns a `Figure`; none shows, saves or keeps state."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from analysis.figures.amnesia import plot_losses, plot_recovery
from analysis.figures.by_layer import plot_code_length, plot_gradients, plot_selectivity
from analysis.figures.curves import plot_curves
from analysis.figures.depth import plot_depth
from analysis.figures.dumbbell import plot_dumbbell
from analysis.figures.erasure import plot_erasure, plot_erasure_layers
from analysis.figures.heatmaps import plot_scores, plot_weights
from analysis.runs.choosing import name_model
from analysis.runs.frames import list_unconverged, mean_scores, mean_weights
from analysis.runs.probing_run import Run
from analysis.stats.amnesia import list_losses
from analysis.stats.depth import summarise_depth
from analysis.stats.erasure import list_erasures
from analysis.stats.summary import summarise
from analysis.stats.within_run import compare_all
from probing.catalogue.controls import DIFFERENCES

__all__ = [
    "draw_figures",
    "plot_code_length",
    "plot_curves",
    "plot_depth",
    "plot_dumbbell",
    "plot_erasure",
    "plot_erasure_layers",
    "plot_gradients",
    "plot_losses",
    "plot_recovery",
    "plot_scores",
    "plot_selectivity",
    "plot_weights",
]


def draw_figures(run: Run, seed: int = 0) -> Mapping[str, Figure]:
    """File stem -> figure, all that the run has data for: without a mix there are no weights to draw, and so on.

    Raises:
        InputError: the run has no scores, or a task lacks a layer that others have.
    """
    title = describe(run)
    scores, weights = mean_scores(run.scores), mean_weights(run.weights)
    figures: dict[str, Figure] = {
        "scores_by_layer": plot_scores(scores, title),
        "curves_by_layer": plot_curves(scores, title),
        "last_best_mix": plot_dumbbell(summarise(run), compare_all(run), title),
    }
    if len(weights):
        figures["mix_weights"] = plot_weights(weights, title, list_unconverged(run.scores))
        figures["depth"] = plot_depth(summarise_depth(run, seed), title)
    if run.scores["metric"].isin(DIFFERENCES).any():
        figures["above_controls"] = plot_selectivity(run.scores, title)
    if (run.scores["metric"] == "compression").any():
        figures["code_length"] = plot_code_length(run.scores, title)
    if len(erasures := list_erasures(run)):
        figures["erasure"] = plot_erasure(erasures, summarise(run), title)
        figures["erasure_by_layer"] = plot_erasure_layers(erasures, title)
    if len(run.amnesia):
        losses = list_losses(run.amnesia)
        figures["amnesia"] = plot_recovery(losses, title)
        figures["amnesia_curves"] = plot_losses(run.amnesia, losses, title)
    for quantity in dict.fromkeys(run.gradients["quantity"]):
        figures[f"gradients_{quantity}"] = plot_gradients(run.gradients, str(quantity), title)
    return figures


def describe(run: Run) -> str:
    """Model and checkpoint in a few words, for a figure's title."""
    return name_model(run)
