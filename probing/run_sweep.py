"""Probe many encoders, or one in many ways: the runs that a file stands for, then one page and tables over all of them.

bermo-probing sweep sweep.yaml
bermo-probing sweep sweep.yaml --engine ray --workers 8

A list of values in the file makes a run for each, several lists every combination. The same command goes on where this
one stopped.
"""

import sys

if __name__ == "__main__":
    from probing.command_line.starting import start
    from probing.memory import HEAVY

    start(HEAVY)

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import tyro

from probing.command_line.arguments import read_settings
from probing.exit_codes import end_in_one_line
from probing.progress import Reporter
from probing.records import InputError
from probing.registry import QUEUES
from probing.settings.queue import QueueSettings
from probing.settings.sweep import SweptRun, read_sweep

if TYPE_CHECKING:
    from probing.sweeping import Swept

RESULTS = Path("data/results")


@dataclass(frozen=True)
class SweepSettings(QueueSettings):
    """The file of a sweep, and how it is computed."""

    GROUPS: ClassVar[Mapping[str, tuple[str, ...]]] = {"queue": QueueSettings.OF_QUEUE}
    """Flags that `--help` shows together."""

    file: Annotated[Path, tyro.conf.Positional]
    """Settings of a run, by name (YAML or JSON); a list of values makes a run for each."""
    output: Path | None = None
    """Folder of the sweep; by default data/results/ and the file's name, or what the file says."""
    engine: str = ""
    """Engine for all runs, in the place of the file's: local, ray or slurm."""
    engine_address: str = ""
    """HOST:PORT of a cluster that works already."""
    workers: int = 0
    """Cells, or jobs of a queue, that are computed at a time; 0: as the file says."""
    at_once: int = 4
    """Runs that feed an engine of several workers at the same time; each holds its encoder in memory."""
    retry_failed: bool = False
    """Compute again the cells that failed; otherwise a finished run is left as it is."""
    quiet: bool = False
    """No progress on the screen."""


def main() -> int:
    """Run the command.

    Returns:
        0; 1 where cells failed or runs were refused; 2 after a mistake that the user can mend.
    """
    settings = read_settings(SweepSettings, description=__doc__, prog="python -m probing.run_sweep")
    if settings.at_once < 1:
        raise InputError(f"--at-once {settings.at_once}: expected 1 or more")
    usual = SweepSettings(settings.file)
    names = ("engine", "engine_address", "workers", "output", "quiet", *QueueSettings.OF_QUEUE)
    given: dict[str, Any] = {name: getattr(settings, name) for name in names}
    given = {name: value for name, value in given.items() if value != getattr(usual, name)} | {"report": False}
    runs = read_sweep(settings.file, RESULTS / settings.file.stem, **given)
    done = compute(settings, given, runs)
    if done is None:
        return 0
    from analysis.terminal.sweep import show_sweep  # noqa: PLC0415 - pandas and matplotlib: not for --help

    show_sweep(done.folder)
    return 0 if done.complete else 1


def compute(settings: SweepSettings, given: Mapping[str, Any], runs: Sequence[SweptRun]) -> "Swept | None":
    """Have the runs computed; none where jobs do it and nobody waits for them."""
    from probing import submitting, sweeping  # noqa: PLC0415 - torch: not for --help

    one = runs[0].settings
    if one.engine not in QUEUES.rows:
        return sweeping.sweep(runs, settings.at_once, retry_failed=settings.retry_failed)
    submitted = submitting.submit_sweep(settings.file, given, runs, retry_failed=settings.retry_failed)
    if submitted and one.detach:
        print(*submitted.describe(), sep="\n")
        return None
    if submitted:
        submitting.wait(submitted, Reporter(quiet=one.quiet))
    folder = sweeping.place_of(runs[0]).parent
    return sweeping.sum_up(folder, runs, sweeping.read_refused(folder))


if __name__ == "__main__":
    sys.exit(end_in_one_line(main))
