"""Orders of sub-layers beside one another on the screen, and saved: tables and figure."""

from collections.abc import Sequence
from pathlib import Path

from analysis.figures.files import write_figures
from analysis.figures.orders import plot_orders
from analysis.runs.frames import mean_scores
from analysis.runs.orders_run import load_orders
from analysis.tables.formats import to_csv
from analysis.tables.orders import tabulate_probed, tabulate_trained
from analysis.tables.table import frame_of
from analysis.terminal.tables import draw, open_console, print_table
from probing.atomic_files import check_writable, write_atomically


def show_orders(training: Path, probed: Sequence[Path], output: Path | None = None) -> None:
    """Save the tables (CSV) and the figure of a set of orders, then print the tables.

    Args:
        training: folder of the run that trained them.
        probed: folders of the runs that probed them.
        output: where files go; None: `figures` of the training run.

    Raises:
        InputError: as `analysis.runs.orders_run.load_orders`.
    """
    place = output or training / "figures"
    check_writable(place)
    orders = load_orders(training, probed)
    tables = {
        "orders_trained": tabulate_trained(orders, "Orders of sub-layers, as they were trained"),
        "orders_probed": tabulate_probed(orders, "Best sub-layer of each order"),
    }
    figure = plot_orders({order.name: mean_scores(order.run.scores) for order in orders}, "Orders of sub-layers")
    write_figures({"orders_by_layer": figure}, place)
    for name, table in tables.items():
        write_atomically(place / f"{name}.csv", to_csv(frame_of(table)).encode())
    console = open_console()
    for table in tables.values():
        print_table(console, draw(table, ("Task", "Order", "Pattern")))
    console.print(f"tables and figure: {place}", markup=False, highlight=False, soft_wrap=True)
