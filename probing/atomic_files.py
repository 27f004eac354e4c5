"""Files that are whole or absent, what killed programs leave of those, and text that a spreadsheet may open."""

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from uuid import uuid4

from probing.records import InputError

if TYPE_CHECKING:
    import pandas as pd

_PART = re.compile(r"\..+\.[0-9a-f]{32}")
"""Form of the name of a half-written file or folder: see `name_part`."""
_OS_ERROR = re.compile(r"\(os error (\d+)\)")
"""Number of what the system refused, as libraries in Rust write it."""
_FORMULA = re.compile(r"[=@\t\r]|[+-](?![-+\d., \[\]±*%e]*$)")
"""Cells that a spreadsheet runs: those that begin so, unless they are a number with a sign, or a dash."""


def name_part(path: Path) -> Path:
    """Path of a file or folder while it is being written: beside its place, under a name that no other has."""
    # A name may be as long as the system allows already.
    return path.with_name(f".{path.name[:40]}.{uuid4().hex}")


def to_csv(frame: "pd.DataFrame") -> bytes:
    """A frame as CSV, in which no text is a formula for a spreadsheet: such texts begin with an apostrophe."""
    texts = frame.select_dtypes(exclude=["number", "bool"]).columns
    safe = frame.assign(**{name: frame[name].map(disarm) for name in texts}) if len(texts) else frame
    return safe.to_csv(index=False, lineterminator="\n").encode()


def disarm(cell: object) -> object:
    """A text that would be a formula, with an apostrophe before it; anything else as it is."""
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that no reader, and no killed run, ever sees half of it; its folder is made if need be.

    Raises:
        OSError: with the path as its `filename`; nothing has been changed then.
    """
    part = name_part(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _begin(part) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            # Before the lock ends: without it, the part counts as left over.
            part.replace(path)
    except BaseException as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and error.filename in (None, str(part)):
            # A full disk does not say which file it has no room for, and a part's name tells nobody anything.
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


@contextmanager
def make_part(folder: Path) -> Iterator[Path]:
    """A new folder beside the place of another, to be filled and renamed; it is removed if it still is there then.

    A lock says that somebody is filling it; on a file system without locks nothing does.
    """
    while True:
        part = name_part(folder)
        part.mkdir(parents=True)
        held = os.open(part, os.O_RDONLY)
        with suppress(OSError):
            flock(held, LOCK_EX)
        # As in `_begin`.
        if os.fstat(held).st_nlink:
            break
        os.close(held)
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)
        os.close(held)


def find_refusal(error: BaseException, path: Path) -> OSError | None:
    """Find what the system refused behind an error of a library that writes files; none where it refused nothing.

    torch hides it behind an error of its own, and libraries in Rust write its number into their message.

    Args:
        error: as it was caught.
        path: the file or folder that was to be written, for who reads the message.
    """
    below = error if isinstance(error, Exception) else None
    while below is not None:
        told = _OS_ERROR.search(str(below))
        number = below.errno if isinstance(below, OSError) else int(told[1]) if told else None
        if number:
            return OSError(number, os.strerror(number), str(path))
        below = below.__cause__ or below.__context__
    return None


def find_obstacle(folder: Path) -> str:
    """Why no file can be written in a folder that is there or would be made, in words; empty where one can."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists() or path.is_symlink())
    if not there.is_dir():
        return f"{there}: {'a link to nothing' if there.is_symlink() and not there.exists() else 'a file'}"
    return "" if os.access(there, os.W_OK | os.X_OK) else f"{there}: no permission"


def check_writable(folder: Path, flag: str = "--output") -> None:
    """Refuse a folder that cannot be written, before anything is computed for it.

    Raises:
        InputError: naming it.
    """
    obstacle = find_obstacle(folder)
    if obstacle:
        raise InputError(f"{folder}: cannot be written ({obstacle}); choose another {flag}")


def check_new_file(path: Path, flag: str = "--output") -> None:
    """Refuse a file that cannot be written, before anything is computed for it.

    Raises:
        InputError: naming it.
    """
    if path.is_dir():
        raise InputError(f"{path}: a folder; expected {flag} to be the name of the file to write")
    check_writable(path.parent, flag)


def _begin(part: Path) -> BinaryIO:
    """A new file with a lock that says somebody is writing it; on a file system without locks, without one."""
    while True:
        file = part.open("xb")
        with suppress(OSError):
            flock(file, LOCK_EX)
        # It may have been taken for a leftover in the moment before it was locked.
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()


def is_part(path: Path) -> bool:
    """True where a name is that of something half written."""
    return _PART.fullmatch(path.name) is not None


def remove_leftovers(paths: Iterable[Path]) -> None:
    """Remove those of some paths that killed programs have left half written: files and folders that nobody writes."""
    for path in filter(is_part, paths):
        with suppress(OSError):
            held = os.open(path, os.O_RDONLY)
            try:
                flock(held, LOCK_EX | LOCK_NB)
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
            finally:
                os.close(held)
