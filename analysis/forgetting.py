"""Find what smaller encoders forgot of their teacher, on which task and at which depth, by probes on both.

python -m analysis.forgetting TEACHER_RUN STUDENT_RUN
"""

import sys

if __name__ == "__main__":
    from probing.command_line.starting import start

    start()

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from probing.command_line.arguments import read_settings
from probing.exit_codes import end_in_one_line


@dataclass(frozen=True)
class ForgettingSettings:
    """The runs, and what to do with the comparison."""

    teacher: Annotated[Path, tyro.conf.Positional]
    """Probing run of the encoder to hold against."""
    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Probing runs of its students, one or more, over the same sentences and probed alike."""
    tasks: tuple[str, ...] = ()
    """Names of the tasks to compare; none given: all, which all runs must have."""
    output: Path | None = None
    """Folder for the page, tables (CSV and parquet) and figures (PNG and PDF); none given: nothing is written."""
    seed: int = 0
    """Seed of the bootstrap behind the order of groups."""


def main() -> int:
    """Run the command.

    Returns:
        0, or 2 after a mistake that the user can mend.
    """
    return end_in_one_line(_show)


def _show() -> int:
    settings = read_settings(ForgettingSettings, description=__doc__, prog="python -m analysis.forgetting")
    from analysis.terminal.forgetting import show_forgetting  # noqa: PLC0415 - pandas: not for --help

    show_forgetting(settings.teacher, settings.runs, settings.tasks, settings.output, settings.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
