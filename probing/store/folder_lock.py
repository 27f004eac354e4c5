"""One run at a time in a folder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

from probing.records import InputError


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
        flock(held, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        os.close(held)
        raise InputError(f"{folder}: a run is working in it; wait for it to end, or choose another --output") from None
    except OSError:
        pass
    try:
        yield
    finally:
        os.close(held)
