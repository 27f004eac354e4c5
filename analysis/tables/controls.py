"""Tables of what scores are worth: what is left above each control, by readout and by layer, and the controls' cost."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from analysis.runs.frames import mean_scores
from analysis.runs.probing_run import Run
from analysis.tables.table import (
    Table,
    format_gain,
    format_percent,
    format_points,
    format_score,
    pick_columns,
    shorten_layer,
    tabulate_layers,
)
from probing.catalogue.controls import CONTROLS
from probing.catalogue.measures import QUANTITIES

_MANY = 3
"""Controls whose intervals fit into 100 columns beside the bits, of ten tasks."""
_BOUNDED = ["value", "ci_low", "ci_high"]
_WIDE_NOTE = (
    "Points above each control, paired by test sentence [95 % interval]. Ceiling: what knowing all words of train by "
    "heart reaches on the control task; where that is near the majority, selectivity is little more than the score "
    "less the majority"
)
_NOTE = "Points with the 95 % interval, paired by test sentence."
_NOTES = {
    "control_task": "Selectivity: score minus that of a control task, its classes drawn per word (arXiv 1909.03368).",
    "compression": "Compression: bits of the uniform code per bit of the online code.",
    "usable_information_bits": "Usable bits: information per test sentence that the probe can use (arXiv 2002.10689).",
}
"""By control or quantity; those of columns that are shown stand below the narrow table."""


def tabulate_controls(summary: pd.DataFrame) -> Table:
    """Points of the best layer and of the mix above each control, with their paired intervals; maybe no rows.

    Args:
        summary: from `analysis.stats.controls.summarise_controls`.
    """
    rows = []
    for of_task in _by_task(summary):
        contenders = {row["contender"]: row for row in of_task}
        best, mix = contenders.get("best", {}), contenders.get("mix", {})
        for control in CONTROLS:
            cells = [_format_gain(row, control) for row in (best, mix)]
            if cells != ["-", "-"]:
                known = best or mix
                own = [format_percent(known.get(f"{control}{end}", np.nan)) for end in ("", "_majority", "_ceiling")]
                rows.append([of_task[0]["title"], control, str(best.get("layer_name", "")), *cells, *own])
    heads = ["Task", "Control", "Best layer", "Best layer above it", "Mix above it"]
    heads += ["Control's score", "Control's majority", "Control's ceiling"]
    return Table(_WIDE_NOTE, heads, rows)


def narrow_controls(summary: pd.DataFrame, *, narrow: bool = False) -> Table:
    """The same for a terminal: a column per control, and what is measured in bits beside them; maybe no rows.

    Args:
        summary: from `analysis.stats.controls.summarise_controls`.
        narrow: whether it must do with 80 columns: without what is measured in bits, and with half the width of each
            interval, as where the controls are many.
    """
    shown = {name: control.head for name, control in CONTROLS.items() if f"{name}_difference" in summary}
    bits = {name: facts.head for name, facts in QUANTITIES.items() if facts.head and name in summary and not narrow}
    heads = ["Task", "Readout", *shown.values(), *bits.values()]
    rows = []
    for of_task in _by_task(summary) if shown or "compression" in bits else ():
        for number, row in enumerate(of_task):
            name = "mix" if row["contender"] == "mix" else f"best ({shorten_layer(row['layer_name'])})"
            cells = [
                (_format_half if narrow or len(shown) > _MANY else _format_short)(row, control) for control in shown
            ]
            cells += [_format_bits(row, quantity) for quantity in bits]
            rows.append(["" if number else str(row["title"]), name, *cells])
    note = " ".join([_NOTE, *(text for name, text in _NOTES.items() if name in {**shown, **bits})])
    return Table(note, heads, rows, title="Against controls")


def tabulate_control_layers(run: Run, gains: pd.DataFrame) -> dict[str, Table]:
    """For each control, the points above it and its own score, by layer and task, with their intervals.

    Args:
        run: whose scores.
        gains: from `analysis.stats.controls.mean_gains`.

    Returns:
        By name, such as `above_untrained` and `under_untrained`.
    """
    tables = {}
    for control, own in gains.groupby("control", sort=False):
        text = [f"{format_points(value)} {format_gain(low, high)}" for value, low, high in pick_columns(own, _BOUNDED)]
        what = "Selectivity: points above" if own["metric"].iloc[0] == "selectivity" else "Points above"
        caption = f"{what} {control} [95 % interval], by layer and task"
        tables[f"above_{control}"] = tabulate_layers(own.assign(text=text), caption)
        scores = mean_scores(run.scores, control=str(control))
        text = [format_score(*numbers) for numbers in pick_columns(scores, _BOUNDED)]
        caption = f"Score x 100 under {control} [95 % interval], by layer and task"
        tables[f"under_{control}"] = tabulate_layers(scores.assign(text=text), caption)
    return tables


def tabulate_cost(run: Run) -> Table:
    """Seconds and peak memory of each stage of the run, and its time beside that of the probes themselves.

    No rows where the run did not write it down.
    """
    stages = run.manifest.get("stages", {})
    plain = stages.get("probing", {}).get("seconds", 0)
    rows = [
        [
            name,
            f"{stage['seconds']:z.1f}",
            f"{stage['seconds'] / plain:z.2f}" if plain else "-",
            f"{stage.get('peak_rss_bytes', 0) / 2**30:z.2f}",
        ]
        for name, stage in stages.items()
    ]
    caption = "Cost of each stage; probing: the layers and the mix themselves, which the others are held against"
    return Table(caption, ["Stage", "Seconds", "Times probing", "Peak memory, GiB"], rows)


def _by_task(summary: pd.DataFrame) -> Iterator[list[dict[Any, Any]]]:
    for _, rows in summary.groupby("task", sort=False) if len(summary) else ():
        yield rows.to_dict("records")


def _format_gain(row: Mapping[Any, Any], control: str, form: str = "[{low:+z.1f}, {high:+z.1f}]") -> str:
    """Points above a control with their interval; a dash where there are none."""
    value = row.get(f"{control}_difference", np.nan)
    if np.isnan(value):
        return "-"
    low, high = 100 * row[f"{control}_low"], 100 * row[f"{control}_high"]
    return f"{format_points(value)} {form.format(low=low, high=high, half=(high - low) / 2)}"


_format_short = partial(_format_gain, form="[{low:+z.0f},{high:+z.0f}]")
_format_half = partial(_format_gain, form="± {half:z.0f}")


def _format_bits(row: Mapping[Any, Any], name: str) -> str:
    if np.isnan(row[name]):
        return "-"
    return f"{row[name]:z.2f} ± {(row[f'{name}_high'] - row[f'{name}_low']) / 2:z.2f}"
