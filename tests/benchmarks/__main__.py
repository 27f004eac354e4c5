"""Time this project against what is usual, each comparison side by side in one run.

python -m tests.benchmarks --only encoding training
"""

import json
import sys
import time
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import tyro

from probing.atomic_files import write_atomically
from probing.settings.run import EMBEDDED
from tests.benchmarks.screen import open_console, show_comparison, show_machine
from tests.benchmarks.sizes import FULL, QUICK

SUBJECTS = {
    "encoding": "tests.benchmarks.encoding:compare_encoding",
    "probing": "tests.benchmarks.probes:compare_probing",
    "training": "tests.benchmarks.training:compare_training",
    "job": "tests.benchmarks.whole_job:compare_job",
    "cache": "tests.benchmarks.caching:compare_cache",
    "scaling": "tests.benchmarks.scaling:compare_scaling",
}
"""What is compared, in order; imported when its turn comes, so that each starts from a small process."""


@dataclass(frozen=True)
class BenchSettings:
    """What is timed."""

    quick: bool = False
    """Small sizes and one round, to see that everything runs; the numbers mean little."""
    every_task: bool = False
    """Probe all ten tasks, not three of them: it takes some minutes more."""
    only: tuple[Literal["encoding", "probing", "training", "job", "cache", "scaling"], ...] = ()
    """Subjects to time; none given: all."""
    checkpoint: str = EMBEDDED
    """Encoder, as in run_senteval.py."""
    output: Path = Path("data/results/bench.json")
    """Where the numbers go, with what they depend on."""


def main() -> int:
    """Time one subject after the other; what is done is on disk if the rest is interrupted."""
    settings = tyro.cli(BenchSettings, description=__doc__)
    console, sizes = open_console(), QUICK if settings.quick else FULL
    if settings.every_task:
        sizes = replace(sizes, tasks=FULL.job_tasks)
    machine = import_module("tests.benchmarks.machine").describe_machine(settings.checkpoint)
    show_machine(machine, console)
    done: dict[str, list[Any]] = {}
    seconds: dict[str, float] = {}
    for name in settings.only or SUBJECTS:
        start = time.perf_counter()
        comparisons = find_subject(name)(settings.checkpoint, sizes)
        seconds[name] = time.perf_counter() - start
        for comparison in comparisons:
            show_comparison(comparison, console)
        console.print(f"  ({name} took {seconds[name]:.0f} s)", style="dim", highlight=False)
        done[name] = [comparison.summarise() for comparison in comparisons]
        content = {"machine": machine, "quick": settings.quick, "checkpoint": settings.checkpoint}
        content |= {"seconds": seconds, "subjects": done}
        write_atomically(settings.output, json.dumps(content, indent=2).encode())
    console.print(f"numbers: {settings.output}", highlight=False, soft_wrap=True)
    return 0


def find_subject(name: str) -> Any:
    """The function that makes a subject's comparisons."""
    module, _, attribute = SUBJECTS[name].partition(":")
    return getattr(import_module(module), attribute)


if __name__ == "__main__":
    sys.exit(main())
