"""Room for vectors that memory should not hold: arrays in files that end with them."""

import mmap
import os
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from jaxtyping import Float

IN_MEMORY_BYTES = 2**30
"""A larger array goes to a file that is mapped into memory, whose pages the system may take back."""
HELD_BYTES = 2**29
"""Length of a mapped array that is read or written before its pages are given back."""
_NAMED_BY = ("SLURM_TMPDIR", "TMPDIR")
_FOLDERS = WeakKeyDictionary[mmap.mmap, Path]()
"""The folder of each array's file."""


def find_scratch(wanted: Path | None, cache: Path) -> Path:
    """The folder for large arrays: the one asked for, the one that Slurm or the user names, or else the cache's disk.

    A cache may lie on another machine, and the usual place for temporary files in memory: where neither $SLURM_TMPDIR
    nor $TMPDIR names a folder, arrays stay beside the cache.
    """
    named = (os.environ.get(name) for name in _NAMED_BY)
    return wanted or next((Path(name) for name in named if name and Path(name).is_dir()), cache)


def allocate(shape: tuple[int, ...], folder: Path) -> Float[np.ndarray, "..."]:
    """Room for float32 numbers: in memory or, if it is large, in a file of `folder` that ends with the array.

    Raises:
        MemoryError: the disk has no room for it.
    """
    size = 4 * int(np.prod(shape))
    if size <= IN_MEMORY_BYTES:
        return np.empty(shape, dtype=np.float32)
    with TemporaryFile(dir=folder) as file:
        try:
            # A full disk would otherwise show when the pages are written, and kill the program.
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            raise MemoryError(
                f"{folder}: no room for {size / 1e9:.1f} GB ({error.strerror}); name another place by --scratch"
            ) from None
        array = np.asarray(np.memmap(file, np.float32, "r+", shape=shape))
    _FOLDERS[_find_base(array)[0]] = folder
    return array


def allocate_beside(array: Any, shape: tuple[int, ...]) -> Float[np.ndarray, "..."] | None:
    """Room for more numbers in the folder of a mapped array's file; none where that is unknown, or its disk is full."""
    folder = _FOLDERS.get(_find_base(array)[0]) if is_mapped(array) else None
    try:
        return folder and allocate(shape, folder)
    except MemoryError:
        return None


def is_mapped(array: Any) -> bool:
    """True where an array, or the one that it is a view of, stands in a file."""
    return isinstance(_find_base(array)[0], mmap.mmap)


def release(array: Any) -> None:
    """Take a mapped array, or the one that it is a view of, out of this program's memory; others stay as they are.

    What was written is kept, and is read again from the file, or from what the system still has of it, when it is
    looked at.
    """
    base, private = _find_base(array)
    # What was written to a private mapping would be lost.
    if isinstance(base, mmap.mmap) and not private:
        base.madvise(mmap.MADV_DONTNEED)


def _find_base(array: Any) -> tuple[Any, bool]:
    """Find what holds an array's numbers; true beside it where that is a private mapping."""
    private = False
    while isinstance(array, np.ndarray):
        private |= isinstance(array, np.memmap) and array.mode == "c"
        array = array.base
    return array, private
