"""One run at a time in a folder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock
from pathlib import Path

from probing.records import InputError

_PID = ".pid"
"""File in a folder that is held: the number of the process that holds it. The lock counts, not this file."""


@contextmanager
def hold_folder(folder: Path, *, shared: bool = False) -> Iterator[None]:
    """Keep other programs that ask for the folder out of it; it is made if it is not there.

    The lock ends with the program, however it ends. A file system without locks lets everyone in.

    Args:
        folder: that is asked for.
        shared: whether others that share it may work in it too, as the parts of one run do.

    Raises:
        InputError: another program holds it, or it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise InputError(f"{folder}: cannot be a run folder ({error.strerror}); choose another --output") from None
    try:
        _lock(held, folder, shared=shared)
        with nullcontext() if shared else _name_itself(folder / _PID):
            yield
    finally:
        os.close(held)


def check_free(folder: Path, *, shared: bool = False) -> None:
    """Refuse a folder that another program works in; makes and holds nothing.

    Args:
        folder: that is asked for.
        shared: whether it may be one that others share.

    Raises:
        InputError: naming the folder and the program.
    """
    with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        asked = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            _lock(asked, folder, shared=shared)
        finally:
            os.close(asked)


@contextmanager
def _name_itself(path: Path) -> Iterator[None]:
    # A folder that cannot be written says so when something matters.
    with suppress(OSError):
        path.write_text(str(os.getpid()))
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()


def _lock(file: int, folder: Path, *, shared: bool) -> None:
    try:
        flock(file, (LOCK_SH if shared else LOCK_EX) | LOCK_NB)
    except BlockingIOError:
        raise InputError(
            f"{folder}: a run is working in it{_name_holder(folder)}; wait for it to end, or choose another --output"
        ) from None
    except OSError:
        pass


def _name_holder(folder: Path) -> str:
    try:
        return f" (pid {int((folder / _PID).read_text())})"
    except (OSError, ValueError):
        return ""
