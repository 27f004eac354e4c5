"""What the user sees while a run works, and what each stage cost."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

_STATUS = Path("/proc/self/status")


class Narrator:
    """Tells of stages with bars and of warnings in lines, on stderr; silent bars where that is no terminal.

    Args:
        quiet: no bars and no lines, but warnings.
    """

    def __init__(self, *, quiet: bool = False):
        self.quiet = quiet
        self.console = Console(stderr=True)
        self.stages: dict[str, dict[str, Any]] = {}
        """Seconds and peak memory of each finished stage, and what it added itself."""
        self.warnings: list[str] = []

    @contextmanager
    def stage(self, name: str, total: int, unit: str) -> Iterator[Callable[[float], None]]:
        """A bar for one stage; gives the function that moves it on."""
        columns = (
            TextColumn("{task.description:<9}"), BarColumn(30), MofNCompleteColumn(), TextColumn(unit),
            Rate(), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
        )  # fmt: skip
        _reset_peak()
        start = time.perf_counter()
        with Progress(*columns, console=self.console, disable=self.quiet or not self.console.is_terminal) as progress:
            bar = progress.add_task(name, total=total)
            yield lambda done: progress.advance(bar, done)
        self.stages[name] = {"seconds": time.perf_counter() - start, "peak_rss_bytes": peak_rss()}

    def note(self, stage: str, **facts: Any) -> None:
        """Add facts to a finished stage, and say them in a line."""
        self.stages[stage].update(facts)
        values = ", ".join(map(tell_fact, facts, facts.values()))
        seconds, peak = self.stages[stage]["seconds"], self.stages[stage]["peak_rss_bytes"]
        self.say(f"{stage}: {values} in {seconds:.1f} s, peak memory {peak / 2**30:.2f} GiB")

    def rate(self, stage: str, n_sentences: int) -> dict[str, float]:
        """How many sentences a finished stage dealt with, in all and per second; nothing where there were none."""
        per_s = n_sentences / self.stages[stage]["seconds"]
        return {"sentences": n_sentences, "sentences_per_s": per_s} if n_sentences else {}

    def say(self, line: str) -> None:
        """A line, unless it should be quiet."""
        if not self.quiet:
            self.console.print(line, style="dim", markup=False, highlight=False, soft_wrap=True)

    def warn(self, line: str) -> None:
        """A warning: a line on the screen and in the manifest, once."""
        if line not in self.warnings:
            self.warnings.append(line)
            self.console.print(f"warning: {line}", style="yellow", markup=False, highlight=False, soft_wrap=True)


class Rate(ProgressColumn):
    """How many of a stage's units are done in a second."""

    def render(self, task: Task) -> Text:
        """The rate; nothing as long as it is not known."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.{0 if speed >= 10 else 1}f}/s", style="progress.data.speed")


def tell_fact(name: str, value: float) -> str:
    """A fact of a stage as one says it: `share_of_...` in per cent, `..._per_s` as a rate."""
    if name.startswith("share_of_"):
        return f"{value:.0%} of the {name.removeprefix('share_of_').replace('_', ' ')}"
    unit = name.removesuffix("_per_s").replace("_", " ").replace("gflop", "GFLOP")
    return f"{value:,.0f} {unit}{'/s' if name.endswith('_per_s') else ''}"


def peak_rss() -> int:
    """Largest resident memory since the last reset, in bytes; 0 where the system does not tell."""
    with suppress(OSError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def _reset_peak() -> None:
    # Linux: 5 sets the high-water mark to the present size; where it is refused the mark is that of the whole run.
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
