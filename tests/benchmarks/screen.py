"""The comparisons on the screen."""

from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tests.benchmarks.timing import Comparison

_WIDTH = 120


def show_machine(machine: dict[str, Any], console: Console) -> None:
    """One line, and a warning where the machine is busy."""
    load, cores = machine["machine"]["load_average"][0], machine["machine"]["cores"]
    torch = machine["versions"]["torch"]
    console.print(
        f"{machine['machine']['cpu']}, {machine['threads']} of {cores} cores, {machine['dtype']}, "
        f"backend {machine['backend']}, unit {machine['unit'] or 'none'}, torch {torch}, load {load:.1f}, "
        f"commit {machine['commit'][:9]}",
        style="dim", highlight=False, soft_wrap=True,
    )  # fmt: skip
    if load > cores / 4:
        console.print(
            "warning: the machine is busy with other things: rates are low, and ratios spread", style="yellow"
        )


def show_comparison(comparison: Comparison, console: Console) -> None:
    """A table, and below it the facts."""
    summary = comparison.summarise()
    counts = summary["ways"][comparison.reference]["rate"]["median"] >= 1
    speed = f"{comparison.unit}/s" if counts else f"s per {comparison.unit.removesuffix('s')}"
    table = Table(title=comparison.title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    table.add_column("")
    for name in (speed, "times as long", "quartiles of that", "rounds"):
        table.add_column(name, justify="right")
    for name, way in summary["ways"].items():
        rate, ratio = way["rate"]["median"], way["ratio"]
        spread = "(the measure)" if name == comparison.reference else f"{ratio['low']:.2f} to {ratio['high']:.2f}"
        speed = f"{rate if counts else 1 / rate:,.4g}"
        table.add_row(escape(name), speed, f"{ratio['median']:.2f}", spread, str(len(way["seconds"])))
    console.print(table)
    for name, value in comparison.facts.items():
        console.print(f"  {escape(name)}: {escape(tell(value))}", highlight=False, soft_wrap=True)


def open_console() -> Console:
    """Wide enough for the tables, on a terminal or in a file."""
    return Console(width=max(Console().width, _WIDTH))


def tell(value: Any) -> str:
    """A fact, short."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
