"""Tables as a terminal draws them."""

import os

from rich import box
from rich import table as rich_table
from rich.console import Console
from rich.measure import Measurement
from rich.text import Text

from analysis.tables.table import Table

_LEAST_WIDTH = 80
_FULL_WIDTH = 200
"""Of output that goes to no terminal."""
_ANY_WIDTH = 10_000


def open_console() -> Console:
    """A console wide enough for the tables: cut numbers are worse than folded lines.

    Where the output is no terminal, and COLUMNS says nothing, tables are whole.
    """
    console = Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        return Console(width=_FULL_WIDTH)
    return Console(width=max(console.width, _LEAST_WIDTH))


def print_table(console: Console, table: rich_table.Table) -> None:
    """Print a table as wide as its columns are, if need be wider than the terminal."""
    needed = Measurement.get(console, console.options.update(max_width=_ANY_WIDTH), table).maximum
    usual, console.width = console.width, max(console.width, needed)
    console.print(table)
    console.width = usual


def start_table(title: str, note: str) -> rich_table.Table:
    """A table without columns, with a title above it and a note below; neither is read as markup."""
    drawn = rich_table.Table(
        title=Text(title) if title else None, caption=Text(note), box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False
    )
    drawn.caption_justify = "left"
    drawn.padding = (0, 1, 0, 0)
    return drawn


def draw(table: Table, left: tuple[str, ...] = ("Task", "Readout", "Best", "What", "Erased")) -> rich_table.Table:
    """A table for `rich`, in bold what is set off.

    Args:
        table: the strings.
        left: heads of the columns that are words; all others end at their right.
    """
    drawn = start_table(table.title, table.caption)
    for head in table.heads:
        drawn.add_column(Text(head), justify="left" if head in left else "right", no_wrap=True)
    for number, row in enumerate(table.rows):
        drawn.add_row(*map(Text, row), style="bold" if number in table.strong else "")
    return drawn
