"""Change by depth beside gradient norms: is where an encoder changed more than where its gradients were large?

Of each trained model and block l: the change of the weights ||theta_l' - theta_l|| / ||theta_l||, the change of the
vectors 1 - CKA(h_l, h_l') about the start, and the geometric mean over training of the gradient norm of the block.
Billa 2026 (arXiv 2604.17177) asks of the change of vectors by depth whether it is the model's own or that of the
gradients' size. Ranks over blocks are correlated (Spearman) for the mean over models, that of logarithms for norms and
changes of weights: p is exact, by all orders of the blocks where there are at most eight, else by the t law.

A correlation does not tell cause: vectors of layer l change with all blocks below it, so that their change grows with
depth whatever is learned there, and gradients shrink or grow with depth by themselves. What would tell is training with
equal steps in every block, which is not done here. The embeddings are left out: few of their rows take part in a step.
"""

from collections.abc import Iterator
from itertools import permutations
from typing import Any, cast

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.stats import spearmanr

from analysis.runs.training_run import TrainingRun
from analysis.stats.depth import correlate_ranks
from analysis.stats.significance import ALPHA

MEASURES = {"weight_change": "weights", "vector_change": "vectors"}
"""Column of `match_gradients` -> what changed."""
COLUMNS = ["model", "layer", "layer_name", "weight_change", "vector_change", "gradient_norm"]
_EXACT = 8
"""Blocks up to which all orders are tried: 40,320 of them."""
_FEWEST = 4
"""Blocks; of three no order has a p below .05."""


def match_gradients(training: TrainingRun, similarities: pd.DataFrame, changes: pd.DataFrame) -> pd.DataFrame:
    """Changes and gradient norms of each trained model by layer.

    Args:
        training: whose log has the gradient norms.
        similarities: columns of `probing.tables.LayerSimilarity`, and `trained`, the folder of the model.
        changes: columns of `probing.tables.LayerChange`.

    Returns:
        `COLUMNS`; `vector_change` is the mean over tasks; `gradient_norm` NaN where the log has none.
    """
    same = similarities[similarities["layer"] == similarities["other_layer"]]
    moved = 1 - same.groupby(["trained", "layer"])["value"].mean()
    frame = changes.rename(columns={"trained": "model", "value": "weight_change"})
    frame = frame.join(moved.rename("vector_change"), on=["model", "layer"])
    return frame.join(_average_norms(training), on=["model", "layer"])[COLUMNS].reset_index(drop=True)


def correlate_change(frame: pd.DataFrame) -> pd.DataFrame:
    """Spearman's correlations over blocks of changes with gradient norms, and of both with depth.

    Args:
        frame: from `match_gradients`.

    Returns:
        Columns `what against rank p lowest highest n_blocks n_models`: `what` of `MEASURES` or `gradients`, `against`
        `gradients` or `depth`; `rank` of the means over models, the lowest and highest of a single model. No rows where
        fewer than four blocks have all numbers.
    """
    blocks = frame[frame["layer"] > 0].dropna(subset=["weight_change", "vector_change", "gradient_norm"])
    blocks = blocks[(blocks[["weight_change", "gradient_norm"]] > 0).all(axis=1)]
    logs = blocks.assign(gradients=np.log(blocks["gradient_norm"]), weight_change=np.log(blocks["weight_change"]))
    means = logs.groupby("layer")[["weight_change", "vector_change", "gradients"]].mean().reset_index(names="depth")
    if len(means) < _FEWEST:
        return pd.DataFrame()
    pairs = [(column, "gradients") for column in MEASURES]
    pairs += [(column, "depth") for column in (*MEASURES, "gradients")]
    return pd.DataFrame([_correlate(logs.rename(columns={"layer": "depth"}), means, *pair) for pair in pairs])


def explain_change(found: pd.DataFrame) -> Iterator[str]:
    """Sentences on the correlations with gradient norms, and what each means.

    Args:
        found: from `correlate_change`.
    """
    if found.empty:
        yield "Change by depth is not held against gradients: it needs four blocks or more, and their norms in the log."
        return
    for row in found[found["against"] == "gradients"].to_dict("records"):
        models = f"{row['n_models']} model{'s' if row['n_models'] > 1 else ''}"
        facts = f"Spearman {row['rank']:.2f}, p {row['p']:.3f}, over {row['n_blocks']} blocks, {models}"
        yield f"Change of {row['what']} by depth {_judge(row)} ({facts})."


def _judge(row: dict[Any, Any]) -> str:
    if not row["p"] < ALPHA:
        return "and gradient norms show no common order: neither is read off the other"
    if row["rank"] > 0:
        return "follows gradient norms: where it is large is no sign by itself of where the task is learned"
    return "runs against gradient norms: it is more than their size"


def _average_norms(training: TrainingRun) -> pd.Series:
    """Geometric mean over steps of each model's gradient norms, by the folder of the model and layer."""
    key = [name for name in ("seed", "method", "sparsity", "penalty", "variant") if name in training.models]
    log = training.log[(training.log["quantity"] == "gradient_norm") & (training.log["value"] > 0)]
    folders = training.models[[*key, "folder"]].drop_duplicates()
    log = log.merge(folders, on=key)
    logs = pd.Series(np.log(log["value"]), index=log.index)
    means = logs.groupby([log["folder"], log["layer"]]).mean()
    return means.map(np.exp).rename("gradient_norm").rename_axis(["model", "layer"])


def _correlate(logs: pd.DataFrame, means: pd.DataFrame, column: str, against: str) -> dict[str, Any]:
    rank = correlate_ranks(means[column], means[against])
    single = [correlate_ranks(own[column], own[against]) for _, own in logs.groupby("model", sort=False)]
    return {
        "what": MEASURES.get(column, column), "against": against, "rank": rank,
        "p": find_p(means[column].to_numpy(), means[against].to_numpy(dtype=float)), "lowest": min(single),
        "highest": max(single), "n_blocks": len(means), "n_models": logs["model"].nunique(),
    }  # fmt: skip


def find_p(one: Float[np.ndarray, " blocks"], other: Float[np.ndarray, " blocks"]) -> float:
    """Two-sided p of Spearman's correlation, exact where blocks are few; ties count as their mean rank."""
    if len(one) > _EXACT:
        return float(cast(Any, spearmanr(one, other)).pvalue)
    ranks = [pd.Series(values).rank().to_numpy() for values in (one, other)]
    centred = [values - values.mean() for values in ranks]
    found = abs(centred[0] @ centred[1])
    orders = np.array(list(permutations(centred[1])))
    # Sums of halves are exact, but for the last digit.
    return float((np.abs(orders @ centred[0]) >= found - 1e-9).mean())
