"""Losses of an encoder where a property is erased at one of its blocks, and whether that is where a probe reads it."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from analysis.runs.frames import order_tasks, title_of
from analysis.stats.significance import ALPHA, holm

NOTHING, RANDOM, BY_WORD = "nothing", "random_subspace", "control_task"
"""References that a loss is held against, by the column `against`."""
COSTS = ("bits_per_token",)
"""Metrics in bits; all others are shares."""
LAYER = "layer"
AGREE, DISAGREE, UNUSED = "agree", "do not agree", "nothing lost"
_PLACE = ["erased", "task", "readout", "layer", "metric", "block"]
_BOUNDS = {"": "value", "_low": "ci_low", "_high": "ci_high"}
LINES = {
    "probe": "a probe of the layer, above the majority",
    "lost": "lost at the last layer, erased at this one",
    "random": "the same by as many random directions",
}
"""Lines by depth, and what each is called."""
_KEPT = 0.5
"""Ours: a property counts as made anew where at least half of what was above the majority is there again."""


def list_losses(amnesia: pd.DataFrame) -> pd.DataFrame:
    """One row for each property, block and readout: the score without and with the erasure, and what is lost.

    Returns:
        Columns `erased task title group readout layer layer_name metric block block_name rank n n_train majority`,
        `plain` and `left` (scores), `lost lost_low lost_high`, `beyond` with its bounds (beyond the random directions)
        and `words` (beyond the labels by word; NaN where they were not erased), `p` (sign test of `beyond`) and
        `p_holm` (over the properties and blocks of one readout and metric; of the layers, over those of the last).
    """
    own = amnesia[amnesia["control"] == "none"]
    scores = own[own["against"] == ""]
    plain = scores[scores["block"] < 0].set_index(_PLACE[1:-1])["value"]
    plain = plain[~plain.index.duplicated()]
    rows = scores[scores["block"] >= 0].rename(columns={"value": "left"})
    rows = rows.assign(plain=[plain[tuple(key)] for key in rows[_PLACE[1:-1]].itertuples(index=False)])
    for name, against in {"lost": NOTHING, "beyond": RANDOM, "words": BY_WORD}.items():
        part = own[own["against"] == against].set_index(_PLACE)
        columns = {f"{name}{bound}": part[column] for bound, column in _BOUNDS.items()}
        if against == RANDOM:
            columns["p"] = part.apply(_sign_test, axis=1) if len(part) else part["value"]
        rows = rows.join(pd.DataFrame(columns), on=_PLACE)
    rows = rows.assign(title=rows["task"].map(title_of), last=_is_last(rows)).reset_index(drop=True)
    rows["p_holm"] = np.nan
    for _, places in rows[rows["last"] & rows["p"].notna()].groupby(["readout", "metric"]).groups.items():
        rows.loc[places, "p_holm"] = holm(rows.loc[places, "p"].tolist())
    return _in_order(rows.drop(columns=["control", "against", "ci_low", "ci_high", "worse", "better"]))


def judge_places(losses: pd.DataFrame, depth: pd.DataFrame) -> pd.DataFrame:
    """One row for each property and readout: where a probe reads it best, and where erasing it costs that readout most.

    The last layer is a readout behind all blocks but the last, at whose own output nothing is left by construction;
    heads are behind all. They agree where the block is one of the layers at which a probe is as good as at the best.

    Args:
        losses: from `list_losses`.
        depth: from `analysis.stats.depth.summarise_depth`.

    Returns:
        The row of `losses` at that block, with `best_layer best_name indistinct` of the probe, `rebuilt` (name of the
        deepest block behind whose erasure half of what is above the majority is there again; empty: none, or no
        accuracy) and `verdict`.
    """
    probed = {row["task"]: row for row in depth.to_dict("records")}
    own = losses[losses["last"] & (losses["erased"] == losses["task"])]
    found = []
    for (task, _, _), rows in own.groupby(["task", "readout", "metric"], sort=False):
        behind = rows[rows["block"] < rows["layer"]] if (rows["readout"] == LAYER).all() else rows
        if behind.empty or task not in probed:
            continue
        most, best = dict(max(behind.to_dict("records"), key=lambda one: one["lost"])), probed[task]
        most |= {name: best[name] for name in ("best_layer", "best_name", "indistinct")}
        found.append(most | {"rebuilt": _find_rebuilt(behind), "verdict": _judge(most)})
    return pd.DataFrame(found)


def list_lines(amnesia: pd.DataFrame, losses: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Of one property, in points by layer: what a probe reads, what the last layer loses, and what it loses by chance.

    Args:
        amnesia: its rows as in `Run.amnesia`.
        losses: its rows from `analysis.stats.amnesia.list_losses`.
    """
    majority, last = float(losses["majority"].iloc[0]), losses["layer"].max()
    layers = amnesia[(amnesia["readout"] == LAYER) & (amnesia["erased"] == amnesia["task"])]
    plain = layers[layers["block"] < 0]
    bounds = ["value", "ci_low", "ci_high"]
    probe = plain.assign(**{name: plain[name] - majority for name in bounds})
    at_last = layers[(layers["layer"] == last) & (layers["against"] == "nothing")]
    at_last = at_last.assign(layer=at_last["block"])
    lines = {"probe": probe, "lost": at_last[at_last["control"] == "none"]}
    lines["random"] = at_last[at_last["control"] == "random_subspace"]
    return {name: rows.assign(**{one: 100 * rows[one] for one in bounds}) for name, rows in lines.items()}


