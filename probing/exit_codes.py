"""Ends of a script where the user made a mistake, the system refused, or it was stopped: in one line, by a code."""

import errno
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from probing.command_line.terminals import forgive_terminals
from probing.memory import LIKELY_ERRORS, lacks_memory
from probing.records import InputError

MISTAKE, INTERRUPTED = 2, 130

_OURS = [Path(__file__).resolve().parents[1] / name for name in ("probing", "analysis")]
"""Folders of the program: what is wrong there is no mistake of the user's."""
_STANDS_THERE = "something else stands where a folder should be: a file, or a link to nothing; move it away"
_NO_ROOM = "no room on the disk; make some and give the same command again: what is finished is kept"
_TOO_MANY = "too many open files; raise the limit (ulimit -n)"
_ADVICE = {
    errno.EACCES: "no permission; change that, or choose another place",
    errno.EPERM: "no permission, or not to be changed; change that, or choose another place",
    errno.EROFS: "the disk is read-only; choose another place",
    errno.ENAMETOOLONG: "a name is too long; choose a shorter one",
    errno.EISDIR: "a folder stands where a file should be; move it away, or choose another name",
    errno.ENOTDIR: _STANDS_THERE,
    errno.EEXIST: _STANDS_THERE,
    errno.ENOTEMPTY: "not empty; move away what is in it",
    errno.ELOOP: "a link that leads back to itself; choose another place",
    errno.ENOENT: "not there, or nothing can be made there; choose another place",
    errno.EXDEV: "on another disk than what should go there; choose another place",
}
"""Advice for errors that name a path."""
_ANYWHERE = {
    errno.ENOSPC: _NO_ROOM,
    errno.EDQUOT: _NO_ROOM,
    errno.EFBIG: "the file would be larger than is allowed here (ulimit -f)",
    errno.EMFILE: _TOO_MANY,
    errno.ENFILE: _TOO_MANY,
    errno.EIO: "the disk reports an error; copy what you need, and choose another place",
    errno.ESTALE: "the disk went away; give the same command again",
}
"""Likewise, where they need not name one."""


_NO_MEMORY = "not enough memory here; free some, or take fewer sentences (--limit): what is finished is kept"


def end_in_one_line(work: Callable[[], int]) -> int:
    """The exit code of `work`, or that of a mistake or an interruption, which are said in one line on stderr.

    What the system refuses to do with a path of the user's is a mistake too. No state of the terminal is: what cannot
    be shown is left out.

    Raises:
        Exception: anything else: a bug, which shows where it is.
    """
    with forgive_terminals(), _usual_interrupts():
        try:
            _check_working_folder()
            return work()
        except InputError as error:
            print(error, file=sys.stderr)
            return MISTAKE
        except LIKELY_ERRORS as error:
            line = _explain_memory(error) or (explain(error) if isinstance(error, OSError) else "")
            if not line:
                raise
            print(line, file=sys.stderr)
            return MISTAKE
        except KeyboardInterrupt:
            print("interrupted; the same command goes on where this one stopped", file=sys.stderr)
            return INTERRUPTED


def explain(error: OSError) -> str:
    """Explain in a line what the system refused, where, and what to do; empty where that is no matter of the user's."""
    path = str(error.filename) if isinstance(error.filename, str | Path) else ""
    if any(Path(path).is_relative_to(folder) for folder in _OURS):
        return ""
    advice = _ANYWHERE.get(error.errno or 0) or (_ADVICE.get(error.errno or 0, "") if path else "")
    return f"{path}: {advice}" if path and advice else advice


def _explain_memory(error: Exception) -> str:
    if not lacks_memory(error):
        return ""
    return f"{_NO_MEMORY} ({' '.join(str(error).split())[:200] or type(error).__name__})"


def _check_working_folder() -> None:
    """Refuse to work in a folder that was removed: libraries fail there in ways of their own."""
    try:
        Path.cwd()
    except OSError:
        raise InputError("the working directory is gone; change to one that is there") from None


@contextmanager
def _usual_interrupts() -> Iterator[None]:
    """Ctrl-C raises, where until now it may have ended the program at once; where it is ignored it stays so."""
    before = signal.getsignal(signal.SIGINT)
    # Handlers belong to the main thread.
    with suppress(ValueError):
        if before != signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        with suppress(ValueError):
            signal.signal(signal.SIGINT, before)
