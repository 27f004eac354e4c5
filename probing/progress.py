"""Progress that the user sees while a run works, and the cost of each stage."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

_STATUS = Path("/proc/self/status")
_SILENCE_S = 29.0
"""Longest silence where the output is no terminal: a line at least every half minute, looked after once a second."""
_LOOK_S = 1.0
_KNOWN_FROM = 0.01
"""Share of a stage's work that must be done before it says how long the rest will take."""


class Advance(Protocol):
    """Moves a stage on."""

    def __call__(self, done: float, work: float | None = None, *, found: bool = False) -> None:
        """Count units as done; see `Stage.advance`."""
        ...


@dataclass
class Stage:
    """Progress of one stage of a run; it may be left and entered again."""

    name: str
    total: float
    unit: str
    work: float
    """Cost of computing all units, in any unit of work: what is left of it tells the time that is left."""
    clock: Callable[[], float] = time.perf_counter
    doing: str = ""
    """Name of what is being worked at."""
    done: float = 0.0
    computed: float = 0.0
    """Of the units that are done, those that were not there already."""
    worked: float = 0.0
    spent_s: float = 0.0
    """In the visits that have ended."""
    entered: float | None = None
    at_once: int = 1
    """Units that are computed at a time: seconds are then those of all who compute them, taken together."""
    peak_rss_bytes: int = 0

    def advance(self, done: float, work: float | None = None, *, found: bool = False) -> None:
        """Count units as done, and the work they were; the work of units that were found falls away."""
        work = done if work is None else work
        self.done += done
        if found:
            self.work -= work
        else:
            self.computed += done
            self.worked += work

    @property
    def seconds(self) -> float:
        """Spent in this stage so far."""
        return self.spent_s + (0.0 if self.entered is None else self.clock() - self.entered)

    @property
    def per_s(self) -> float | None:
        """Units computed in a second; none as long as that is not known."""
        return self.at_once * self.computed / self.seconds if self.computed and self.seconds else None

    @property
    def left_s(self) -> float | None:
        """Time that the rest of the work will take at the rate so far; none as long as too little is done to tell."""
        if self.worked <= 0 or self.worked < _KNOWN_FROM * self.work:
            return None
        return max(0.0, self.work - self.worked) * self.seconds / self.worked / self.at_once

    def cells(self) -> tuple[str, str, str]:
        """Number of units done of all, the rate, and the time left, in words."""
        rate, left = self.per_s, self.left_s
        return (
            f"{self.done:,.0f}/{self.total:,.0f} {self.unit}",
            "" if rate is None else f"{rate:,.{0 if rate >= 10 else 1 if rate >= 1 else 2}f}/s",
            "" if left is None else f"{format_duration(left)} left",
        )