def warn_of_amnesia(places: pd.DataFrame) -> Iterator[str]:
    """One line for each property that is missed elsewhere than where a probe reads it best."""
    for row in places.to_dict("records"):
        if row["verdict"] == DISAGREE:
            yield (
                f"{row['title']}: a probe reads it best at {_name(row['best_name'])}, and {name_readout(row)} misses "
                f"it most where it is erased at {_name(row['block_name'])}"
            )


def name_readout(row: Mapping[Any, Any]) -> str:
    """The readout of a row of losses in a sentence."""
    return f"a probe of {_name(row['layer_name'])}" if row["readout"] == LAYER else f"the {row['layer_name']}"


def _judge(row: Mapping[Any, Any]) -> str:
    if not row["p_holm"] < ALPHA or row["beyond"] <= 0:
        return UNUSED
    return AGREE if row["block"] in row["indistinct"] else DISAGREE


def _find_rebuilt(rows: pd.DataFrame) -> str:
    above = rows["plain"] - rows["majority"]
    again = rows[(above > 0) & (rows["left"] - rows["majority"] >= _KEPT * above)]
    return "" if again.empty else str(again.sort_values("block")["block_name"].iloc[-1])


def _sign_test(row: pd.Series) -> float:
    """McNemar's exact p: of the sentences that tell the two apart, as many come out worse as better."""
    worse, better = int(row["worse"]), int(row["better"])
    return float(binomtest(worse, worse + better).pvalue) if worse + better else 1.0


def _is_last(rows: pd.DataFrame) -> pd.Series:
    """True of heads, and of the deepest layer that was read."""
    return (rows["readout"] != LAYER) | (rows["layer"] == rows["layer"].max())


def _in_order(rows: pd.DataFrame) -> pd.DataFrame:
    rank = {task: number for number, task in enumerate(order_tasks(rows))}
    last = len(rank)
    places = rows.assign(_erased=[rank.get(task, last) for task in rows["erased"]], _task=rows["task"].map(rank))
    order = places.sort_values(["_erased", "_task", "readout", "metric", "block", "layer"], kind="stable").index
    return rows.loc[order].reset_index(drop=True)


def _name(layer_name: object) -> str:
    return "the embeddings" if layer_name == "embeddings" else f"layer {layer_name}"
