"""Room for vectors that memory should not hold: arrays in files that end with them."""

import mmap
import os
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
from jaxtyping import Float

IN_MEMORY_BYTES = 2**30
"""A larger array goes to a file that is mapped into memory, whose pages the system may take back."""
HELD_BYTES = 2**29
"""How much of a mapped array is read or written before its pages are given back."""


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
                f"{folder}: no room for {size / 1e9:.1f} GB beside the cache ({error.strerror})"
            ) from None
        return np.asarray(np.memmap(file, np.float32, "r+", shape=shape))


def release(array: Any) -> None:
    """Take a mapped array, or the one that it is a view of, out of this program's memory; others stay as they are.

    What was written is kept, and is read again from the file, or from what the system still has of it, when it is
    looked at.
    """
    while isinstance(array, np.ndarray):
        # What was written to a private mapping would be lost.
        if isinstance(array, np.memmap) and array.mode == "c":
            return
        array = array.base
    if isinstance(array, mmap.mmap):
        array.madvise(mmap.MADV_DONTNEED)
