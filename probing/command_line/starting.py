"""Start of a command, before it imports anything else: this module needs the standard library alone."""

import os
import signal
import sys
from importlib.util import find_spec

from probing.memory import LIGHT, Need, find_shortage

_NEEDED = ("numpy", "rich", "tyro")
"""Packages that every installation has, and another Python lacks."""
_OLDEST = (3, 11)
_SPINS = 10_000
"""Turns (some tenths of a millisecond) that a thread of OpenMP waits awake for the next product before it sleeps. By
default it is 300,000, and beside another busy program most of the time goes there."""


def start(need: Need = LIGHT) -> None:
    """See that this Python and this machine can run the program, and answer Ctrl-C while the imports are read.

    Threads are told to wait for each other asleep, where the user has not told them otherwise.

    Args:
        need: memory that the command takes on small data; `--help` takes next to none.

    Raises:
        SystemExit: it cannot; said in a line, exit code 2.
    """
    if sys.version_info < _OLDEST or not all(map(find_spec, _NEEDED)):
        sys.stderr.write(
            f"{sys.executable} lacks what the program needs: give `source .venv/bin/activate` first "
            "(without a .venv: `make setup`; with conda: `conda activate bermo-probing`), then the same command "
            "again\n"
        )
        sys.exit(2)
    shortage = "" if {"-h", "--help"} & set(sys.argv) else find_shortage(need)
    if shortage:
        sys.stderr.write(f"{shortage}\n")
        sys.exit(2)
    # GNU's OpenMP reads it when torch is imported.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", str(_SPINS))
    # Later `end_in_one_line` answers it.
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda *_: os._exit(os.write(2, b"interrupted; nothing was begun\n") and 130))
