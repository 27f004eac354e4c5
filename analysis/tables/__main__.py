"""Write every table of a run as a file: LaTeX for a paper, Markdown, or CSV.

python -m analysis.tables data/results/RUN
"""

import sys

if __name__ == "__main__":
    from probing.command_line.starting import start

    start()

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from probing.command_line.arguments import read_settings
from probing.exit_codes import end_in_one_line


@dataclass(frozen=True)
class TablesSettings:
    """The run, and where its tables go."""

    run: Annotated[Path, tyro.conf.Positional]
    """Run folder, of probing or of training."""
    output: Path | None = None
    """The folder of the tables; by default `tables` in the run folder."""
    form: Literal["latex", "markdown", "csv"] = "latex"
    """latex (each a tabular, which needs booktabs), markdown or csv."""
    seed: int = 0
    """Of the bootstrap."""


def main() -> int:
    """Run the command.

    Returns:
        0, or 2 after a mistake that the user can mend.
    """
    return end_in_one_line(_write)


def _write() -> int:
    settings = read_settings(TablesSettings, description=__doc__, prog="python -m analysis.tables")
    from analysis.tables.writing import write_tables  # noqa: PLC0415 - pandas: not for --help

    print(*write_tables(settings.run, settings.output, settings.form, settings.seed), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
