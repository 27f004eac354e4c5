"""Layers that are nearly the same beside the weights that they have in the mix, and what the mix loses without each.

A mix cannot tell two equal layers apart: any split of their weight between them gives the same predictions, and where a
fit ends is chance. Two mixed layers are called alike where their debiased CKA is above .95 and each has more than
half of an even share of the weight, 1 / (2 L) of L mixed layers. Both bounds are ours. Such weights are read together.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import pandas as pd

from analysis.runs.frames import mean_scores, order_tasks, title_of
from analysis.runs.probing_run import Run

NEAR = 0.95
"""Debiased CKA above which two layers are nearly the same."""
_PAIR = ["task", "title", "layer", "layer_name", "other_layer", "other_layer_name", "value", "ci_low", "ci_high"]
_PAIR += ["weight", "other_weight"]
_VIEW = ["task", "title", "neighbours_low", "neighbours_high", "alike"]
_VIEW += [f"{view}_{fact}" for view in ("weight", "contribution") for fact in ("layer", "share")]
_VIEW += ["cost_layer", "cost", "cost_low", "cost_high", "bits_layer", "bits", "bits_low", "bits_high"]
KNOCKOUTS = {"cost": "knockout_accuracy", "bits": "knockout_bits"}
"""Cost of a knock-out -> the value of the column `metric`."""


def find_alike(similarities: pd.DataFrame, weights: pd.DataFrame) -> pd.DataFrame:
    """Pairs of mixed layers that are nearly the same and share the weight.

    Args:
        similarities: as in `Run.similarities`.
        weights: from `analysis.runs.frames.mean_weights`.

    Returns:
        Columns `task title layer layer_name other_layer other_layer_name value ci_low ci_high weight other_weight`; no
        rows where there are no such pairs, or either was not measured.
    """
    own = similarities[similarities["checkpoint"] == similarities["other_checkpoint"]]
    if own.empty or weights.empty:
        return pd.DataFrame(columns=_PAIR)
    pairs = own[(own["layer"] < own["other_layer"]) & (own["value"] > NEAR)]
    shares = weights[["task", "title", "layer", "weight"]]
    least = 1 / (2 * shares.groupby("task")["layer"].transform("size"))
    heavy = shares[shares["weight"] > least]
    others = heavy.drop(columns="title").rename(columns={"layer": "other_layer", "weight": "other_weight"})
    return pairs.merge(heavy, on=["task", "layer"]).merge(others, on=["task", "other_layer"])[_PAIR]


def warn_of_alike(pairs: pd.DataFrame) -> Iterator[str]:
    """One line for every task whose mix shares its weight among layers that are nearly the same."""
    for title, own in pairs.groupby("title", sort=False):
        named = ", ".join(
            f"{row['layer_name']} and {row['other_layer_name']} (CKA {row['value']:.2f}, "
            f"{100 * row['weight']:.0f} and {100 * row['other_weight']:.0f} % of the weight)"
            for row in own.to_dict("records")
        )
        yield f"{title}: layers {named} are nearly the same, and their weights wander between them: read their sum"


def summarise_views(run: Run, weights: pd.DataFrame, alike: pd.DataFrame) -> pd.DataFrame:
    """Three views of which layer counts, a row per task; NaN and empty where the run did not measure one.

    * `neighbours_low` and `neighbours_high`: the lowest and the highest CKA of neighbouring layers.
    * `alike`: the pairs of `find_alike`, such as `3-4 (.97)`.
    * `weight_layer`, `weight_share`, and the same of contributions: the layer that has most of the mix.
    * `cost_layer`, `cost`, `cost_low`, `cost_high`: the layer without which the mix loses most accuracy, what it loses
      and the interval of that; `bits_*` likewise of bits per sentence.

    Args:
        run: with its scores and similarities.
        weights: from `analysis.runs.frames.mean_weights`.
        alike: from `find_alike`.

    Returns:
        Columns `_VIEW`; no rows where neither similarities nor knock-outs were measured.
    """
    lost = {view: list_knockouts(run.scores, metric) for view, metric in KNOCKOUTS.items()}
    own = run.similarities[run.similarities["checkpoint"] == run.similarities["other_checkpoint"]]
    tasks = order_tasks(run.scores)
    known = {*own["task"], *(task for rows in lost.values() if len(rows) for task in rows["task"])}
    rows = []
    for task in [task for task in tasks if task in known]:
        row = {"task": task, "title": title_of(task)} | _weigh(weights[weights["task"] == task])
        row |= _compare(own[own["task"] == task], alike[alike["task"] == task])
        for view, frame in lost.items():
            row |= _pick_dearest(frame[frame["task"] == task], view) if len(frame) else {}
        rows.append(row)
    return pd.DataFrame(rows, columns=_VIEW)


def list_knockouts(scores: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Losses by knocked-out layer, from `mean_scores`; an empty frame where they were not measured."""
    rows = scores[(scores["metric"] == metric) & (scores["control"] == "none")]
    return mean_scores(rows, metric=metric) if len(rows) else rows


def _weigh(weights: pd.DataFrame) -> dict[str, Any]:
    if weights.empty:
        return {}
    tops = {view: weights.iloc[int(weights[view].to_numpy().argmax())] for view in ("weight", "contribution")}
    return {f"{view}_layer": top["layer_name"] for view, top in tops.items()} | {
        f"{view}_share": float(top[view]) for view, top in tops.items()
    }


def _compare(similarities: pd.DataFrame, alike: pd.DataFrame) -> dict[str, Any]:
    if similarities.empty:
        return {}
    layers = sorted(similarities["layer"].unique())
    following = dict(pairwise(layers))
    near = similarities[similarities["layer"].map(following) == similarities["other_layer"]]["value"]
    named = ", ".join(name_pair(row) for row in alike.to_dict("records"))
    return {"neighbours_low": near.min(), "neighbours_high": near.max(), "alike": named}


def name_pair(row: Mapping[Any, Any]) -> str:
    """A pair of layers with its CKA."""
    return f"{row['layer_name']}-{row['other_layer_name']} ({row['value']:.2f})"


def _pick_dearest(rows: pd.DataFrame, view: str) -> dict[str, Any]:
    if rows.empty:
        return {}
    top = rows.iloc[int(rows["value"].to_numpy().argmax())]
    return {f"{view}_layer": top["layer_name"], view: top["value"]} | {
        f"{view}_{end}": top[f"ci_{end}"] for end in ("low", "high")
    }
