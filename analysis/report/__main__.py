"""Write one HTML page of one or several runs, which opens offline.

python -m analysis.report data/results/RUN
"""

import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated

import tyro

from probing.records import InputError


@dataclass(frozen=True)
class ReportSettings:
    """Which runs, and where the page goes."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Run folders. With several, each further run is compared with the first."""
    output: Path | None = None
    """The file; by default report.html in the folder of a single run."""


def main() -> int:
    """Run the command.

    Returns:
        0, or 2 after a mistake that the user can mend.
    """
    settings = tyro.cli(ReportSettings, description=__doc__, prog="python -m analysis.report")
    try:
        # Only now, so that --help need not wait for it.
        path = import_module("analysis.report.build").write_report(settings.runs, settings.output)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
