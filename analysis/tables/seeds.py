"""Scores of what was fitted from several seeds, with three intervals."""

from collections.abc import Callable

import pandas as pd

from analysis.stats.seeds import KINDS
from analysis.tables.table import Table, format_bounds, format_percent, shorten_layer

_NOTE = (
    "Accuracy x 100 on test, seeds averaged, with 95 % intervals: over test sentences for these seeds, over other "
    "seeds for these sentences (Student), and over both, added up."
)


def tabulate_seeds(seeds: pd.DataFrame) -> Table:
    """A row for each readout; no rows where nothing was fitted from several seeds.

    Args:
        seeds: from `analysis.stats.seeds.summarise_seeds`.
    """
    caption = "Accuracy x 100 on test, seeds averaged, with 95 % intervals over sentences, over seeds, and over both"
    heads = ["Task", "Readout", "Seeds", "Score", *(f"Over {kind}" for kind in KINDS)]
    return Table(caption, heads, _list_rows(seeds, str))


def narrow_seeds(seeds: pd.DataFrame) -> Table:
    """The same rows for a terminal."""
    heads = ["Task", "Readout", "Seeds", "Score", *(f"Over\n{kind}" for kind in KINDS)]
    return Table(_NOTE, heads, _list_rows(seeds, shorten_layer), title="Several seeds")


def _list_rows(seeds: pd.DataFrame, name_layer: Callable[[object], str]) -> list[list[str]]:
    return [
        [
            str(row["title"]),
            name_layer(row["layer_name"]),
            str(row["n_seeds"]),
            format_percent(row["value"]),
            *(format_bounds(row[f"{kind}_low"], row[f"{kind}_high"]) for kind in KINDS),
        ]
        for row in seeds.to_dict("records")
    ]
