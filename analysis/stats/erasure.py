"""Changes of a task's probe when another property is erased: matrices of properties, and the changes that stand.

A change stands where the probe does worse (or better) without the property than with it, than without a random subspace
of the same rank, and than without the labels of the control task: the largest of the three p counts (an
intersection-union test; Berger 1982, Technometrics 24, 295), corrected by Holm over the matrix. A property's own place
on the diagonal is a check of the erasure, and takes no part.
"""

import json
from collections.abc import Iterator

import numpy as np
import pandas as pd

from analysis.runs.frames import headline_metrics, order_tasks, title_of
from analysis.runs.probing_run import Run
from analysis.stats.significance import ALPHA, holm
from probing.catalogue.measures import name_quantities

_PLACE = ["erased", "task", "representation", "layer"]
COLUMNS = [*_PLACE, "layer_name", "group", "title", "erased_title", "metric", "value", "ci_low", "ci_high", "n"]
COLUMNS += ["random", "control", "beyond", "after", "rank", "covered", "p", "own"]
"""Columns of `list_erasures`."""

_ENOUGH = 10
"""Training sentences for each dimension from which on an eraser nearly holds for other sentences too."""
_NEARLY_ALL = 0.9
"""Share of a task's training sentences that an eraser was fitted on, from which on it need not hold for others."""


def list_erasures(run: Run) -> pd.DataFrame:
    """One row for each readout, task probed and property erased, in the papers' order; maybe none.

    `value` is the score without the property minus the score with it; `random` and `control` are the same for the
    controls (NaN where there is none), and `beyond` what of the change neither of them has; `p` is the largest of the
    three, not corrected, and 1 where there is nothing beyond; `own` is true on the diagonal.
    """
    rows = run.scores[run.scores["metric"].isin(name_quantities("erasure"))]
    if rows.empty:
        return pd.DataFrame(columns=COLUMNS)
    changes = rows.pivot(index=_PLACE, columns="metric", values="value").reindex(columns=name_quantities("erasure"))
    own = rows[rows["metric"] == "erasure"].set_index(_PLACE)
    known = pd.DataFrame([json.loads(text) for text in own["hyperparameters"]], index=own.index)
    frame = own[["layer_name", "group", "value", "ci_low", "ci_high", "n"]].join(known[["after", "rank", "covered"]])
    frame = frame.assign(random=changes["erasure_random"], control=changes["erasure_control"])
    frame["beyond"] = _go_beyond(frame["value"], frame[["random", "control"]].assign(nothing=0.0))
    frame["p"] = known.filter(regex="^p(_|$)").max(axis=1).where(frame["beyond"] != 0, 1.0)
    frame = frame.reset_index()
    frame = frame.assign(own=frame["erased"] == frame["task"], metric=frame["task"].map(headline_metrics(run.scores)))
    frame = frame.assign(title=frame["task"].map(title_of), erased_title=frame["erased"].map(title_of))
    order = pd.Categorical(frame["task"], order_tasks(frame)), pd.Categorical(frame["erased"], order_tasks(frame))
    frame = frame.assign(_task=order[0], _erased=order[1]).sort_values(["_task", "layer", "_erased"], ignore_index=True)
    return frame[COLUMNS]


def warn_of_erasure(run: Run) -> Iterator[str]:
    """One line where erasers of few sentences were applied to many others: there much of the property is left.

    Measured (Tense, width 384): probed on other sentences, an eraser of 150 leaves 83 % right, of 1,000 66, of 2,000
    60, of 5,000 54, where 50 is chance; on its own sentences each leaves 50.
    """
    erasures, width = list_erasures(run), run.manifest.get("encoder", {}).get("hidden_size", 0)
    sizes = {task: facts["train"] for task, facts in run.manifest.get("tasks", {}).items()}
    others = erasures[~erasures["own"].astype(bool) & (erasures["covered"] < _NEARLY_ALL)]
    few = [task for task in others["erased"].unique() if sizes.get(task, 0) < _ENOUGH * width]
    if few:
        named = ", ".join(title_of(task) for task in few)
        least = min(sizes.get(task, 0) for task in few)
        yield (
            f"Erasers of {named} were fitted on {least:,} sentences or more, fewer than {_ENOUGH} for each of {width} "
            "dimensions, and applied to others too, where part of the property is left: a task that loses nothing may "
            "still read it (docs/method/erasure.md)."
        )


def judge(matrix: pd.DataFrame) -> pd.DataFrame:
    """The rows of one matrix with `p_holm`, corrected over all places off the diagonal, and `significant`."""
    corrected = np.full(len(matrix), np.nan)
    corrected[~matrix["own"].to_numpy(dtype=bool)] = holm(matrix.loc[~matrix["own"].astype(bool), "p"].tolist())
    return matrix.assign(p_holm=corrected, significant=corrected < ALPHA)


def choose_best(erasures: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """The matrix of each task at the layer that is best on dev.

    Args:
        erasures: from `list_erasures`.
        summary: from `analysis.stats.summary.summarise`.
    """
    tasks = summary[summary["level"] == "task"]
    best = dict(zip(tasks["task"], tasks["best_layer"], strict=True))
    layers = erasures[erasures["representation"] == "layer"]
    return judge(layers[layers["layer"] == layers["task"].map(best)])


def choose_mix(erasures: pd.DataFrame) -> pd.DataFrame:
    """The matrix of the mix; no rows where none was read."""
    return judge(erasures[erasures["representation"] == "scalar_mix"])


def choose_layer(erasures: pd.DataFrame, layer: int) -> pd.DataFrame:
    """The matrix of one layer."""
    return judge(erasures[(erasures["representation"] == "layer") & (erasures["layer"] == layer)])


def pivot(matrix: pd.DataFrame, column: str = "value") -> pd.DataFrame:
    """Properties that are erased as rows, tasks that are probed as columns."""
    table = matrix.pivot(index="erased", columns="task", values=column)
    tasks = list(dict.fromkeys(matrix["task"]))
    return table.reindex(index=list(dict.fromkeys(matrix["erased"])), columns=tasks)


def _go_beyond(value: pd.Series, controls: pd.DataFrame) -> pd.Series:
    """The part of a change that lies beyond those of all controls, on its own side of 0."""
    losses, gains = value - controls.min(axis=1), value - controls.max(axis=1)
    return losses.clip(upper=0).where(value < 0, gains.clip(lower=0))
