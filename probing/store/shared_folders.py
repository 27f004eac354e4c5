"""Folders that all hosts of a run must see: a file in them says so, for a host may have another folder of that name."""

import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from uuid import uuid4

from probing.atomic_files import write_atomically
from probing.records import InputError


@dataclass(frozen=True)
class SharedFolders:
    """Folders in which a file was put, which whoever else sees them finds there."""

    folders: tuple[Path, ...] = ()
    token: str = ""
    """Content of the files, which bear its name."""

    def check(self) -> None:
        """Refuse to work where one of them is not seen: writing there would make another of that name.

        Raises:
            InputError: naming it.
        """
        for folder in self.folders:
            _check(folder, self.token)


NOWHERE = SharedFolders()
"""No folder: one process sees what it sees."""


@contextmanager
def mark_folders(folders: Sequence[Path]) -> Iterator[SharedFolders]:
    """Put a file into folders, by which other hosts know them; afterwards it is removed.

    Raises:
        OSError: one of them cannot be written.
    """
    token = uuid4().hex
    places = tuple(dict.fromkeys(folder.resolve() for folder in folders))
    try:
        for folder in places:
            write_atomically(_file(folder, token), token.encode())
        yield SharedFolders(places, token)
    finally:
        for folder in places:
            with suppress(OSError):
                _file(folder, token).unlink()


@lru_cache(maxsize=16)
def _check(folder: Path, token: str) -> None:
    with suppress(OSError):
        if _file(folder, token).read_text() == token:
            return
    raise InputError(f"{folder}: not seen by host {platform.node()}; expected a folder that all hosts share")


def _file(folder: Path, token: str) -> Path:
    # A name that `remove_leftovers` takes for a half-written file, should a killed run leave it.
    return folder / f".seen.{token}"
