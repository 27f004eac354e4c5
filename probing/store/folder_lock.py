"""One run at a time in a folder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

from probing.records import InputError

_PID = ".pid"
"""File in a folder that is held: the number of the process that holds it. The lock counts, not this file."""


@contextmanager
def hold_folder(folder: Path) -> Iterator[None]:
    """Keep other programs that ask for the folder out of it; it is made if it is not there.

    The lock ends with the program, however it ends. A file system without locks lets everyone in.

    Raises:
        InputError: another program holds it, or it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise InputError(f"{folder}: cannot be a run folder ({error.strerror}); choose another --output") from None
    try:
        _lock(held, folder)
        with _name_itself(folder / _PID):
            yield
    finally:
        os.close(held)


def check_free(folder: Path) -> None:
    """Refuse a folder that another program works in; makes and holds nothing.

    Raises:
        InputError: naming the folder and the program.
    """
    with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        asked = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            _lock(asked, folder)
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


def _lock(file: int, folder: Path) -> None:
    try:
        flock(file, LOCK_EX | LOCK_NB)
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
