"""A table of strings, and how numbers stand in its cells."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

STAR = "*"
"""Stands behind a value that is supported."""
EQUAL = "="
"""Stands behind a difference that is shown to be small."""


@dataclass(frozen=True)
class Table:
    """A table of strings, which terminal, page and LaTeX render alike."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    """The first cell of a row is its head."""
    title: str = ""
    """Title above it on a terminal."""
    strong: Collection[int] = ()
    """Numbers of the rows that are set off."""


def table_of(frame: pd.DataFrame, caption: str) -> Table:
    """A frame of strings as a table; rows that hold the mean over seeds are set off."""
    rows = [list(map(str, row)) for row in frame.itertuples(index=False, name=None)]
    means = frame["Seed"] == "mean" if "Seed" in frame else pd.Series(False, index=frame.index)
    return Table(caption, [str(head) for head in frame.columns], rows, strong=np.flatnonzero(means).tolist())


def frame_of(table: Table) -> pd.DataFrame:
    """A table as a frame of strings."""
    return pd.DataFrame(list(table.rows), columns=list(table.heads), dtype=object)


def tabulate_layers(frame: pd.DataFrame, caption: str) -> Table:
    """A table of layers and tasks, what is no single layer first.

    Args:
        frame: columns `layer layer_name title text`.
        caption: of the table.
    """
    titles = list(dict.fromkeys(frame["title"]))
    names = dict(pick_columns(frame.sort_values("layer"), ["layer", "layer_name"]))
    cells = {(layer, title): text for layer, title, text in pick_columns(frame, ["layer", "title", "text"])}
    order = [layer for layer in sorted(names, reverse=True) if layer >= 0]
    order = [layer for layer in names if layer < 0] + order
    return Table(
        caption,
        ["Layer", *titles],
        [[str(names[layer]), *(str(cells.get((layer, title), "-")) for title in titles)] for layer in order],
    )


def pick_columns(frame: pd.DataFrame, names: Sequence[str]) -> Iterable[tuple]:
    """Row by row, the values of some columns."""
    return frame[list(names)].itertuples(index=False, name=None)


def format_percent(value: float) -> str:
    """A share or score times 100; a dash where there is none."""
    return "-" if np.isnan(value) else f"{100 * value:z.1f}"


def format_points(value: float) -> str:
    """A difference times 100, with its sign; a dash where there is none."""
    return "-" if np.isnan(value) else f"{100 * value:+z.1f}"


def mark_verdict(pair: Mapping[Any, Any] | pd.Series) -> str:
    """The signs behind a difference: significant, and equivalent within the margin; a small one can be both."""
    return (STAR if pair["significant"] else "") + (EQUAL if pair["equivalent"] else "")


def format_bounds(low: float, high: float) -> str:
    """An interval of a score, times 100."""
    return f"[{100 * low:z.1f}, {100 * high:z.1f}]"


def format_gain(low: float, high: float) -> str:
    """An interval of a difference, times 100, with signs."""
    return f"[{100 * low:+z.1f}, {100 * high:+z.1f}]"


def format_score(value: float, low: float, high: float) -> str:
    """A score times 100 with its interval."""
    return f"{100 * value:z.1f} {format_bounds(low, high)}"


def format_p(value: float) -> str:
    """A p value to three digits."""
    return "< 0.001" if value < 0.001 else f"{value:z.3f}"


def shorten_layer(name: object) -> str:
    """A layer's name for a narrow column."""
    return "emb" if name == "embeddings" else str(name)
