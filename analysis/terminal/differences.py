"""Two runs side by side: their paired differences as a table on the screen, and saved."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.figures.differences import plot_differences
from analysis.figures.files import render
from analysis.runs.files import replace_file
from analysis.runs.probing_run import load_run
from analysis.stats.between_runs import compare_runs


def show_differences(first: Path, second: Path, tasks: Sequence[str], output: Path | None, seed: int = 0) -> int:
    """Print the comparison, and save it where it is asked for.

    Returns:
        How many scores fell significantly.

    Raises:
        InputError: as `analysis.runs.probing_run.load_run` and `analysis.stats.between_runs.compare_runs`.
    """
    runs = [load_run(folder) for folder in (first, second)]
    pairs = compare_runs(*runs, tasks=tasks, seed=seed)
    names = [run.name if runs[0].name != runs[1].name else str(run.folder) for run in runs]
    Console().print(draw_differences(pairs, names[0], names[1]))
    if output is not None:
        save_differences(pairs, names[0], names[1], output)
    return int((pairs["significant"] & (pairs["difference"] < 0)).sum())


def save_differences(pairs: pd.DataFrame, first: str, second: str, folder: Path) -> None:
    """Write `differences` as CSV, PNG and PDF; the figure is drawn before anything is written."""
    figure = plot_differences(pairs, first, second)
    contents = {f"differences.{form}": render(figure, form) for form in ("png", "pdf")}
    contents["differences.csv"] = pairs.to_csv(index=False, lineterminator="\n").encode()
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        replace_file(folder / name, content)


def draw_differences(pairs: pd.DataFrame, first: str, second: str) -> Table:
    """The comparison for `rich`: a star on a significant difference, an arrow on one that fell.

    Args:
        pairs: from `analysis.stats.between_runs.compare_runs`.
        first: name of the run to compare with.
        second: name of the run in question.
    """
    caption = "Points on test. [ ]: 95 % paired bootstrap. *: significant (McNemar, Holm over all rows, p < 0.05)."
    drawn = Table(title=Text(f"{second} minus {first}"), caption=Text(caption), box=box.SIMPLE_HEAD, show_edge=False)
    drawn.caption_justify = "left"
    for head in ("Task", "What", "First", "Second", "Difference", "95 % interval", "p (Holm)"):
        drawn.add_column(head, justify="left" if head in ("Task", "What") else "right", no_wrap=True)
    for row in pairs.to_dict("records"):
        drawn.add_row(*map(Text, _cells(row)), style="bold" if row["significant"] else "")
    return drawn


def _cells(row: dict) -> list[str]:
    fell = row["significant"] and row["difference"] < 0
    mark = " fell*" if fell else "*" if row["significant"] else ""
    interval = f"[{100 * row['ci_low']:+.1f}, {100 * row['ci_high']:+.1f}]"
    scores = [f"{100 * row[name]:.1f}" for name in ("first", "second")]
    return [
        row["title"],
        row["contender"],
        *scores,
        f"{100 * row['difference']:+.1f}{mark}",
        interval,
        f"{row['p_holm']:.3f}",
    ]
