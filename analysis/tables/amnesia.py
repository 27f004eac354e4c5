"""Tables of properties erased inside an encoder: where it hurts, whether later layers have them again, all losses."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.runs.frames import title_of
from analysis.stats.amnesia import COSTS, LAYER
from analysis.stats.significance import ALPHA
from analysis.tables.depth import list_layers
from analysis.tables.table import STAR, Table, format_percent, pick_columns, shorten_layer

_TESTED = f"{STAR}: beyond what as many random directions lose (sign test by sentence, Holm, p < 0.05)"
_READOUTS = {"layer": "last layer", "masked_lm": "masked LM", "classifier": "classifier"}
_HEADS = {"masked_accuracy": "masked LM, points", "bits_per_token": "masked LM, bits"}


def tabulate_amnesia(losses: pd.DataFrame, places: pd.DataFrame) -> dict[str, Table]:
    """All of them, by the names of their files; those without rows are left out.

    Args:
        losses: from `analysis.stats.amnesia.list_losses`.
        places: from `analysis.stats.amnesia.judge_places`.
    """
    if losses.empty:
        return {}
    tables = {
        "amnesia": tabulate_places(places),
        "amnesia_recovery": tabulate_recovery(losses),
        "amnesia_losses": tabulate_losses(losses),
        "amnesia_others": tabulate_others(losses),
    }
    return {name: table for name, table in tables.items() if table.rows}


def tabulate_places(places: pd.DataFrame) -> Table:
    """Layers where a probe reads each property best, and blocks where erasing it costs most."""
    rows = [
        [
            str(row["title"]),
            name_readout(row),
            f"{shorten_layer(row['best_name'])} ({list_layers(row['indistinct'])})",
            shorten_layer(row["block_name"]),
            format_loss(row, "lost"),
            format_loss(row, "beyond", star=True),
            shorten_layer(row["rebuilt"]) or "-",
            str(row["verdict"]),
        ]
        for row in places.to_dict("records")
    ]
    caption = (
        "Where a probe reads a property best (in brackets: layers as good), and the block at which erasing it costs "
        "most: a new probe of the last layer, behind the blocks below it, or a head as it is; points, or bits per "
        f"hidden token [95 % interval]. {_TESTED}. Made anew: the deepest block behind whose erasure at least half of "
        "what is above the majority is there again. Agree: the block that costs most is among the layers as good as "
        "the best. For the last layer it is deep by construction: few blocks are left above it to make it anew"
    )
    heads = ["Task", "Readout", "Probe best", "Costs most at", "Lost", "Beyond random", "Made anew", "They"]
    return Table(caption, heads, rows)


def narrow_places(places: pd.DataFrame) -> Table:
    """The same for a terminal, without intervals of the losses and with short heads."""
    rows = [
        [
            str(row["title"]),
            name_readout(row),
            shorten_layer(row["best_name"]),
            shorten_layer(row["block_name"]),
            format_number(row, "lost"),
            format_number(row, "beyond") + (STAR if is_beyond(row) else ""),
            shorten_layer(row["rebuilt"]) or "-",
            str(row["verdict"]),
        ]
        for row in places.to_dict("records")
    ]
    note = (
        "Erased: the block at which erasing the property costs most, in points or bits of a probe of the last layer or "
        f"of a head. {_TESTED}. Anew: the deepest block behind which half of it is there again."
    )
    heads = ["Task", "Readout", "Probe\nbest", "Erased\nat", "Lost", "Beyond\nrandom", "Anew", "They"]
    return Table(note, heads, rows, title="Erased inside the encoder" if rows else "")


def tabulate_recovery(losses: pd.DataFrame) -> Table:
    """Scores of each later layer behind an erasure, a row for each property and block."""
    own = losses[(losses["readout"] == LAYER) & (losses["erased"] == losses["task"])]
    names = dict(pick_columns(own.sort_values("layer"), ["layer", "layer_name"]))
    rows = []
    for task, part in own.groupby("task", sort=False):
        plain = dict(pick_columns(part, ["layer", "plain"]))
        rows.append([title_of(str(task)), "nowhere", *(format_percent(plain.get(layer, np.nan)) for layer in names)])
        for block, at in part.groupby("block"):
            left = dict(pick_columns(at, ["layer", "left"]))
            name = shorten_layer(names.get(block, block))
            rows.append([title_of(str(task)), name, *(format_percent(left.get(layer, np.nan)) for layer in names)])
    firsts = own.groupby("task", sort=False)["majority"].first()
    majorities = ", ".join(f"{title_of(str(task))} {format_percent(value)}" for task, value in firsts.items())
    caption = (
        "Accuracy x 100 of a new probe on each layer, by the block at whose output its property was erased. Majority: "
        f"{majorities}; {describe_sizes(own)}"
    )
    return Table(caption, ["Task", "Erased at", *map(shorten_layer, names.values())], rows)


def tabulate_losses(losses: pd.DataFrame) -> Table:
    """Losses of the last layer and of each head, a row for each property, readout and block."""
    own = losses[losses["last"] & (losses["erased"] == losses["task"])]
    rows = [
        [
            str(row["title"]),
            name_readout(row),
            shorten_layer(row["block_name"]),
            str(row["rank"]),
            *(format_score(row, name) for name in ("plain", "left")),
            format_loss(row, "lost"),
            format_loss(row, "beyond", star=True),
            format_loss(row, "words"),
        ]
        for row in own.to_dict("records")
    ]
    caption = (
        "What is lost where a property is erased, in points or bits per hidden token [95 % interval, paired by test "
        f"sentence]. {_TESTED}. By word: beyond labels drawn once per word; {describe_sizes(own)}"
    )
    heads = ["Task", "Readout", "Erased at", "Directions", "Before", "After", "Lost", "Beyond random", "Beyond by word"]
    return Table(caption, heads, rows)


def tabulate_others(losses: pd.DataFrame) -> Table:
    """Losses of the last layer in each task where another one's property is erased: at the block that costs most."""
    rows = losses[losses["last"] & (losses["readout"] == LAYER) & (losses["block"] < losses["layer"])]
    if (rows["erased"] == rows["task"]).all():
        return Table("", [], [])
    tasks = list(dict.fromkeys(rows["task"]))
    most = rows.loc[rows.groupby(["erased", "task"])["beyond"].idxmax()]
    cells = {
        (row["erased"], row["task"]): f"{format_loss(row, 'beyond', star=True)} ({shorten_layer(row['block_name'])})"
        for row in most.to_dict("records")
    }
    table = [[title_of(one), *(cells.get((one, task), "-") for task in tasks)] for one in dict.fromkeys(rows["erased"])]
    caption = (
        "Points that a new probe of the last layer loses, by erased property (rows) and probed task (columns), beyond "
        "as many random directions, at the block where that is most (in round brackets: a maximum over blocks, and so "
        f"above 0 by chance). {_TESTED}; {describe_sizes(rows)}"
    )
    return Table(caption, ["Erased", *map(title_of, tasks)], table)


