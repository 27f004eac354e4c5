"""Layers alike: which layer counts by three views, which ones are nearly the same, and how like all pairs are."""

import numpy as np
import pandas as pd

from analysis.runs.frames import order_tasks, title_of
from analysis.runs.probing_run import Run
from analysis.stats.alike import NEAR
from analysis.tables.table import Table, format_points, pick_columns, shorten_layer

_VIEWS = {
    "weight": "Weighs most",
    "contribution": "Contributes most",
    "cost": "Costs most accuracy",
    "bits": "Costs most bits",
    "alike": "Alike, sharing the weight",
    "neighbours": "CKA of neighbours",
}
_NOTE = (
    "Costs: what the mix loses on test with that layer at its training mean, weights and classifier as they are, in "
    "points and in bits per sentence [95 % interval, paired; the layer is the dearest of all, which its interval "
    f"leaves out]. Alike: mixed layers with a debiased CKA above {NEAR} and more than half of an even share of the "
    "weight each; such weights are read together."
)


def tabulate_views(views: pd.DataFrame) -> Table:
    """A row per task: the layer that counts most by weight, contribution and knock-out, and layers that are alike.

    Args:
        views: from `analysis.stats.alike.summarise_views`.
    """
    return _draw(views, _VIEWS, _NOTE)


def narrow_views(views: pd.DataFrame, *, narrow: bool = False) -> Table:
    """The same for a terminal: short heads; in 80 columns without bits and the CKA of neighbours."""
    heads = {
        "weight": "Weighs\nmost", "contribution": "Contri-\nbutes", "cost": "Costs most\naccuracy",
        "bits": "Costs most\nbits", "alike": "Alike, with\nweight", "neighbours": "CKA of\nneighbours",
    }  # fmt: skip
    left_out = ("bits", "neighbours") if narrow else ()
    return _draw(
        views, {name: head for name, head in heads.items() if name not in left_out}, _NOTE, title="Layers alike"
    )


def tabulate_pairs(run: Run) -> Table:
    """CKA of every pair of layers, a row per pair and a column per task; no rows where it was not measured."""
    rows = run.similarities
    rows = rows[(rows["checkpoint"] == rows["other_checkpoint"]) & (rows["layer"] < rows["other_layer"])]
    tasks = [task for task in order_tasks(run.scores) if task in set(rows["task"])]
    pairs = rows.sort_values(["layer", "other_layer"]).drop_duplicates(["layer", "other_layer"])
    cells = {
        (task, layer, other): f"{value:z.3f} [{low:z.3f}, {high:z.3f}]"
        for task, layer, other, value, low, high in pick_columns(
            rows, ["task", "layer", "other_layer", "value", "ci_low", "ci_high"]
        )
    }
    lines = [
        [f"{name} - {other_name}", *(cells.get((task, layer, other), "-") for task in tasks)]
        for layer, name, other, other_name in pick_columns(
            pairs, ["layer", "layer_name", "other_layer", "other_layer_name"]
        )
    ]
    caption = "Debiased linear CKA of layers on test sentences [95 % interval], by pair and task"
    return Table(caption, ["Layers", *map(title_of, tasks)], lines)


def _draw(views: pd.DataFrame, heads: dict[str, str], note: str, title: str = "") -> Table:
    cells = {name: [_CELLS[name](row) for row in views.to_dict("records")] for name in heads}
    shown = [name for name in heads if any(cell != "-" for cell in cells[name])]
    # That no layers are alike is a finding, but only where likeness was measured beside a mix.
    if "alike" not in shown and "neighbours" in cells and views["weight_layer"].notna().any():
        shown += ["alike"] if any(cell != "-" for cell in cells["neighbours"]) else []
    shown = [name for name in heads if name in shown]
    rows = [
        [str(task), *(cells[name][number] for name in shown)] for number, task in enumerate(views["title"]) if shown
    ]
    return Table(note, ["Task", *(heads[name] for name in shown)], rows, title=title)


def _format_share(view: str, row: dict) -> str:
    return (
        "-"
        if pd.isna(row[f"{view}_layer"])
        else f"{shorten_layer(row[f'{view}_layer'])} ({100 * row[f'{view}_share']:z.0f} %)"
    )


def _format_cost(row: dict) -> str:
    if pd.isna(row["cost_layer"]):
        return "-"
    bounds = f"[{format_points(row['cost_low'])}, {format_points(row['cost_high'])}]"
    return f"{shorten_layer(row['cost_layer'])}: {100 * row['cost']:z.1f} {bounds}"


def _format_bits(row: dict) -> str:
    if pd.isna(row["bits_layer"]):
        return "-"
    return f"{shorten_layer(row['bits_layer'])}: {row['bits']:z.2f} [{row['bits_low']:z.2f}, {row['bits_high']:z.2f}]"


def _format_range(row: dict) -> str:
    low, high = row["neighbours_low"], row["neighbours_high"]
    return "-" if pd.isna(low) or np.isnan(low) else f"{low:z.2f} to {high:z.2f}"


def _format_alike(row: dict) -> str:
    return row["alike"] if isinstance(row["alike"], str) and row["alike"] else "-"


_CELLS = {
    "weight": lambda row: _format_share("weight", row),
    "contribution": lambda row: _format_share("contribution", row),
    "cost": _format_cost,
    "bits": _format_bits,
    "alike": _format_alike,
    "neighbours": _format_range,
}
"""Column of the table -> the cell of a row of `summarise_views`."""
