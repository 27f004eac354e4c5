"""The comparisons on the screen."""

from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tests.benchmarks.sizes import Rate
from tests.benchmarks.timing import Comparison

_WIDTH = 120


def show_machine(machine: dict[str, Any], rate: Rate, console: Console) -> None:
    """One line for the processor and one for its rate, and a warning where the machine is busy."""
    load, cores = machine["machine"]["load_average"][0], machine["machine"]["cores"]
    torch = machine["versions"]["torch"]
    lines = (
        f"{name_processor(machine)}, {machine['threads']} of {cores} cores, torch {torch}, load {load:.1f}, "
        f"commit {machine['commit'][:9]}",
        f"measured first: a plain product {rate.gflops:.0f} GFLOP/s (float32), the usual Hugging Face loop "
        f"{rate.sentences_per_s:.0f} sentences/s, a small scikit-learn fit {1000 * rate.fit_s:.0f} ms",
    )
    for line in lines:
        console.print(line, style="dim", highlight=False, soft_wrap=True)
    if load > cores / 4:
        console.print(
            "warning: the machine is busy with other things: rates are low, and ratios spread", style="yellow"
        )


def name_processor(machine: dict[str, Any]) -> str:
    """Processor, instruction sets of encoding and of probes, number format and backend: what a figure depends on."""
    units = f"{machine['unit'] or 'none'} (encoding), {machine['probe_unit'] or 'none'} (probes)"
    return f"{machine['machine']['cpu']}, instruction set {units}, {machine['dtype']}, backend {machine['backend']}"


def show_comparison(comparison: Comparison, console: Console, processor: str = "") -> None:
    """A table, headed by the processor that its figures are of, and below it the facts."""
    summary = comparison.summarise()
    counts = summary["ways"][comparison.reference]["rate"]["median"] >= 1
    speed = f"{comparison.unit}/s" if counts else f"s per {comparison.unit.removesuffix('s')}"
    table = Table(
        title=comparison.title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("")
    for name in (speed, "times as long", "quartiles of that", "rounds"):
        table.add_column(name, justify="right")
    for name, way in summary["ways"].items():
        rate, ratio = way["rate"]["median"], way["ratio"]
        spread = "(the measure)" if name == comparison.reference else f"{ratio['low']:.2f} to {ratio['high']:.2f}"
        speed = f"{rate if counts else 1 / rate:,.4g}"
        table.add_row(escape(name), speed, f"{ratio['median']:.2f}", spread, str(len(way["seconds"])))
    if processor:
        console.print(f"on {escape(processor)}:", style="dim", highlight=False, soft_wrap=True)
    console.print(table)
    for name, value in comparison.facts.items():
        console.print(f"  {escape(name)}: {escape(tell(value))}", highlight=False, soft_wrap=True)


def open_console() -> Console:
    """Wide enough for the tables, on a terminal or in a file."""
    return Console(width=max(Console().width, _WIDTH))


def tell(value: Any) -> str:
    """A fact, short."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
