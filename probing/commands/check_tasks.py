"""Look for faults in task files or a knowledge graph, and for what gives answers away without any encoder.

bermo-probing check data/corpora/english
bermo-probing check controlled
bermo-probing check made
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
class CheckSettings:
    """The tasks to check, and where what was found goes."""

    data: Annotated[str, tyro.conf.Positional]
    """A folder of task files, controlled or senteval, or a knowledge graph: a folder of triples or the name of one."""
    report: Path | None = None
    """Write what the check found to this file too, as JSON."""


def main() -> int:
    """Run the command.

    Returns:
        0; 1 where a task is faulty; 2 after a mistake that the user can mend.
    """
    settings = read_settings(CheckSettings, description=__doc__, prog="python -m probing.commands.check_tasks")
    from probing.build_tasks import check  # noqa: PLC0415 - tables: not for --help

    return check(settings.data, settings.report)


if __name__ == "__main__":
    sys.exit(end_in_one_line(main))
