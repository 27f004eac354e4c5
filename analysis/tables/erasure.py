"""Tables of erasure: matrices of properties, and every pair with its interval and its controls."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.stats.erasure import choose_best, choose_mix, pivot
from analysis.tables.table import (
    STAR,
    Table,
    format_gain,
    format_p,
    format_percent,
    format_points,
    pick_columns,
    shorten_layer,
)

NOTE = (
    f"{STAR}: beyond the score with it, a random subspace of the same rank and the control task's labels (largest p of "
    "the three, Holm over the matrix). In brackets: the property's own probe, a check."
)
_WHAT = "Points that the probe of a column changes by when the property of a row is erased (LEACE, arXiv 2306.03819)"
_SHOWN = 12
"""Most rows of the table on a terminal."""


def tabulate_erasure(erasures: pd.DataFrame, summary: pd.DataFrame) -> dict[str, Table]:
    """Matrices and pairs at the best layers and for the mix; no tables where nothing was erased.

    Args:
        erasures: from `analysis.stats.erasure.list_erasures`.
        summary: from `analysis.stats.summary.summarise`.
    """
    if erasures.empty:
        return {}
    best, mix = choose_best(erasures, summary), choose_mix(erasures)
    tables = {"erasure": _tabulate_matrix(best, "each at its best layer")}
    tables["erasure_pairs"] = _tabulate_pairs(best, "each task at its best layer")
    if len(mix):
        tables["erasure_mix"] = _tabulate_matrix(mix, "for the mix, its weights as they were")
        tables["erasure_mix_pairs"] = _tabulate_pairs(mix, "for the mix")
    return tables | {"erasure_layers": _tabulate_layers(erasures)}


def narrow_erasure(erasures: pd.DataFrame, summary: pd.DataFrame) -> Table:
    """The changes that stand, at the best layers, for a terminal: the largest first; maybe no rows.

    Args:
        erasures: from `analysis.stats.erasure.list_erasures`.
        summary: from `analysis.stats.summary.summarise`.
    """
    heads = ["Erased", "Task", "Layer", "Change", "95 % interval", "Random", "Control"]
    if erasures.empty:
        return Table("", heads, [])
    best = choose_best(erasures, summary)
    found = best[best["significant"]].sort_values("value", kind="stable")
    rows = [_tell_pair(row) for row in found.head(_SHOWN).to_dict("records")]
    n, total = len(found), int((~best["own"]).sum())
    more = f" The {_SHOWN} largest of them." if n > _SHOWN else ""
    note = (
        f"Points by which a task changes at its best layer when another property is erased: {n} of {total} pairs, "
        f"those beyond a random subspace of the same rank and the control task's labels (Holm over pairs).{more}"
    )
    return Table(note, heads, rows or [["none", *["-"] * 6]], title="Erasure")


def _tabulate_matrix(matrix: pd.DataFrame, where: str) -> Table:
    values, stars = pivot(matrix), pivot(matrix, "significant").to_dict()
    titles = dict(zip(matrix["task"], matrix["title"], strict=True))
    titles |= dict(zip(matrix["erased"], matrix["erased_title"], strict=True))
    rows = [
        [titles[erased], *(_cell(value, stars[task][erased], erased == task) for task, value in row.items())]
        for erased, row in values.to_dict("index").items()
    ]
    return Table(f"{_WHAT}, {where}. {NOTE}", ["Erased", *(titles[task] for task in values)], rows)


def _cell(value: float, star: object, own: bool) -> str:
    return f"({format_points(value)})" if own else format_points(value) + (STAR if star is True or star == 1 else "")


def _tell_pair(row: Mapping[Any, Any]) -> list[str]:
    points = [format_points(row[name]) for name in ("value", "random", "control")]
    bounds = format_gain(row["ci_low"], row["ci_high"])
    return [row["erased_title"], row["title"], shorten_layer(row["layer_name"]), points[0], bounds, *points[1:]]


def _tabulate_pairs(matrix: pd.DataFrame, where: str) -> Table:
    heads = [
        "Task",
        "Layer",
        "Erased",
        "Rank",
        "Score left",
        "Change [95 % interval]",
        "Random",
        "Control",
        "p",
        "Seen",
    ]
    rows = []
    for row in matrix.to_dict("records"):
        points = [format_points(row[name]) for name in ("value", "random", "control")]
        change = f"{points[0]} {format_gain(row['ci_low'], row['ci_high'])}"
        p = "-" if pd.isna(row["p_holm"]) else format_p(row["p_holm"])
        own = [str(row["layer_name"]), row["erased_title"], str(int(row["rank"])), format_percent(row["after"]), change]
        rows.append([row["title"], *own, *points[1:], p, format_percent(row["covered"])])
    note = (
        f"Points that a task changes by when a property is erased, {where}. Random, Control: when a random subspace of "
        "that rank, or the labels of the property's control task are. p: corrected. Seen: percent of the task's "
        "training sentences that the eraser was fitted on."
    )
    return Table(note, heads, rows)


def _tabulate_layers(erasures: pd.DataFrame) -> Table:
    """Every pair off the diagonal by readout, the mix last."""
    rows = erasures[~erasures["own"].astype(bool)]
    names = dict(pick_columns(rows.sort_values("layer"), ["layer", "layer_name"]))
    order = sorted(names, key=lambda layer: (layer < 0, layer))
    values = {tuple(place): value for *place, value in pick_columns(rows, ["erased_title", "title", "layer", "value"])}
    pairs = dict.fromkeys(pick_columns(rows, ["erased_title", "title"]))
    cells = [[*pair, *(format_points(values.get((*pair, layer), np.nan)) for layer in order)] for pair in pairs]
    note = "Points that a task changes by when a property is erased (LEACE, arXiv 2306.03819), by layer"
    return Table(note, ["Erased", "Task", *(str(names[layer]) for layer in order)], cells)
