"""Probe one model on SentEval-style tasks, layer by layer and mixed.

python probing/run_senteval.py --model bermo --data data/corpora/english
"""

import os
import sys

if __name__ == "__main__":
    # Run as a file, Python puts probing/ first on the path, where its modules would hide others of the same name.
    _here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120
    sys.path[:] = [os.path.dirname(_here), *(p for p in sys.path if os.path.abspath(p or ".") != _here)]  # noqa: PTH100, PTH120

from pathlib import Path

import tyro

from probing.exit_codes import end_in_one_line
from probing.progress import Reporter
from probing.settings.run import RunSettings


def main() -> int:
    """Run the script.

    Returns:
        0; 2 after a mistake that the user can mend; 1 where some of the numbers could not be computed.
    """
    settings = tyro.cli(RunSettings, description=__doc__)
    from probing.pipeline import run  # noqa: PLC0415 - torch: not for --help

    outcome = run(settings, Reporter(quiet=settings.quiet))
    if outcome.n_scores:
        show_outcome(outcome.folder, report=settings.report)
    return 1 if outcome.failures else 0


def show_outcome(folder: Path, *, report: bool) -> None:
    """A table on the screen and figures and, if asked for, the report, both in the run folder."""
    from analysis.terminal.run import show_run  # noqa: PLC0415 - pandas and matplotlib: not for --help

    show_run(folder)
    if report:
        from analysis.report.build import save_report  # noqa: PLC0415 - altair: only for a report

        save_report(folder)


if __name__ == "__main__":
    sys.exit(end_in_one_line(main))
