"""The tables below the main one on a terminal: controls, depth and seeds, in at most 100 columns."""

import numpy as np
import pandas as pd
from rich import box
from rich.table import Table

from analysis.stats.seeds import KINDS
from analysis.tables.depth import list_layers

_CONTROLS = {
    "bag_of_embeddings": "over\nembeddings",
    "untrained": "over\nuntrained",
    "control_task": "selec-\ntivity",
    "shuffled_labels": "over\nshuffled",
}
_MEASURES = {"compression": "compres-\nsion", "usable_information_bits": "usable\nbits"}
_CONTROLS_NOTE = (
    "Points with the 95 % interval, paired by test sentence. Selectivity: score minus that of a control task, whose "
    "classes are drawn per word (arXiv 1909.03368). Compression: bits of the uniform code per bit of the online code."
)
_DEPTH_NOTE = (
    "As good: layers not significantly worse than the best (McNemar, Holm over layers, p < 0.05). CG: centre of "
    "gravity of the mix's weights, of weights times vector lengths, of compressions. Bits: entropy of the weights. "
    "Expected: layer by cumulative mixes (arXiv 1905.05950). In brackets: 95 % intervals over training sentences; of "
    "the expected layer, over test sentences."
)


_SEEDS_NOTE = (
    "Accuracy x 100 on test, seeds averaged, with 95 % intervals: over test sentences for these seeds, over other "
    "seeds for these sentences (Student), and over both (bootstrap of seeds and, within, sentences)."
)
_DEPTHS = {
    "gravity_weight": "CG\nweights",
    "gravity_contribution": "CG contri-\nbutions",
    "entropy_bits": "Bits",
    "gravity_compression": "CG compres-\nsions",
    "expected_layer": "Expected",
}


def draw_controls(summary: pd.DataFrame, *, narrow: bool = False) -> Table:
    """What the best layer and the mix have over each control; no rows where the run had none.

    Args:
        summary: from `analysis.stats.controls.summarise_controls`.
        narrow: whether it must do with 80 columns: without what is measured in bits.
    """
    shown = {name: head for name, head in _CONTROLS.items() if f"{name}_difference" in summary}
    measures = {name: head for name, head in _MEASURES.items() if name in summary and not narrow}
    table = _start("Against controls", _CONTROLS_NOTE, ["Task", "Reading", *shown.values(), *measures.values()])
    if not shown and "compression" not in measures:
        return table
    for _, rows in summary.groupby("task", sort=False):
        for number, (_, row) in enumerate(rows.iterrows()):
            reading = "mix" if row["contender"] == "mix" else f"best ({_short(row['layer_name'])})"
            cells = [_points(row, f"{name}_difference", name) for name in shown]
            cells += [_bits(row, name) for name in measures]
            table.add_row("" if number else str(row["title"]), reading, *cells)
    return table


def draw_depth(depth: pd.DataFrame) -> Table:
    """Best layers, centres of gravity and what else says at which depth a task lies.

    Args:
        depth: from `analysis.stats.depth.summarise_depth`.
    """
    shown = [name for name in _DEPTHS if depth[name].notna().any()]
    table = _start("Depth", _DEPTH_NOTE, ["Task", "Best", "As good", *(_DEPTHS[name] for name in shown)])
    for _, row in depth.iterrows():
        cells = [_number(row[name]) if name == "entropy_bits" else _range(row, name) for name in shown]
        table.add_row(str(row["title"]), _short(row["best_name"]), list_layers(row["indistinct"]), *cells)
    return table


def draw_seeds(seeds: pd.DataFrame) -> Table:
    """Scores of the readings that were fitted from several seeds, with three intervals; no rows without such.

    Args:
        seeds: from `analysis.stats.seeds.summarise_seeds`.
    """
    heads = ["Task", "Reading", "Seeds", "Score", *(f"Over\n{kind}" for kind in KINDS)]
    table = _start("Several seeds", _SEEDS_NOTE, heads)
    for _, row in seeds.iterrows():
        ranges = [rf"\[{100 * row[f'{kind}_low']:.1f}, {100 * row[f'{kind}_high']:.1f}]" for kind in KINDS]
        reading = _short(row["layer_name"])
        table.add_row(str(row["title"]), reading, str(row["n_seeds"]), f"{100 * row['value']:.1f}", *ranges)
    return table


def _start(title: str, note: str, heads: list[str]) -> Table:
    table = Table(title=title, caption=note, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.caption_justify = "left"
    table.padding = (0, 1, 0, 0)
    for number, head in enumerate(heads):
        table.add_column(head, justify="left" if number < 2 else "right", no_wrap=True)
    return table


def _points(row: pd.Series, value: str, control: str) -> str:
    if value not in row or np.isnan(row[value]):
        return "-"
    low, high = 100 * row[f"{control}_low"], 100 * row[f"{control}_high"]
    return rf"{100 * row[value]:+.1f} \[{low:+.0f},{high:+.0f}]"


def _bits(row: pd.Series, name: str) -> str:
    if np.isnan(row[name]):
        return "-"
    return f"{row[name]:.2f} ± {(row[f'{name}_high'] - row[f'{name}_low']) / 2:.2f}"


def _range(row: pd.Series, name: str) -> str:
    if np.isnan(row[name]) or np.isnan(row[f"{name}_low"]):
        return _number(row[name])
    return rf"{row[name]:.2f} \[{row[f'{name}_low']:.1f}, {row[f'{name}_high']:.1f}]"


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2f}"


def _short(name: str) -> str:
    return "emb" if name == "embeddings" else str(name)
