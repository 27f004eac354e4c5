"""Findings of a run, in sentences with numbers: of its mix and its gradients, of two runs, of a pair of trainings."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.runs.training_run import TrainingRun
from analysis.stats.depth import AGREE, INCONCLUSIVE, judge_agreement
from analysis.tables.depth import list_layers

_HEADS = {"last_layer": "a head on the last layer", "scalar_mix": "a head on the mix"}
_CONTENDERS = {"last": "Last layers", "best": "Best layers", "mix": "Mixes"}


def conclude_mix(depth: pd.DataFrame, weights: pd.DataFrame, n_layers: int) -> list[str]:
    """A sentence per task: which layer the mix takes most from, and how that fits the single layers' scores.

    Args:
        depth: from `analysis.stats.depth.summarise_depth`.
        weights: from `analysis.runs.frames.mean_weights`; maybe no rows.
        n_layers: single layers that were probed.
    """
    rows = dict(list(weights.groupby("task", sort=False)))
    return [_conclude_depth(row, rows.get(row["task"]), n_layers) for row in depth.to_dict("records")]


def conclude_gradients(gradients: pd.DataFrame) -> list[str]:
    """Conclude how much of the top layer's gradient the lowest layer gets, by head; and how large the two heads' are.

    Args:
        gradients: as in `Run.gradients`; the rows of hidden states at the last step are described.
    """
    rows = gradients[gradients["quantity"] == "hidden"]
    if rows.empty:
        return ["This run measured no gradients: --gradients 16 does."]
    rows = rows[rows["step"] == rows["step"].max()]
    table = np.log(rows.pivot_table(index="layer", columns=["head", "task"], values="value"))
    if len(table) < 2:
        return ["This run probed one layer: there is no depth to compare gradients over."]
    over = f"geometric mean over {rows['task'].nunique()} tasks, after {rows['step'].iloc[0]} steps"
    names = dict(zip(rows["layer"], rows["layer_name"], strict=True))
    low, high = (_layer(names[layer]) for layer in (table.index[0], table.index[-1]))
    shares = np.exp((table.iloc[0] - table.iloc[-1]).groupby(level="head", sort=False).mean())
    sentences = [
        f"With {_HEADS.get(str(head), str(head))}, the gradient at {low} is {share:z.2f} times that at {high} ({over})."
        for head, share in shares.items()
    ]
    if set(_HEADS) <= set(shares.index):
        ratios = np.exp((table["scalar_mix"] - table["last_layer"]).mean(axis=1))
        sentences.append(
            f"Layer by layer, the gradient of the head on the mix is {ratios.min():z.2f} to {ratios.max():z.2f} times "
            "that of the head on the last layer. Shares over depth compare; sizes depend on how far a head is trained."
        )
    return sentences


def conclude_pairs(pairs: pd.DataFrame, first: str, second: str) -> list[str]:
    """A sentence per contender: on which tasks the second run is significantly better or worse than the first.

    Args:
        pairs: from `analysis.stats.between_runs.compare_runs`.
        first: name of the run to compare with.
        second: name of the run in question.
    """
    sentences = []
    for contender, rows in pairs.groupby("contender", sort=False):
        sure = rows[rows["significant"]]
        equal = int((rows["equivalent"] & ~rows["significant"]).sum())
        up, down = (_points(sure[sign * sure["difference"] > 0]) for sign in (1, -1))
        sentences.append(
            f"{_CONTENDERS[str(contender)]}: {second} is significantly better than {first} on {up} and significantly "
            f"worse on {down}; of {len(rows)} tasks {equal} are equivalent, and "
            f"{len(rows) - len(sure) - equal} inconclusive."
        )
    return sentences


def conclude_sizes(bert: TrainingRun, bermo: TrainingRun) -> str:
    """At how many depths BERMo's gradient norm is the smaller one, which a share of the first block does not say."""
    means = [_mean_norms(run) for run in (bert, bermo)]
    layers = means[0].index.intersection(means[1].index)
    smaller = int((means[1][layers] < means[0][layers]).sum())
    return (
        f"In size, the gradient of {bermo.model} is smaller than that of {bert.model} at {smaller} of {len(layers)} "
        "depths; the claim of better flow is about the first block's share of the last one's."
    )


def conclude_claims(table: pd.DataFrame) -> list[str]:
    """A sentence per claim.

    Args:
        table: from `analysis.replication.claims_table`.
    """
    return [
        f"{row['Claim'].capitalize()} on {row['Task']}: {row['Verdict']} (effect and 95 % interval "
        f"{row['Effect']}, {row['Seeds']} seeds)."
        for row in table.to_dict("records")
    ]


def _conclude_depth(row: Mapping[Any, Any], weights: pd.DataFrame | None, n_layers: int) -> str:
    others = tuple(layer for layer in row["indistinct"] if layer != row["best_layer"])
    as_good = (
        f"not significantly worse on test: {list_layers(others)}" if others else "the others are significantly worse"
    )
    alone = f"{row['title']}: the best single layer, by dev, is {_layer(row['best_name'])}"
    alone += f" ({as_good})" if n_layers > 1 else ", the only one probed"
    if weights is None:
        return f"{alone}. This run learned no mix for it."
    top = weights.iloc[int(weights["contribution"].to_numpy().argmax())]
    # Of one fit a share is a fact, and no statement on what the property is taken from.
    fit = "" if pd.notna(row.get("gravity_contribution_low", np.nan)) else ", of one fit, without an interval"
    share = f"{100 * top['contribution']:z.0f} % from {_layer(top['layer_name'])}{fit}"
    mixed = f"{alone}. The mix takes {share}, its centre of gravity is {row['gravity_contribution']:z.1f}"
    return f"{mixed}: {_judge_depth(row, n_layers)}."


def _judge_depth(row: Mapping[Any, Any], n_layers: int) -> str:
    if row["disagreement"]:
        return f"they disagree ({row['disagreement']})"
    agreement = judge_agreement(row, n_layers)
    if agreement == INCONCLUSIVE:
        alike = f"{len(row['indistinct'])} of {n_layers} layers are not significantly worse than the best"
        return f"{alike}, so the depth of this task is inconclusive"
    return "inside the range of those layers" if agreement == AGREE else "outside the range of those layers"


def _points(rows: pd.DataFrame) -> str:
    cells = [f"{row['title']} {100 * row['difference']:+z.1f}" for row in rows.to_dict("records")]
    return f"{len(cells)} ({', '.join(cells)})" if cells else "none"


def _mean_norms(run: TrainingRun) -> pd.Series:
    rows = run.log[(run.log["quantity"] == "gradient_norm") & (run.log["value"] > 0)]
    return rows["value"].map(np.log).groupby(rows["layer"]).mean()


def _layer(name: object) -> str:
    return f"layer {name}" if str(name).isdigit() else f"the {name}" if name == "embeddings" else str(name)
