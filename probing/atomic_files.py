"""Files that are whole or absent, and text that a spreadsheet may open."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    import pandas as pd


_FORMULA = re.compile(r"[=@\t\r]|[+-](?![-+\d., \[\]±*%e]*$)")
"""What a spreadsheet runs: cells that begin so, unless they are a number with a sign, or a dash."""


def to_csv(frame: "pd.DataFrame") -> bytes:
    """A frame as CSV, in which no text is a formula for a spreadsheet: such texts begin with an apostrophe."""
    texts = frame.select_dtypes(exclude=["number", "bool"]).columns
    safe = frame.assign(**{name: frame[name].map(disarm) for name in texts}) if len(texts) else frame
    return safe.to_csv(index=False, lineterminator="\n").encode()


def disarm(cell: object) -> object:
    """A text that would be a formula, with an apostrophe before it; anything else as it is."""
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that no reader, and no killed run, ever sees half of it; its folder is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with part.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
