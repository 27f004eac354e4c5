"""Probe one model on SentEval-style tasks, layer by layer and mixed.

python probing/run_senteval.py --model bermo --limit 1000
python probing/run_senteval.py --model bert --mix on --checkpoint bert-base-uncased --data senteval --tasks Tense
python probing/run_senteval.py --data data/mine --tasks my_task --output data/results/mine
"""

import os
import sys

if __name__ == "__main__":
    # Run as a file, Python puts probing/ first on the path, where its modules would hide others of the same name.
    _here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120
    _named = [p for p in sys.path if not (os.path.isdir(p or ".") and os.path.samefile(p or ".", _here))]  # noqa: PTH112, PTH121
    sys.path[:] = [os.path.dirname(_here), *_named]  # noqa: PTH120
    from probing.command_line.starting import start
    from probing.memory import HEAVY

    start(HEAVY)

from pathlib import Path

from probing.command_line.arguments import read_settings
from probing.exit_codes import end_in_one_line
from probing.progress import Reporter
from probing.registry import QUEUES
from probing.settings.run import RunSettings


def main() -> int:
    """Run the script.

    Returns:
        0; 2 after a mistake that the user can mend; 1 where some of the numbers could not be computed.
    """
    settings = read_settings(RunSettings, config=True, description=__doc__)
    if settings.engine in QUEUES.rows:
        return submit(settings)
    if settings.draws:
        return probe_several(settings)
    from probing.pipeline import run  # noqa: PLC0415 - torch: not for --help

    outcome = run(settings, Reporter(quiet=settings.quiet))
    if outcome.n_scores and settings.part in ("", "merge:1/1"):
        show_outcome(outcome.folder, report=settings.report)
    return 1 if outcome.failures else 0


def submit(settings: RunSettings) -> int:
    """Have a run computed by jobs of a queue; returns as `main` does, 0 where nobody waits for them."""
    from probing.submitting import check_finished, submit_run, wait  # noqa: PLC0415 - torch: not for --help

    reporter = Reporter(quiet=settings.quiet)
    submitted = submit_run(settings, reporter)
    if settings.detach:
        print(*submitted.describe(), sep="\n")
        return 0
    wait(submitted, reporter)
    manifest = check_finished(submitted.folder)
    show_outcome(submitted.folder, report=settings.report)
    return 1 if manifest["failures"] else 0


def probe_several(settings: RunSettings) -> int:
    """Probe several encoders, and say what differs between them; returns as `main` does."""
    from probing.draws import run_draws  # noqa: PLC0415 - torch: not for --help

    outcome = run_draws(settings, lambda: Reporter(quiet=settings.quiet))
    if outcome.n_scores:
        from analysis.terminal.draws import show_draws  # noqa: PLC0415 - pandas and matplotlib: not for --help

        show_draws(outcome.folder, report=settings.report)
    return 1 if outcome.failures else 0


def show_outcome(folder: Path, *, report: bool) -> None:
    """Write figures and, if asked for, the report into the run folder; then print a table."""
    from analysis.terminal.run import show_run  # noqa: PLC0415 - pandas and matplotlib: not for --help

    if report:
        from analysis.report.build import save_report  # noqa: PLC0415 - altair: only for a report

        show_run(folder, save_report)
    else:
        show_run(folder)


if __name__ == "__main__":
    sys.exit(end_in_one_line(main))
