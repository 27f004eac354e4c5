"""Time this project against what is usual, each comparison side by side in one run, within ten minutes on any machine.

python -m tests.benchmarks --only encoding training
"""

import json
import sys
import time
from dataclasses import asdict, dataclass, replace
from math import inf
from pathlib import Path
from typing import Literal

import tyro

from probing.atomic_files import write_atomically
from probing.settings.run import EMBEDDED
from tests.benchmarks.budgets import BUDGETS, CLOSING_S, RATE_S, STARTING_S, TOTAL_S, choose_sizes, list_omissions
from tests.benchmarks.guard import OutOfTimeError, run_within
from tests.benchmarks.screen import name_processor, open_console, show_comparison, show_machine
from tests.benchmarks.sizes import ALL_TASKS, QUICK
from tests.benchmarks.subjects import SUBJECTS, compare_subject, describe


@dataclass(frozen=True)
class BenchSettings:
    """What is timed."""

    quick: bool = False
    """Small sizes and one round, to see that everything runs; the numbers mean little."""
    every_task: bool = False
    """Probe all ten tasks, not three of them: it takes as long as it takes."""
    only: tuple[
        Literal["encoding", "probing", "training", "pretraining", "job", "cache", "scaling", "default"], ...
    ] = ()
    """Subjects to time; none given: all."""
    checkpoint: str = EMBEDDED
    """Encoder, as in run_senteval.py."""
    output: Path = Path("data/results/bench.json")
    """Where the numbers go, with what they depend on."""


def main() -> int:
    """Time one subject after the other; what is done is on disk if the rest is interrupted.

    Returns:
        0; 1 where a subject failed, or its time ended before it was done.
    """
    begun = time.perf_counter()
    settings = tyro.cli(BenchSettings, description=__doc__)
    console = open_console()
    machine, rate = run_within(RATE_S, describe, settings.checkpoint)
    show_machine(machine, rate, console)
    sizes = QUICK if settings.quick else choose_sizes(rate)
    if settings.every_task:
        sizes = replace(sizes, tasks=ALL_TASKS)
    content = {"machine": machine, "rate": asdict(rate), "sizes": asdict(sizes), "quick": settings.quick}
    content |= {"checkpoint": settings.checkpoint, "left_out": {}, "seconds": {}, "subjects": {}}
    for line in () if settings.quick else list_omissions(sizes):
        console.print(f"left out, for this machine's rate: {line}", style="dim", highlight=False, soft_wrap=True)
    for name in settings.only or SUBJECTS:
        start = time.perf_counter()
        limit_s = find_limit(name, start - begun, settings)
        own = replace(sizes, default_s=limit_s - STARTING_S)
        try:
            comparisons = run_within(limit_s, compare_subject, name, settings.checkpoint, own)
        except (OutOfTimeError, RuntimeError) as error:
            comparisons, content["left_out"][name] = [], str(error)
        if any(comparison.cut_short for comparison in comparisons):
            content["left_out"][name] = "ended before it was done"
        if name in content["left_out"]:
            console.print(f"{name}: {content['left_out'][name]}", style="yellow", markup=False, soft_wrap=True)
        content["seconds"][name] = time.perf_counter() - start
        for comparison in comparisons:
            show_comparison(comparison, console, name_processor(machine))
        console.print(f"  ({name} took {content['seconds'][name]:.0f} s)", style="dim", highlight=False)
        content["subjects"][name] = [comparison.summarise() for comparison in comparisons]
        content["total_s"] = time.perf_counter() - begun
        write_atomically(settings.output, json.dumps(content, indent=2).encode())
    console.print(f"numbers: {settings.output} ({content['total_s']:.0f} s in all)", highlight=False, soft_wrap=True)
    return 1 if content["left_out"] else 0


def find_limit(name: str, spent_s: float, settings: BenchSettings) -> float:
    """Seconds that a subject may take: all that is left, less the budgets of those after it.

    Where only some are asked for, or every task, the whole ten minutes are each one's.
    """
    if settings.only or settings.every_task:
        return inf if settings.every_task else TOTAL_S
    names = list(SUBJECTS)
    return TOTAL_S - CLOSING_S - spent_s - sum(BUDGETS[other] for other in names[names.index(name) + 1 :])


if __name__ == "__main__":
    sys.exit(main())
