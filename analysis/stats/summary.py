"""A run in one tidy frame: last layer, best layer, mix, their differences, means by group, centre of gravity."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis.runs.frames import mean_scores, mean_weights
from analysis.runs.probing_run import Run
from probing.records import GROUPS

CONTENDERS = ("last", "best", "mix")
"""Readouts that a run compares: the last layer alone, the best single layer by dev score, the scalar mix of the
layers."""

_MEANS = ["majority", *CONTENDERS, "mix_minus_last", "mix_minus_best", "best_minus_last"]
_MEANS += ["gravity_weight", "gravity_contribution"]


def summarise(run: Run, control: str = "none") -> pd.DataFrame:
    """The rows of `summarise_tasks` (`level` is `task`), then those of `summarise_groups` (`level` is `group`).

    Raises:
        InputError: the run has no scores for this control, or scores of several models.
    """
    tasks = summarise_tasks(run, control)
    return pd.concat([tasks.assign(level="task"), summarise_groups(tasks).assign(level="group")], ignore_index=True)


def summarise_tasks(run: Run, control: str = "none") -> pd.DataFrame:
    """One row per task, scores in [0, 1] on test, seeds averaged; NaN where the run has no such score.

    The best layer is the one with the highest *dev* score (the lowest of equals), so that its test score is not
    flattered by the choice; therefore it may be lower than another layer's. `gravity_weight` and
    `gravity_contribution` are `centre_of_gravity` of the mix.

    Returns:
        Columns `task title metric group n n_classes n_seeds majority`; for each of `CONTENDERS` `X X_low X_high X_layer
        X_name`; `mix_minus_last mix_minus_best best_minus_last gravity_weight gravity_contribution`.

    Raises:
        InputError: the run has no scores for this control, or scores of several models.
    """
    test, dev = (mean_scores(run.scores, split, control) for split in ("test", "dev"))
    best = choose_layers(dev)
    last = int(test["layer"].max())
    rows = [_summarise_task(rows, last, best.get(str(task), -1)) for task, rows in test.groupby("task", sort=False)]
    return pd.DataFrame(rows).merge(_gravity(run.weights, control), on="task", how="left")


def summarise_groups(tasks: pd.DataFrame) -> pd.DataFrame:
    """Means over the tasks of each group, and of all: `mix_minus_last` of `semantic` is BERMo's mean gain.

    A mean is NaN where one of its tasks has no value: means over different tasks must not be compared.
    """
    groups = [group for group in GROUPS if (tasks["group"] == group).any()]
    frames: Mapping[str, pd.DataFrame] = {group: tasks[tasks["group"] == group] for group in groups} | {"all": tasks}
    rows = [{"group": group, "n_tasks": len(rows), **rows[_MEANS].mean(skipna=False)} for group, rows in frames.items()]
    return pd.DataFrame(rows)


def choose_layers(dev: pd.DataFrame) -> dict[str, int]:
    """Task -> the layer with the highest dev score, unrounded; the lowest of equals."""
    layers = dev[dev["representation"] == "layer"].sort_values(["value", "layer"], ascending=[False, True])
    chosen = layers.drop_duplicates("task")
    return dict(zip(chosen["task"].tolist(), chosen["layer"].tolist(), strict=True))


def readout_of(task: Mapping | pd.Series, contender: str) -> tuple[str, int]:
    """Representation and layer that a contender is, on a task of `summarise_tasks`."""
    return "scalar_mix" if contender == "mix" else "layer", int(task[f"{contender}_layer"])


def centre_of_gravity(frame: pd.DataFrame, column: str = "weight") -> pd.Series:
    """Sum over l of l * w_l per task: the depth around which a mix lies (arXiv 1905.05950, section 3.1).

    Args:
        frame: columns `task layer` and `column`, whose values sum to 1 over the layers of a task.
        column: `weight`, or `contribution` where layer norms differ.
    """
    moments = frame["layer"] * frame[column]
    return moments.groupby(frame["task"], sort=False).sum()


def _gravity(weights: pd.DataFrame, control: str) -> pd.DataFrame:
    means = mean_weights(weights, control)
    columns = {f"gravity_{name}": centre_of_gravity(means, name) for name in ("weight", "contribution")}
    return pd.DataFrame(columns, dtype=float).rename_axis("task").reset_index()


def _summarise_task(rows: pd.DataFrame, last: int, best: int) -> dict[str, object]:
    first = rows.iloc[0]
    single, mix = rows["representation"] == "layer", rows["representation"] == "scalar_mix"
    row = {name: first[name] for name in ("task", "title", "metric", "group", "n", "n_classes", "n_seeds", "majority")}
    row |= _contender("last", rows[single & (rows["layer"] == last)])
    row |= _contender("best", rows[single & (rows["layer"] == best)])
    row |= _contender("mix", rows[mix])
    for one, other in (("mix", "last"), ("mix", "best"), ("best", "last")):
        row[f"{one}_minus_{other}"] = row[one] - row[other]
    return row


def _contender(name: str, rows: pd.DataFrame) -> dict[str, object]:
    if rows.empty:
        return {name: np.nan, f"{name}_low": np.nan, f"{name}_high": np.nan, f"{name}_layer": -1, f"{name}_name": ""}
    row = rows.iloc[0]
    return {
        name: row["value"],
        f"{name}_low": row["ci_low"],
        f"{name}_high": row["ci_high"],
        f"{name}_layer": row["layer"],
        f"{name}_name": row["layer_name"],
    }
