"""Layers of two encoders side by side on the screen, and saved: likeness, and change by depth beside gradients."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.change import plot_change, plot_pairs
from analysis.figures.files import render
from analysis.runs.frames import title_of
from analysis.runs.training_run import TrainingRun
from analysis.stats.change_by_depth import correlate_change, explain_change, match_gradients
from analysis.tables.change import tabulate_change, tabulate_correlations, tabulate_nearest
from analysis.terminal.tables import draw, open_console, print_table
from analysis.terminal.training import describe
from probing.atomic_files import to_csv, write_atomically
from probing.records import InputError
from probing.tables import LayerChange, LayerSimilarity, column_names

_LEFT = ("Task", "Layer", "What", "Against")
"""Heads of columns that are words."""


def show_similarity(similarities: Sequence[LayerSimilarity], output: Path | None = None) -> None:
    """Print, for each layer of one encoder, the nearest layer of the other; save all pairs where it is asked for.

    Raises:
        InputError: no layer of either says different things of different sentences.
    """
    frame = pd.DataFrame([asdict(one) for one in similarities], columns=column_names(LayerSimilarity))
    if frame.empty:
        raise InputError("no layer has a likeness: all vectors of each are equal")
    first = frame.iloc[0]
    title = f"{_shorten(first['checkpoint'])} and {_shorten(first['other_checkpoint'])}"
    if output is not None:
        _save(output, {"layer_similarity": frame}, {"layers_alike": plot_pairs(frame, title)})
    console = open_console()
    for task, own in frame.groupby("task", sort=False):
        print_table(console, draw(tabulate_nearest(own, f"{title} on {title_of(str(task))}"), _LEFT))


def show_change(
    training: TrainingRun,
    similarities: Mapping[str, Sequence[LayerSimilarity]],
    changes: Mapping[str, Sequence[LayerChange]],
    output: Path | None = None,
) -> None:
    """Print how far the layers of trained models lie from their start, beside gradient norms; save it where asked for.

    Args:
        training: the run that left the models.
        similarities: of start and end, by the folder of the model.
        changes: of weights, likewise.
        output: folder for tables and figures.
    """
    alike = pd.DataFrame([asdict(row) | {"trained": name} for name, rows in similarities.items() for row in rows])
    moved = pd.DataFrame([asdict(row) | {"trained": name} for name, rows in changes.items() for row in rows])
    frame = match_gradients(training, alike, moved)
    found = correlate_change(frame)
    title = f"{training.model} on {title_of(training.task)}: change by depth"
    if output is not None:
        tables = {"layer_similarity": alike, "layer_change": moved, "change_by_depth": frame, "correlations": found}
        _save(output, tables, {"change_by_depth": plot_change(frame, title)})
    console = open_console()
    for sentence in explain_change(found):
        console.print(f"* {sentence}", markup=False, highlight=False)
    console.print(describe(training).split(":")[0], markup=False, highlight=False)
    print_table(console, draw(tabulate_change(frame), _LEFT))
    if len(found):
        print_table(console, draw(tabulate_correlations(found), _LEFT))
    if output is not None:
        console.print(f"tables and figures: {output}", markup=False, soft_wrap=True)


def _shorten(checkpoint: object) -> str:
    return str(checkpoint).rstrip("/").rsplit("/", 1)[-1]


def _save(folder: Path, tables: Mapping[str, pd.DataFrame], figures: Mapping[str, Figure]) -> None:
    """Write each table as CSV and parquet and each figure as PNG and PDF; all are made before the first is written."""
    contents = {}
    for name, frame in tables.items():
        contents[folder / f"{name}.csv"] = to_csv(frame)
        contents[folder / f"{name}.parquet"] = frame.to_parquet(index=False)
    contents |= {folder / name: content for name, content in render(figures).items()}
    for path, content in contents.items():
        write_atomically(path, content)
