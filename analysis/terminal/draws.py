"""Several encoders of one procedure on the screen, and saved: tables, figures and a page."""

from pathlib import Path

from analysis.figures.draws import draw_draws
from analysis.figures.files import write_figures
from analysis.report.build import save_report
from analysis.report.draws_answer import answer_draws
from analysis.runs.draws_run import load_draws
from analysis.stats.between_encoders import summarise_between
from analysis.tables.draws import tabulate_draws
from analysis.terminal.tables import draw, open_console, print_table
from probing.atomic_files import to_csv, write_atomically


def show_draws(folder: Path, *, report: bool = True) -> None:
    """Save the rows between encoders and the figures in the folder of all, then print the main table.

    Args:
        folder: of the run.
        report: whether to write the pages: that of all, and each encoder's own.

    Raises:
        InputError: as `analysis.runs.draws_run.load_draws`.
    """
    draws = load_draws(folder)
    rows = summarise_between(draws)
    write_atomically(folder / "encoders.parquet", rows.to_parquet(index=False))
    write_atomically(folder / "encoders.csv", to_csv(rows))
    write_figures(draw_draws(draws, rows), folder / "figures")
    if report:
        for run in draws.runs.values():
            save_report(run.folder)
        save_report(folder)
    console = open_console()
    for sentence in answer_draws(rows):
        console.print(sentence, markup=False, highlight=False)
    first = next(iter(draws.runs.values()))
    title = (
        f"{first.scores['model'].iloc[0]}, {len(draws.runs)} encoders ({', '.join(draws.names)}): score x 100 on test"
    )
    print_table(console, draw(tabulate_draws(rows, title), ("Task", "Encoder", "At")))
    console.print(f"tables and figures: {folder}", markup=False, highlight=False, soft_wrap=True)
