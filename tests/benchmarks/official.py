"""The official sizes: files of SentEval's form made by the controlled grammar, probed as the command does.

`python -m tests.benchmarks.official FOLDER` makes ten files of 100,000 / 10,000 / 10,000 sentences, runs some of the
tasks (all layers, the mix, intervals; no controls, no gradients), and prints seconds by stage and peak memory. What all
ten would take is computed from the rates of those that ran, and said to be.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import tyro

from probing.catalogue.tasks import find_specs
from probing.settings.run import EMBEDDED
from probing.store.environment import ROOT
from tests.benchmarks.machine import describe_machine
from tests.benchmarks.screen import name_processor

_GIB = 2**30


@dataclass(frozen=True)
class OfficialSettings:
    """What is run."""

    folder: tyro.conf.Positional[Path]
    """Where files, cache and run go; files that are there already are taken."""
    tasks: tuple[str, ...] = ("past_present", "top_constituents")
    """Tasks that are probed: one of two classes and one of many at least, so that the rest can be computed."""
    sizes: tuple[int, int, int] = (100_000, 10_000, 10_000)
    """Sentences of train, dev and test."""
    checkpoint: str = EMBEDDED
    """Encoder, as in run_senteval.py."""


@dataclass(frozen=True)
class Weighed:
    """A command that has ended."""

    seconds: float
    peak_bytes: int
    """Largest resident memory of its process."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the files, run the tasks, print the table.

    Returns:
        0; the exit code of a command that failed.
    """
    settings = tyro.cli(OfficialSettings, description=__doc__, args=arguments)
    machine = describe_machine(settings.checkpoint)
    print(f"{name_processor(machine)}, {machine['date']}, load {machine['machine']['load_average'][0]:.1f}")
    corpus, run = settings.folder / "corpus", settings.folder / "run"
    try:
        if not corpus.is_dir():
            sizes = [str(size) for size in settings.sizes]
            print_stage("files", weigh("build_tasks", "--controlled", "--sizes", *sizes, "--output", str(corpus)))
        whole = weigh(
            "run_senteval", "--checkpoint", settings.checkpoint, "--data", str(corpus), "--tasks", *settings.tasks,
            "--controls", "--gradients", "0", "--output", str(run), "--overwrite", "--quiet",
            "--cache-dir", str(settings.folder / "cache"),
        )  # fmt: skip
    except subprocess.CalledProcessError as error:
        print(f"{' '.join(error.cmd)}: exit code {error.returncode}", file=sys.stderr)
        return error.returncode
    manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    for name, stage in manifest["stages"].items():
        print_stage(name, Weighed(stage["seconds"], stage["peak_rss_bytes"]))
    cells = list_cells(pd.read_parquet(run / "scores.parquet"))
    for cell in cells:
        print(f"  {cell['task']}, {cell['classes']} classes, {cell['representation']}: {cell['seconds']:.1f} s")
    print_stage("whole command", whole)
    print(describe_rest(manifest, cells, whole.seconds, count_sentences(corpus)))
    return 0


def weigh(script: str, *arguments: str) -> Weighed:
    """Run a script in a process of its own; its output goes where ours does.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    command = [sys.executable, f"probing/{script}.py", *arguments]
    begun = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Weighed(time.perf_counter() - begun, used.ru_maxrss * 1024)


def print_stage(name: str, weighed: Weighed) -> None:
    """One line of the table; a stage's peak is that of the process until its end."""
    print(f"{name}: {weighed.seconds:.1f} s, peak {weighed.peak_bytes / _GIB:.2f} GiB", flush=True)


def list_cells(scores: pd.DataFrame) -> list[dict[str, Any]]:
    """Seconds of each cell that fits: a task's layers together, and its mix."""
    fitted = scores[(scores["representation"] != "none") & (scores["split"] == "test")]
    cells = fitted.drop_duplicates(["task", "representation"])
    named = cells.rename(columns={"n_classes": "classes"})[["task", "representation", "classes", "seconds"]]
    return named.to_dict("records")  # pyright: ignore


def count_sentences(corpus: Path) -> dict[str, tuple[int, int]]:
    """Of each task its classes; and how many distinct sentences it has that no task before it had."""
    seen, counts = set[str](), {}
    for spec in find_specs(["all"]):
        path = corpus / f"{spec.name}.txt"
        rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
        before = len(seen)
        seen.update(row[-1] for row in rows)
        counts[spec.name] = (len({row[1] for row in rows}), len(seen) - before)
    return counts


def describe_rest(
    manifest: Mapping[str, Any],
    cells: Sequence[Mapping[str, Any]],
    seconds: float,
    counts: Mapping[str, tuple[int, int]],
) -> str:
    """A line on what all ten tasks take, by the rates of those that ran.

    Encoding by distinct sentences; a task that did not run by the one whose number of classes is nearest below its own,
    in proportion to classes less one; what is neither encoding nor fitting as it was.
    """
    encoding = manifest["stages"]["encoding"]
    encoded = sum(new for _, new in counts.values()) / encoding["sentences_per_s"]
    fitted = {name: estimate_fits(classes, name, cells) for name, (classes, _) in counts.items()}
    other = seconds - encoding["seconds"] - sum(cell["seconds"] for cell in cells)
    total = encoded + sum(fitted.values()) + other
    missing = [name for name in counts if name not in {cell["task"] for cell in cells}]
    parts = (
        f"encoding {encoded / 60:.1f}, fits {sum(fitted.values()) / 60:.1f}, start, tables and report {other / 60:.1f}"
    )
    return f"all ten tasks, computed: {total / 60:.0f} min ({parts}); not run: {', '.join(missing) or 'none'}"


def estimate_fits(classes: int, name: str, cells: Sequence[Mapping[str, Any]]) -> float:
    """Seconds of a task's layers and mix: as measured, or in proportion to those of the task nearest to it."""
    own = [cell["seconds"] for cell in cells if cell["task"] == name]
    if own:
        return sum(own)
    numbers = sorted({cell["classes"] for cell in cells})
    nearest = max((number for number in numbers if number <= classes), default=numbers[0])
    like = next(cell["task"] for cell in cells if cell["classes"] == nearest)
    return sum(cell["seconds"] for cell in cells if cell["task"] == like) * (classes - 1) / (nearest - 1)


if __name__ == "__main__":
    sys.exit(main())
