"""A part of a run: the share of its work that one job of a queue does."""

import re
from dataclasses import dataclass

from probing.records import InputError

ENCODE, CELLS, MERGE = "encode", "cells", "merge"
_FORM = re.compile(rf"({ENCODE}|{CELLS}|{MERGE}):([1-9]\d{{0,5}})/([1-9]\d{{0,5}})")


@dataclass(frozen=True)
class Part:
    """One of several equal shares of a kind of work."""

    kind: str
    """`encode`: sentences into the cache; `cells`: probes and measures; `merge`: what is left, tables and report."""
    number: int
    """From 1 on."""
    count: int

    def __str__(self) -> str:
        return f"{self.kind}:{self.number}/{self.count}"


def parse_part(text: str) -> Part:
    """The part that a word such as `cells:3/8` names.

    Raises:
        InputError: it names none.
    """
    match = _FORM.fullmatch(text)
    if not match or int(match[2]) > int(match[3]):
        raise InputError(f"--part {text}: expected encode:NUMBER/COUNT, cells:NUMBER/COUNT or merge:1/1")
    return Part(match[1], int(match[2]), int(match[3]))
