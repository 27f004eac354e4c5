"""Tables of several encoders of one procedure: each one's scores, and a row between them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from analysis.stats.between_encoders import BETWEEN, PAIRS
from analysis.stats.draws import BOOTSTRAP
from analysis.stats.summary import CONTENDERS
from analysis.tables.table import (
    STAR,
    Table,
    format_bounds,
    format_gain,
    format_percent,
    format_points,
    format_score,
    pick_columns,
    tabulate_layers,
)
from probing.catalogue.controls import CONTROLS

_MOST_LISTED = 5
"""Encoders that a terminal lists one by one."""
_METHODS = {
    True: "the two-way bootstrap over encoders and sentences",
    False: "Student's over the encoders and that over the sentences, added up: these are too few to be drawn from",
}
_NOTE = (
    f"{BETWEEN}: mean over {{n}} encoders, (standard deviation between them), [95 % interval of what the procedure's "
    "encoders have in the mean, on any such sentences: {method}]. Best: each encoder's best layer on dev, and where it "
    "mostly is. "
    f"{STAR}: significant between encoders (Student, Holm over tasks; of means, over means)."
)


def tabulate_contenders(rows: pd.DataFrame, title: str = "", *, listed: bool = True) -> Table:
    """By task: the last layer, the best one and the mix of each encoder, and between encoders; x 100 on test.

    Args:
        rows: from `analysis.stats.between_encoders.summarise_between`.
        title: above it on a terminal.
        listed: whether the single encoders have rows.
    """
    own = rows[rows["kind"].isin(["contender", "difference"])]
    shown = [name for name in CONTENDERS if (own["readout"] == name).any()]
    pairs = [pair for one, other in PAIRS if (own["readout"] == (pair := f"{one} - {other}")).any()][:1]
    body, strong = [], []
    for (group, title_of), part in own.groupby(["group", "title"], sort=False):
        name = str(title_of) if part["level"].iloc[0] == "task" else f"mean of {group}"
        cells = {(row["encoder"], row["readout"]): row for row in part.to_dict("records")}
        encoders = [encoder for encoder in dict.fromkeys(part["encoder"]) if listed or encoder == BETWEEN]
        for encoder in sorted(encoders, key=lambda one: one == BETWEEN):
            found = [_format(cells.get((encoder, readout))) for readout in (*shown, *pairs)]
            best = cells.get((encoder, "best"), {}).get("layer_name", "")
            found.insert(shown.index("best") + 1, str(best or ""))
            strong += [len(body)] if encoder == BETWEEN else []
            body.append([name, encoder, *found])
    heads = ["Task", "Encoder", *(one.capitalize() for one in (*shown, *pairs))]
    heads.insert(3 + shown.index("best"), "At")
    return Table(describe(rows), heads, body, title=title, strong=strong)


def tabulate_draws(rows: pd.DataFrame, title: str = "") -> Table:
    """The same for a terminal: a task is named once, and more than a handful of encoders are not listed one by one."""
    whole = tabulate_contenders(rows, title, listed=bool(rows["n_encoders"].max() <= _MOST_LISTED))
    names = ["", *(row[0] for row in whole.rows)]
    body = [["" if row[0] == before else row[0], *row[1:]] for row, before in zip(whole.rows, names, strict=False)]
    return replace(whole, rows=body)


def tabulate_by_layer(rows: pd.DataFrame) -> Table:
    """Every layer, and the mix, between encoders."""
    own = rows[(rows["kind"] == "layer") & (rows["encoder"] == BETWEEN)]
    texts = [_format(row) for row in own.to_dict("records")]
    return tabulate_layers(own.assign(text=texts), f"Score x 100 on test by layer. {describe(rows)}")


def tabulate_above_controls(rows: pd.DataFrame) -> Table:
    """Points that best layers and mixes have above each control, by encoder and between encoders; maybe no rows."""
    own = rows[rows["kind"] == "control"]
    cells = dict(zip(pick_columns(own, _CELL), own.to_dict("records"), strict=True))
    body, strong = [], []
    encoders = sorted(dict.fromkeys(own["encoder"]), key=lambda one: one == BETWEEN)
    for task in dict.fromkeys(own["title"]):
        for control in CONTROLS:
            for encoder in encoders:
                found = [cells.get((task, encoder, f"{contender} - {control}")) for contender in ("best", "mix")]
                if any(found):
                    strong += [len(body)] if encoder == BETWEEN else []
                    body.append([str(task), control, encoder, *map(_format, found)])
    heads = ["Task", "Control", "Encoder", "Best layer above it", "Mix above it"]
    return Table(f"Points above each control. {describe(rows)}", heads, body, strong=strong)


_CELL: Sequence[str] = ("title", "encoder", "readout")


def describe(rows: pd.DataFrame) -> str:
    """The note on the row between encoders."""
    between = rows[rows["encoder"] == BETWEEN]
    many = bool((between["method"] == BOOTSTRAP).any())
    return _NOTE.format(n=int(between["n_encoders"].max()), method=_METHODS[many])


def _format(row: dict[Any, Any] | None) -> str:
    """A number with what is known of it: of a single encoder its interval, between them their deviation too."""
    if row is None or pd.isna(row["value"]):
        return "-"
    signed = row["kind"] in ("difference", "control")
    if row["encoder"] == BETWEEN:
        value = (format_points if signed else format_percent)(row["value"]) + (STAR if row["significant"] else "")
        bounds = format_gain(row["low"], row["high"]) if signed else format_bounds(row["low"], row["high"])
        return f"{value} ({format_percent(row['spread'])}) {bounds}"
    if pd.isna(row["low"]):
        return (format_points if signed else format_percent)(row["value"])
    if signed:
        return f"{format_points(row['value'])} {format_gain(row['low'], row['high'])}"
    return format_score(row["value"], row["low"], row["high"])
