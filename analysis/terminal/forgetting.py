"""Students held against their teacher on the screen, and saved: tables, figures and a page."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from analysis.figures.files import render
from analysis.figures.forgetting import plot_losses, plot_mixes
from analysis.report.forgetting import NAME, build_page
from analysis.report.forgetting_answer import answer_forgetting, explain_teacher
from analysis.runs.probing_run import load_run, load_runs
from analysis.stats.of_students import Forgetting, hold_against
from analysis.tables.forgetting import tabulate_encoders, tabulate_losses, tabulate_moves, tabulate_order
from analysis.terminal.tables import draw, open_console, print_table
from probing.atomic_files import check_writable, to_csv, write_atomically

_WORDS = ("Task", "Student", "What", "Encoder", "Group", "Tasks", "Trained by", "Verdict", "Order")
"""Heads of columns that are words."""


def show_forgetting(
    teacher: Path, students: Sequence[Path], tasks: Sequence[str] = (), output: Path | None = None, seed: int = 0
) -> None:
    """Print what students have forgotten, sentences first, and save it where it is asked for.

    Raises:
        InputError: as `analysis.runs.probing_run.load_run` and `analysis.stats.of_students.hold_against`.
    """
    if output is not None:
        check_writable(output)
    found = hold_against(load_run(teacher), load_runs(students), tasks, seed)
    if output is not None:
        save_forgetting(found, output)
    console = open_console()
    _print_sentences(console, [*answer_forgetting(found), *explain_teacher(found.lineages)])
    for table in (
        tabulate_encoders(found.encoders), tabulate_losses(found.losses), tabulate_moves(found.moves),
        tabulate_order(found.order),
    ):  # fmt: skip
        if table.rows:
            print_table(console, draw(table, _WORDS))
    if output is not None:
        console.print(f"page, tables and figures: {output}", markup=False, soft_wrap=True)


def save_forgetting(found: Forgetting, folder: Path) -> list[Path]:
    """Write the page, each table as CSV and parquet, and the figures; all are made before the first is written.

    Returns:
        The files, the page first.
    """
    contents = {folder / NAME: build_page(found).encode("utf-8")}
    tables = {"losses": found.losses, "order": found.order, "encoders": found.encoders}
    figures = {"losses_by_depth": plot_losses(found.losses, found.teacher.name)}
    if len(found.mixes):
        tables |= {"mixes": found.mixes, "moves": found.moves}
        figures |= {f"mix_{column}s": plot_mixes(found.mixes, column) for column in ("weight", "contribution")}
    for name, frame in tables.items():
        contents[folder / f"{name}.csv"] = to_csv(frame)
        contents[folder / f"{name}.parquet"] = frame.to_parquet(index=False)
    contents |= {folder / name: content for name, content in render(figures).items()}
    for path, content in contents.items():
        write_atomically(path, content)
    return list(contents)


def _print_sentences(console: Console, sentences: Sequence[str]) -> None:
    for sentence in sentences:
        console.print(f"* {sentence}", markup=False, highlight=False)
    console.print()
