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

from probing.progress import Narrator
from probing.records import InputError
from probing.registry import resolve
from probing.settings import RunSettings


def main() -> int:
    """Run the script.

    Returns:
        0; 2 after a mistake that the user can mend; 1 where some of the numbers could not be computed.
    """
    settings = tyro.cli(RunSettings, description=__doc__)
    narrator = Narrator(quiet=settings.quiet)
    try:
        outcome = resolve("stories", "run")(settings, narrator)
        if outcome.n_scores:
            resolve("views", "run")(outcome.folder)
        if settings.report and outcome.n_scores:
            resolve("views", "report")(outcome.folder)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on where this one stopped", file=sys.stderr)
        return 130
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    sys.exit(main())
