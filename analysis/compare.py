"""Compare two runs over the same data, and say whether any score fell: a regression gate.

python -m analysis.compare OLD_RUN NEW_RUN
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
from probing.records import InputError

FELL = 3
"""Exit code where a score fell significantly."""


@dataclass(frozen=True)
class CompareSettings:
    """The runs, and what to do with the comparison."""

    first: Annotated[Path, tyro.conf.Positional]
    """Run folder to compare with."""
    second: Annotated[Path, tyro.conf.Positional]
    """Run folder in question."""
    tasks: tuple[str, ...] = ()
    """Names of the tasks to compare; none given: all, which both runs must have."""
    margin: float = 1.0
    """Points below which two accuracies are as good as equal."""
    output: Path | None = None
    """Folder for the figure (PNG and PDF) and the differences (CSV); none given: nothing is written."""


def main() -> int:
    """Run the command.

    Returns:
        0; 2 after a mistake that the user can mend; 3 where a score fell significantly.
    """
    return end_in_one_line(_compare)


def check_margin(points: float) -> float:
    """A margin in points as a share.

    Raises:
        InputError: it is not above 0 and below 100.
    """
    if not 0 < points < 100:
        raise InputError(f"--margin {points:g}: expected points, more than 0 and less than 100")
    return points / 100


def _compare() -> int:
    settings = read_settings(CompareSettings, description=__doc__, prog="python -m analysis.compare")
    from analysis.terminal.differences import show_differences  # noqa: PLC0415 - pandas: not for --help

    choices = {"tasks": settings.tasks, "margin": check_margin(settings.margin)}
    fell = show_differences(settings.first, settings.second, choices, settings.output)
    return FELL if fell else 0


if __name__ == "__main__":
    sys.exit(main())
