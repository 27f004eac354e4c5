"""Answers of a search of LV-BERT's orders: what was found against what was there, and whether the supernet knew.

python -m analysis.search data/results/RUN
"""

import sys

if __name__ == "__main__":
    from probing.command_line.starting import start

    start()

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from analysis.terminal.search import show_search
from probing.command_line.arguments import read_settings
from probing.exit_codes import end_in_one_line


@dataclass(frozen=True)
class SearchSettings:
    """Run to be shown."""

    run: Annotated[Path, tyro.conf.Positional]
    """Folder of `train_encoder.py --recipe lv_bert`."""
    output: Path | None = None
    """Folder for the figure (PNG and PDF) and the tables (CSV); none given: the run's own figures."""


def main() -> int:
    """Run the command.

    Returns:
        0, or 2 after a mistake that the user can mend.
    """
    return end_in_one_line(_show)


def _show() -> int:
    settings = read_settings(SearchSettings, description=__doc__, prog="python -m analysis.search")
    show_search(settings.run, settings.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
