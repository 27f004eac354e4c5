"""A sweep on the screen, and saved: tables as CSV, the specification curve."""

from pathlib import Path

import pandas as pd

from analysis.figures.files import write_figures
from analysis.figures.specification import plot_specifications
from analysis.report.build import save_report
from analysis.runs.sweep import load_sweep
from analysis.stats.sweep import conclude, correlate_runs, list_layers, specify, summarise_runs
from analysis.tables.sweep import tabulate_correlations, tabulate_runs
from analysis.terminal.tables import draw, open_console, print_table
from probing.atomic_files import to_csv, write_atomically


def show_sweep(folder: Path) -> None:
    """Save the tables, the figure and the page of a sweep in its folder, then print the tables.

    Raises:
        InputError: as `analysis.runs.sweep.load_sweep`.
    """
    sweep = load_sweep(folder)
    layers, summary, specifications = list_layers(sweep), summarise_runs(sweep), specify(sweep)
    correlations = correlate_runs(layers, summary)
    tables: dict[str, pd.DataFrame] = {"layers": layers, "summary": summary, "correlations": correlations}
    for name, frame in (tables | {"specifications": specifications}).items():
        write_atomically(folder / f"{name}.csv", to_csv(frame))
    if len(specifications):
        write_figures({"specifications": plot_specifications(specifications, sweep.varied)}, folder)
    page = save_report(folder)
    console = open_console()
    for table in (tabulate_runs(summary, specifications, sweep.varied), tabulate_correlations(correlations)):
        if table.rows:
            print_table(console, draw(table, ("Run", "First", "Second", "What", *sweep.varied)))
    for line in conclude(specifications) if len(specifications) else ():
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if sweep.missing:
        console.print(f"not finished: {', '.join(sweep.missing)}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"tables and specification curve: {folder}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"report: {page}", markup=False, highlight=False, soft_wrap=True)
