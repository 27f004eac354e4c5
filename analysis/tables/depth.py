"""At which depth the tasks lie: every summary with its interval, and how far the summaries agree."""

import numpy as np
import pandas as pd

from analysis.tables.table import Table, shorten_layer

_HEADS = {
    "gravity_weight": "Centre of gravity of weights",
    "gravity_contribution": "of contributions",
    "gravity_compression": "of compressions",
    "expected_layer": "Expected layer",
    "entropy_bits": "Entropy of weights, bits",
    "kl_uniform_bits": "KL from even weights, bits",
}
_NARROW_HEADS = {
    "gravity_weight": "CG\nweights",
    "gravity_contribution": "CG contri-\nbutions",
    "entropy_bits": "Bits",
    "gravity_compression": "CG compres-\nsions",
    "expected_layer": "Expected",
}
_NOTE = "As good: layers not significantly worse than the best (McNemar, Holm over layers, p < 0.05)."
_NOTES = {
    "gravity_weight": "CG weights: centre of gravity of the mix's weights.",
    "gravity_contribution": "CG contributions: of weights times lengths about the mean.",
    "entropy_bits": "Bits: entropy of the weights.",
    "gravity_compression": "CG compressions: centre of gravity of compressions.",
    "expected_layer": "Expected: layer by cumulative mixes (arXiv 1905.05950), [ ] over test sentences.",
}
"""By column; those that are shown stand below the narrow table."""
_OF_INTERVALS = "In brackets: 95 % intervals over training sentences."
_RANKS = {
    "rank_weight_contribution": "Weight and contribution",
    "rank_weight_score": "Weight and score alone",
    "rank_contribution_score": "Contribution and score alone",
}


def tabulate_depth(depth: pd.DataFrame) -> Table:
    """Best layer, those as good, and the summaries that the run measured.

    Args:
        depth: from `analysis.stats.depth.summarise_depth`.
    """
    shown = [name for name in _HEADS if depth[name].notna().any()]
    rows = [
        [
            str(row["title"]),
            str(row["best_name"]),
            list_layers(row["indistinct"]),
            *(_format(row, name) for name in shown),
        ]
        for _, row in depth.iterrows()
    ]
    caption = (
        "Depth by task. As good: layers not significantly worse than the best on test (McNemar, Holm over layers). In "
        "brackets, 95 % intervals: over test sentences for the expected layer, else over training sentences"
    )
    return Table(caption, ["Task", "Best layer", "As good", *(_HEADS[name] for name in shown)], rows)


def narrow_depth(depth: pd.DataFrame) -> Table:
    """The same for a terminal: short heads, intervals with one decimal, and none for the entropy."""
    shown = [name for name in _NARROW_HEADS if depth[name].notna().any()]
    rows = [
        [
            str(row["title"]),
            shorten_layer(row["best_name"]),
            list_layers(row["indistinct"]),
            *(_format(row, name, digits=0 if name == "entropy_bits" else 1) for name in shown),
        ]
        for _, row in depth.iterrows()
    ]
    heads = ["Task", "Best", "As good", *(_NARROW_HEADS[name] for name in shown)]
    measured = any(
        depth[f"{name}_low"].notna().any() for name in shown if name not in ("expected_layer", "entropy_bits")
    )
    notes = [_NOTE, *(_NOTES[name] for name in shown), *([_OF_INTERVALS] if measured else [])]
    return Table(" ".join(notes), heads, rows, title="Depth")


def tabulate_agreement(depth: pd.DataFrame) -> Table:
    """Rank correlations over layers of what should point to the same depth, and where it does not; maybe no rows."""
    found = depth[depth[list(_RANKS)].notna().any(axis=1)]
    rows = [[str(row["title"]), *(_format(row, name) for name in _RANKS), _judge(row)] for _, row in found.iterrows()]
    caption = (
        "Spearman's rank correlations over the mixed layers, and whether mix and single layers point to the same "
        "depth: inconclusive where more than half of the layers are not significantly worse than the best"
    )
    return Table(caption, ["Task", *_RANKS.values(), "Mix and layers"], rows)


def _judge(row: pd.Series) -> str:
    return f"{row['agreement']}: {row['disagreement']}" if row["disagreement"] else str(row["agreement"])


def _format(row: pd.Series, name: str, digits: int = 2) -> str:
    """A summary with two decimals, and its bounds with so many; with none, without bounds."""
    if np.isnan(row[name]):
        return "-"
    low, high = (row.get(f"{name}_{bound}", np.nan) for bound in ("low", "high"))
    return f"{row[name]:z.2f}" + ("" if np.isnan(low) or not digits else f" [{low:z.{digits}f}, {high:z.{digits}f}]")


def list_layers(layers: tuple[int, ...]) -> str:
    """Layers in short: runs as `2-5`."""
    runs: list[list[int]] = []
    for layer in layers:
        if runs and layer == runs[-1][-1] + 1:
            runs[-1].append(layer)
        else:
            runs.append([layer])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
