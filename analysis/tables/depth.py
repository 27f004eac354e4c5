"""At which depth the tasks lie: every summary with its interval, and how far the summaries agree."""

import numpy as np
import pandas as pd

from analysis.tables.scores import Table

_HEADS = {
    "gravity_weight": "Centre of gravity of weights",
    "gravity_contribution": "of contributions",
    "gravity_compression": "of compressions",
    "expected_layer": "Expected layer",
    "entropy_bits": "Entropy of weights, bits",
    "kl_uniform_bits": "KL from even weights, bits",
}
_RANKS = {
    "rank_weight_contribution": "Weight and contribution",
    "rank_weight_score": "Weight and score alone",
    "rank_contribution_score": "Contribution and score alone",
}


def tell_depth(depth: pd.DataFrame) -> Table:
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
            *(_show(row, name) for name in shown),
        ]
        for _, row in depth.iterrows()
    ]
    caption = (
        "Depth by task. As good: layers not significantly worse than the best on test (McNemar, Holm over layers). In "
        "brackets, 95 % intervals: over test sentences for the expected layer, else over training sentences"
    )
    return Table(caption, ["Task", "Best layer", "As good", *(_HEADS[name] for name in shown)], rows)


def tell_agreement(depth: pd.DataFrame) -> Table:
    """Rank correlations over layers of what should point to the same depth, and where it does not; maybe no rows."""
    found = depth[depth[list(_RANKS)].notna().any(axis=1)]
    rows = [
        [str(row["title"]), *(_show(row, name) for name in _RANKS), str(row["disagreement"]) or "none"]
        for _, row in found.iterrows()
    ]
    caption = "Spearman's rank correlations over the mixed layers, and where weights, contributions and layers disagree"
    return Table(caption, ["Task", *_RANKS.values(), "Disagreement"], rows)


def _show(row: pd.Series, name: str) -> str:
    if np.isnan(row[name]):
        return "-"
    low, high = (row.get(f"{name}_{bound}", np.nan) for bound in ("low", "high"))
    return f"{row[name]:.2f}" + ("" if np.isnan(low) else f" [{low:.2f}, {high:.2f}]")


def list_layers(layers: tuple[int, ...]) -> str:
    """Layers in short: runs as `2-5`."""
    runs: list[list[int]] = []
    for layer in layers:
        if runs and layer == runs[-1][-1] + 1:
            runs[-1].append(layer)
        else:
            runs.append([layer])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
