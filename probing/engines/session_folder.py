"""The folder of a cluster that is started for one command; what killed commands have left of theirs goes."""

import os
import shutil
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

_PREFIX = "bermo-ray-"
_YOUNG_S = 60.0
"""Age from which on a folder that nobody holds has been left: it is held right after it was made."""


@dataclass(frozen=True)
class SessionFolder:
    """A folder that is held until it is removed, or until its program has ended, however it ends."""

    path: Path
    held: int
    """Descriptor by which it is held."""

    def remove(self) -> None:
        """Remove it with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self.held)


def make_session_folder(parent: Path = Path("/tmp")) -> SessionFolder:
    """A new folder whose name is short: the path of a socket in it may have 107 letters.

    Raises:
        OSError: it cannot be made.
    """
    for left in parent.glob(f"{_PREFIX}*"):
        # Another user's cannot be opened, or not removed.
        with suppress(OSError):
            _remove_left(left)
    path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    return SessionFolder(path, _hold(path))


def _remove_left(folder: Path) -> None:
    held = _hold(folder)
    try:
        if time.time() - os.fstat(held).st_mtime > _YOUNG_S:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(held)


def _hold(folder: Path) -> int:
    """Take a folder's lock.

    Raises:
        OSError: another program has it, or it is no folder of this user's.
    """
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        flock(held, LOCK_EX | LOCK_NB)
    except BaseException:
        os.close(held)
        raise
    return held
