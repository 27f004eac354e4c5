"""Tables of two encoders' layers: the nearest ones, change by depth, and its correlation with gradient norms."""

import numpy as np
import pandas as pd

from analysis.tables.table import Table, format_p


def tabulate_nearest(similarities: pd.DataFrame, title: str) -> Table:
    """A row for each layer of one encoder: the same place in the other one, and the layer there that is most alike.

    Args:
        similarities: of one task, columns of `probing.tables.LayerSimilarity`.
        title: above the table.
    """
    rows = []
    for _, own in similarities.groupby("layer"):
        same, nearest = own[own["other_layer"] == own["layer"]], own.iloc[int(own["value"].to_numpy().argmax())]
        here = _format_likeness(same.iloc[0]) if len(same) else "-"
        rows.append([str(nearest["layer_name"]), here, str(nearest["other_layer_name"]), _format_likeness(nearest)])
    note = f"Debiased linear CKA [95 % interval] on {similarities['n'].iloc[0]} test sentences"
    return Table(note, ["Layer", "Same layer", "Nearest", "CKA"], rows, title=title)


def _format_likeness(row: pd.Series) -> str:
    return f"{row['value']:z.3f} [{row['ci_low']:z.3f}, {row['ci_high']:z.3f}]"


def tabulate_change(frame: pd.DataFrame) -> Table:
    """A row per layer: gradient norm, change of weights and of vectors, means over models.

    Args:
        frame: from `analysis.stats.change_by_depth.match_gradients`.
    """
    rows = []
    for _, own in frame.groupby("layer"):
        norms = own["gradient_norm"].dropna()
        norm = f"{np.exp(np.log(norms).mean()):.3g}" if len(norms) and (norms > 0).all() else "-"
        moved = f"{100 * own['weight_change'].mean():z.2f} %"
        rows.append([str(own["layer_name"].iloc[0]), norm, moved, f"{1 - own['vector_change'].mean():z.3f}"])
    models = frame["model"].nunique()
    note = (
        f"Means over {models} trained model{'s' if models > 1 else ''}. Gradient norm: of the block before clipping, "
        "geometric mean over training. Weights: length of the change over the length before. CKA: debiased, of the "
        "same layer before and after; it falls with depth in any case, since layers build on each other."
    )
    return Table(
        note, ["Layer", "Gradient norm", "Change of weights", "CKA with the start"], rows, title="Change by depth"
    )


def tabulate_correlations(found: pd.DataFrame) -> Table:
    """Rank correlations over blocks.

    Args:
        found: from `analysis.stats.change_by_depth.correlate_change`.
    """
    rows = [
        [
            f"change of {row['what']}" if row["what"] != "gradients" else "gradient norms",
            "gradient norms" if row["against"] == "gradients" else "depth",
            f"{row['rank']:z.2f}",
            format_p(row["p"]),
            f"{row['lowest']:z.2f} to {row['highest']:z.2f}",
        ]
        for row in found.to_dict("records")
    ]
    note = f"Over {found['n_blocks'].iloc[0]} blocks, embeddings left out; p not corrected. A correlation is no cause."
    return Table(note, ["What", "Against", "Spearman", "p", "Single models"], rows)
