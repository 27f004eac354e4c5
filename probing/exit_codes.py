"""How a script ends when the user made a mistake or stopped it: in one line, with an exit code of its own."""

import sys
from collections.abc import Callable

from probing.records import InputError

MISTAKE, INTERRUPTED = 2, 130


def end_in_one_line(work: Callable[[], int]) -> int:
    """The exit code of `work`, or that of a mistake or an interruption, which are said in one line on stderr."""
    try:
        return work()
    except InputError as error:
        print(error, file=sys.stderr)
        return MISTAKE
    except KeyboardInterrupt:
        print("interrupted; the same command goes on where this one stopped", file=sys.stderr)
        return INTERRUPTED