class Reporter:
    """Tells how far a run is: a live table and bars on a terminal, a line now and then elsewhere, both on stderr.

    Args:
        quiet: nothing but warnings.
        clock: seconds since any moment.
    """

    def __init__(self, *, quiet: bool = False, clock: Callable[[], float] = time.perf_counter):
        self.quiet, self.clock = quiet, clock
        self.console = Console(stderr=True)
        self.stages: dict[str, dict[str, Any]] = {}
        """Seconds and peak memory of each stage that has been left, and what it added itself."""
        self.warnings: list[str] = []
        self._begun = self._spoken = clock()
        self._open: list[Stage] = []
        self._now: Stage | None = None
        self._shown = False
        self._board: RenderableType | None = None

    @property
    def elapsed_s(self) -> float:
        """Since the command, or close to it: scripts make their reporter first."""
        return self.clock() - self._begun

    @property
    def is_live(self) -> bool:
        """True where a table is kept up to date, on a terminal or in a notebook."""
        return (self.console.is_terminal or self.console.is_jupyter) and not self.quiet

    @contextmanager
    def stage(self, name: str, total: float, unit: str) -> Iterator[Advance]:
        """A stage that is done at one go; gives the function that moves it on."""
        stage = self.plan_stage(name, total, unit)
        with self.visit(stage):
            yield stage.advance

    def plan_stage(self, name: str, total: float, unit: str, work: float | None = None, at_once: int = 1) -> Stage:
        """A stage that may be visited again and again, between others."""
        stage = Stage(name, total, unit, total if work is None else work, self.clock, at_once=at_once)
        self.stages[name] = {"seconds": 0.0, "peak_rss_bytes": 0}
        self._open = [other for other in self._open if other.done < other.total] + [stage]
        return stage

    @contextmanager
    def visit(self, stage: Stage) -> Iterator[None]:
        """Work at a stage; its seconds, and its largest memory, are those of all visits together."""
        _reset_peak()
        stage.entered, self._now = self.clock(), stage
        try:
            with self.display():
                yield
        finally:
            stage.spent_s, stage.entered = stage.seconds, None
            self.take_stock(stage)
            self._now = None

    def take_stock(self, stage: Stage) -> None:
        """Bring what is kept of a stage's costs up to date."""
        stage.peak_rss_bytes = max(stage.peak_rss_bytes, peak_rss())
        self.stages[stage.name].update({"seconds": stage.seconds, "peak_rss_bytes": stage.peak_rss_bytes})

    @contextmanager
    def display(self, board: RenderableType | None = None) -> Iterator[None]:
        """Keep the screen up to date, with a table above the bars if there is one; within another display, nothing."""
        if self._shown or self.quiet:
            yield
            return
        self._shown = True
        try:
            with self._live(board) if self.is_live else self._lines():
                yield
        finally:
            self._shown = False

    @contextmanager
    def _live(self, board: RenderableType | None) -> Iterator[None]:
        self._board = board
        with Live(get_renderable=self._screen, console=self.console, refresh_per_second=4) as live:
            yield
            # Whoever ends well shows a table of its own; of what is broken off, the last state stays on the screen.
            live.transient = board is not None

    @contextmanager
    def _lines(self) -> Iterator[None]:
        stop = Event()

        def look() -> None:
            while not stop.wait(_LOOK_S):
                self.tick()

        thread = Thread(target=look, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _screen(self) -> Group:
        """The table, and below it a bar for each stage that is not done."""
        grid = Table.grid(padding=(0, 1))
        for stage in list(self._open):
            bar = ProgressBar(total=max(stage.total, 1), completed=stage.done, width=24)
            grid.add_row(stage.name, bar, *stage.cells(), stage.doing)
        return Group(grid) if self._board is None else Group(self._board, grid)

    def tick(self) -> None:
        """A line on the stage that is worked at, if nothing was said for half a minute."""
        # Stages that are computed elsewhere are visited by nobody.
        elsewhere = (one for one in self._open if one.at_once > 1 and one.done < one.total)
        stage = self._now or next(elsewhere, None)
        if stage and self.clock() - self._spoken >= _SILENCE_S:
            self.say(f"{stage.name}: " + ", ".join(part for part in (*stage.cells(), stage.doing) if part))

    def note(self, stage: str, **facts: Any) -> None:
        """Add facts to a finished stage, and say them in a line."""
        self.stages[stage].update(facts)
        values = ", ".join(map(format_fact, facts, facts.values()))
        seconds, peak = self.stages[stage]["seconds"], self.stages[stage]["peak_rss_bytes"]
        self.say(f"{stage}: {values} in {seconds:.1f} s, peak memory {peak / 2**30:.2f} GiB")

    def rate(self, stage: str, n_sentences: int) -> dict[str, float]:
        """Number of sentences a finished stage dealt with, in all and per second; nothing where there were none."""
        seconds = self.stages[stage]["seconds"]
        return {"sentences": n_sentences, "sentences_per_s": n_sentences / seconds} if n_sentences else {}

    def say(self, line: str) -> None:
        """A line, unless it should be quiet."""
        if not self.quiet:
            self._spoken = self.clock()
            self.console.print(line, style="dim", markup=False, highlight=False, soft_wrap=True)

    def warn(self, line: str) -> None:
        """A warning: a line on the screen and in the manifest, once."""
        if line not in self.warnings:
            self.warnings.append(line)
            self.console.print(f"warning: {line}", style="yellow", markup=False, highlight=False, soft_wrap=True)


def format_fact(name: str, value: float) -> str:
    """A fact of a stage as one says it: `share_of_...` in per cent, `..._per_s` as a rate."""
    if name.startswith("share_of_"):
        return f"{value:.0%} of the {name.removeprefix('share_of_').replace('_', ' ')}"
    unit = name.removesuffix("_per_s").replace("_", " ").replace("gflop", "GFLOP")
    return f"{value:,.0f} {unit}{'/s' if name.endswith('_per_s') else ''}"


def format_duration(seconds: float) -> str:
    """A time to wait, in one or two units: 45 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    if whole < 60:
        return f"{whole} s"
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


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
