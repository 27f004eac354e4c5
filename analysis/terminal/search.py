"""A finished search of orders on the screen: its tables, and files of them."""

from pathlib import Path

from analysis.figures.files import write_figures
from analysis.figures.search import plot_search
from analysis.runs.frames import title_of
from analysis.runs.search_run import load_search
from analysis.stats.search import answer_questions, best_so_far, measure_agreement, summarise_orders
from analysis.tables.search import tabulate_answers, tabulate_orders
from analysis.terminal.tables import draw, open_console, print_table
from probing.atomic_files import to_csv, write_atomically


def show_search(folder: Path, output: Path | None = None) -> None:
    """Save the tables (CSV) and the figure of a search, then print its answers.

    Args:
        folder: of the run.
        output: where files go; None: the run's own `figures`.

    Raises:
        InputError: as `analysis.runs.search_run.load_search`.
    """
    run = load_search(folder)
    orders, answers = summarise_orders(run.answers, run.orders), answer_questions(run.answers)
    agreement = measure_agreement(orders)
    title = f"Orders of sub-layers on {title_of(run.training.task)}: masked accuracy x 100"
    place = output or folder / "figures"
    write_figures({"search": plot_search(orders, best_so_far(run.candidates), agreement)}, place)
    write_atomically(place / "orders.csv", to_csv(orders))
    write_atomically(place / "answers.csv", to_csv(answers))
    console = open_console()
    print_table(console, draw(tabulate_orders(orders, title), ("Order", "Pattern")))
    print_table(console, draw(tabulate_answers(answers, agreement, "Answers"), ("Question",)))
