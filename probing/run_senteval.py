"""Probe one model on SentEval-style tasks, layer by layer and mixed.

python probing/run_senteval.py --model bermo --data data/corpora/english
"""

import os
import sys

if __name__ == "__main__":
    # Run as a file, Python puts probing/ first on the path, where its modules would hide others of the same name.
    _here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120
    sys.path[:] = [os.path.dirname(_here), *(p for p in sys.path if os.path.abspath(p or ".") != _here)]  # noqa: PTH100, PTH120

import tyro

from probing.exit_codes import end_in_one_line
from probing.progress import Narrator
from probing.registry import resolve
from probing.settings.run import RunSettings


def main() -> int:
    """Run the script.

    Returns:
        0; 2 after a mistake that the user can mend; 1 where some of the numbers could not be computed.
    """
    settings = tyro.cli(RunSettings, description=__doc__)
    outcome = resolve("stories", "run")(settings, Narrator(quiet=settings.quiet))
    if outcome.n_scores:
        resolve("views", "run")(outcome.folder)
    if settings.report and outcome.n_scores:
        resolve("views", "report")(outcome.folder)
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    sys.exit(end_in_one_line(main))