def describe_sizes(losses: pd.DataFrame) -> str:
    """Numbers of sentences that the numbers rest on: they may be fewer than those of the run."""
    n_train, n = (sorted(set(losses[name])) for name in ("n_train", "n"))
    spans = [f"{many[0]:,}" if len(many) == 1 else f"{many[0]:,} to {many[-1]:,}" for many in (n_train, n)]
    return f"{spans[0]} training and {spans[1]} test sentences"


def name_readout(row: Mapping[Any, Any]) -> str:
    """The readout of a row, with the unit where it is not the usual one."""
    return _HEADS.get(row["metric"], _READOUTS[row["readout"]])


def is_beyond(row: Mapping[Any, Any]) -> bool:
    """True where more is lost than random directions lose."""
    return bool(row["p_holm"] < ALPHA and row["beyond"] > 0)


def format_loss(row: Mapping[Any, Any], name: str, *, star: bool = False) -> str:
    """A loss with its interval."""
    if np.isnan(row[name]):
        return "-"
    bounds = f"[{format_number(row, f'{name}_low')}, {format_number(row, f'{name}_high')}]"
    return f"{format_number(row, name)} {bounds}{STAR if star and is_beyond(row) else ''}"


def format_number(row: Mapping[Any, Any], name: str) -> str:
    """A loss in points, or in bits."""
    return f"{row[name]:+z.2f}" if row["metric"] in COSTS else f"{100 * row[name]:+z.1f}"


def format_score(row: Mapping[Any, Any], name: str) -> str:
    """A score times 100, or bits."""
    return f"{row[name]:z.2f}" if row["metric"] in COSTS else format_percent(row[name])
