"""Write one HTML page of one or several runs, which opens offline.

python -m analysis.report data/results/RUN
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
class ReportSettings:
    """The runs, and where the page goes."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Run folders, of probing or of training. With several, each further run is compared with the first."""
    output: Path | None = None
    """The file; by default report.html in the folder of a single run."""


def main() -> int:
    """Run the command.

    Returns:
        0, or 2 after a mistake that the user can mend.
    """
    return end_in_one_line(_report)


def _report() -> int:
    settings = read_settings(ReportSettings, description=__doc__, prog="python -m analysis.report")
    from analysis.report.build import write_report  # noqa: PLC0415 - pandas and altair: not for --help

    print(write_report(settings.runs, settings.output))
    return 0


if __name__ == "__main__":
    sys.exit(main())
