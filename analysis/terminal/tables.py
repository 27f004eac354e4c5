"""Tables as a terminal draws them."""

from rich import box
from rich import table as rich_table
from rich.text import Text

from analysis.tables.table import Table


def start_table(title: str, note: str) -> rich_table.Table:
    """A table without columns, with a title above it and a note below; neither is read as markup."""
    drawn = rich_table.Table(
        title=Text(title) if title else None, caption=Text(note), box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False
    )
    drawn.caption_justify = "left"
    drawn.padding = (0, 1, 0, 0)
    return drawn


def draw(table: Table, left: tuple[str, ...] = ("Task", "Readout", "Best", "What")) -> rich_table.Table:
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
