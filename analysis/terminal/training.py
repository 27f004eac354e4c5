"""A finished training run on the screen: its table and its figures."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from rich.table import Table

from analysis.figures.baselines import list_shares, plot_baselines
from analysis.figures.files import write_figures
from analysis.figures.training import (
    LABELS,
    plot_gradients_by_depth,
    plot_layers_by_step,
    plot_pruning,
    plot_training,
)
from analysis.runs.frames import title_of
from analysis.runs.search_run import has_search
from analysis.runs.training_run import TrainingRun, load_training, stack_logs, stack_models
from analysis.stats.pruning import summarise_pruning
from analysis.tables.arms import tabulate_arms
from analysis.tables.augmentation import tabulate_augmentation
from analysis.tables.baselines import NOTE, baselines_table
from analysis.tables.table import table_of
from analysis.tables.training import CONVERGENCE_NOTE, convergence_table, pruning_table, seeds_table
from analysis.terminal.search import show_search
from analysis.terminal.tables import draw, open_console, print_table

_LEFT = ("Method", "Aim", "Seed", "Split", "Metric")
_LEFT_OF_ARMS = ("Of", "Difference", "Classifier", "Arm", "Way", "Sentence", "In place of")
_SHOWN = ["Method", "Aim", "Zeros", "Score", "Lowest", "Diverged", "Others"]
"""Columns of the table of pruning that fit a narrow screen."""

_MOST_LETTERS = 10
"""Longer names of models do not stand at the head of a column."""


def show_training(folder: Path) -> None:
    """Save the figures of a finished training run in its folder, then print its table.

    Raises:
        InputError: as `analysis.runs.training_run.load_training`.
    """
    run = load_training(folder)
    write_figures(draw_training_figures(run), folder / "figures")
    console = open_console()
    pruned = run.pruned
    if has_search(folder):
        show_search(folder)
        console.print(f"log, models and figures: {folder}", markup=False, highlight=False, soft_wrap=True)
        return
    rows = pruning_table(summarise_pruning(run.scores))[_SHOWN] if pruned else seeds_table(run)
    print_table(console, draw_rows(rows, describe(run), _NOTES[pruned]))
    compared = baselines_table(run)
    if len(compared):
        print_table(console, draw_rows(compared, f"{describe(run)}, beside baselines", NOTE))
    for table in (tabulate_augmentation(run) | tabulate_arms(run)).values():
        print_table(console, draw(table, _LEFT_OF_ARMS))
    console.print(f"log, models and figures: {folder}", markup=False, highlight=False, soft_wrap=True)


def print_convergence(table: pd.DataFrame, baseline: str, other: str, run: TrainingRun) -> None:
    """Print how fast two models reach the baseline's final dev score.

    Args:
        table: from `analysis.convergence.compare_convergence`.
        baseline: what to call the baseline.
        other: what to call the other model.
        run: the baseline's.
    """
    title = f"{title_of(run.task)}: steps to a share of the final dev {run.metric} of {baseline}, and of {other} to it"
    short = (baseline, other) if max(len(baseline), len(other)) <= _MOST_LETTERS else ("first", "second")
    print_table(open_console(), draw_rows(convergence_table(table, *short), title, CONVERGENCE_NOTE))


def draw_training_figures(run: TrainingRun) -> Mapping[str, Figure]:
    """File stem -> figure, all that the run has data for; a pruning run has one figure of training per method."""
    logs = stack_logs([run])
    figures: dict[str, Figure] = {}
    for method, own in logs.groupby("method", sort=False):
        end = f"_{method}" if method else ""
        figures[f"training{end}"] = plot_training(own, run.metric)
        if (own["quantity"] == "gradient_norm").any():
            figures[f"gradients_by_depth{end}"] = plot_gradients_by_depth(own)
        for quantity in dict.fromkeys(own["quantity"]):
            if quantity in LABELS:
                figures[f"{quantity}_by_step{end}"] = plot_layers_by_step(own, str(quantity))
    if len(list_shares(run)):
        figures["baselines"] = plot_baselines(run)
    if run.pruned:
        figures["pruning"] = plot_pruning(stack_models([run]))
    return figures


def describe(run: TrainingRun) -> str:
    """Describe what was trained on what, in a few words."""
    checkpoint = str(run.models["checkpoint"].iloc[0]).rstrip("/").rsplit("/", 1)[-1]
    return f"{run.model} from {checkpoint} on {title_of(run.task)}: {run.metric} x 100"


def draw_rows(rows: pd.DataFrame, title: str, note: str) -> Table:
    """A frame of strings for `rich`; the mean over seeds is set off."""
    folded = [head.replace(" ", "\n", 1) if head.startswith(("Steps", "Seeds")) else head for head in map(str, rows)]
    return draw(replace(table_of(rows, note), heads=folded, title=title), _LEFT)


_NOTES = {
    False: "±: standard deviation over seeds. Diverged: dev score at or below majority + 1 point, or no number.",
    True: "Score: mean over seeds on dev, ±: standard deviation. Aim, Zeros: percent of the weights in the encoder's "
    "linear layers. Diverged: at or below majority + 1 point, or no number. Others: mean without those.",
}
