"""Write every table of a run as a file: LaTeX for a paper, Markdown, or CSV.

python -m analysis.tables data/results/RUN
"""

import sys

if __name__ == "__main__":
    from probing.starting import start

    start()

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from analysis.runs.probing_run import load_run
from analysis.runs.training_run import is_training, load_training
from analysis.stats.of_a_run import RunNumbers
from analysis.tables.formats import to_csv, to_latex, to_markdown
from analysis.tables.of_a_run import tabulate_run
from analysis.tables.training import tabulate_training
from probing.atomic_files import check_writable, write_atomically
from probing.command_line import read_settings
from probing.exit_codes import end_in_one_line

_ENDINGS = {"latex": "tex", "markdown": "md", "csv": "csv"}


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


def write_tables(settings: TablesSettings) -> list[Path]:
    """Write the tables that the run has rows for; all are made before the first is written.

    Returns:
        The files, the main table first.

    Raises:
        InputError: as `analysis.runs.probing_run.load_run` and `analysis.runs.training_run.load_training`.
    """
    folder = settings.output or settings.run / "tables"
    check_writable(folder)
    if is_training(settings.run):
        tables = tabulate_training(load_training(settings.run))
    else:
        tables = tabulate_run(RunNumbers(load_run(settings.run), settings.seed)).printed()
    write = {"latex": to_latex, "markdown": to_markdown, "csv": lambda frame, _: to_csv(frame)}[settings.form]
    contents = {
        folder / f"{name}.{_ENDINGS[settings.form]}": write(frame, caption) for name, (frame, caption) in tables.items()
    }
    for path, content in contents.items():
        write_atomically(path, content.encode())
    return list(contents)


def main() -> int:
    """Run the command.

    Returns:
        0, or 2 after a mistake that the user can mend.
    """
    return end_in_one_line(_write)


def _write() -> int:
    settings = read_settings(TablesSettings, description=__doc__, prog="python -m analysis.tables")
    print(*write_tables(settings), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
