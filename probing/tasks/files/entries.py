"""Entries that a reader finds in a file, sound or not.

Readers stop at nothing: each line is an entry or a fault. A run stops at the first fault; the check lists all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from probing.records import Text


class Entry(NamedTuple):
    """One labelled text."""

    line: int
    """Counted from 1, as editors do; of a parquet file, the row."""
    split: str
    """`train`, `dev` or `test`; empty where the file does not say."""
    label: str
    text: Text


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a file."""

    path: Path
    line: int
    """0 where the file as a whole is meant."""
    message: str
    blank: bool = False
    """True where it is a row without a text."""
    ragged: bool = False
    """True where it is a row with too few or too many fields."""

    @property
    def is_usual(self) -> bool:
        """True where the fault is one that published corpora have a few of: such rows are left out, and counted."""
        return self.blank or self.ragged

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}" if self.line else str(self.path)
        return f"{where}: {self.message}"


@dataclass(frozen=True)
class Contents:
    """All that was found in the files of one task."""

    entries: Sequence[Entry]
    faults: Sequence[Fault]
    notes: Sequence[str] = ()
    """Notes on what of the files was not read, a line each."""
