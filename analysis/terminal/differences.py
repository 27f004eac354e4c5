"""Two runs side by side: their paired differences as a table on the screen, and saved."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from rich.text import Text

from analysis.figures.differences import plot_differences
from analysis.figures.files import render
from analysis.runs.probing_run import check_different, load_run
from analysis.stats.between_runs import compare_runs, describe_limits
from analysis.tables.scores import narrow_pairs
from analysis.terminal.tables import draw, open_console, print_table
from probing.atomic_files import check_writable, to_csv, write_atomically


def show_differences(first: Path, second: Path, choices: Mapping[str, Any], output: Path | None) -> int:
    """Print the comparison, and save it where it is asked for.

    Args:
        first: run folder to compare with.
        second: run folder in question.
        choices: of `analysis.stats.between_runs.compare_runs`: tasks and margin.
        output: folder for the figure and the differences.

    Returns:
        How many scores fell significantly.

    Raises:
        InputError: both are one run; or as `analysis.runs.probing_run.load_run` and
            `analysis.stats.between_runs.compare_runs`.
    """
    if output is not None:
        check_writable(output)
    runs = [load_run(folder) for folder in (first, second)]
    check_different(first, second)
    pairs = compare_runs(runs[0], runs[1], **choices)
    names = [run.name if runs[0].name != runs[1].name else str(run.folder) for run in runs]
    if output is not None:
        save_differences(pairs, names[0], names[1], output)
    console = open_console()
    print_table(console, draw(narrow_pairs(pairs, names[0], names[1])))
    for line in describe_limits(runs[0], runs[1], pairs, choices.get("tasks", ())):
        console.print(Text(line))
    return int((pairs["significant"] & (pairs["difference"] < 0)).sum())


def save_differences(pairs: pd.DataFrame, first: str, second: str, folder: Path) -> None:
    """Write `differences` as CSV, PNG and PDF; the figure is drawn before anything is written."""
    figure = plot_differences(pairs, first, second)
    contents = render({"differences": figure}) | {"differences.csv": to_csv(pairs)}
    for name, content in contents.items():
        write_atomically(folder / name, content)
