"""Paired comparisons within a run: which difference is more than the noise of its test set."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from analysis.runs.frames import ACCURACY
from analysis.runs.probing_run import Run
from analysis.stats.significance import ALPHA, average_intervals, holm, is_equivalent, mcnemar, smallest_difference
from analysis.stats.summary import readout_of, summarise_tasks
from probing.bootstrap import interval_of_differences
from probing.records import GROUPS, InputError

PAIRS = (("mix", "last"), ("mix", "best"), ("best", "last"))
"""The comparisons that the tables and figures show."""

COLUMNS = ["level", "task", "group", "first", "second", "difference", "ci_low", "ci_high", "p", "p_holm", "n"]
COLUMNS += ["smallest", "significant", "equivalent"]


def compare_all(run: Run, control: str = "none") -> pd.DataFrame:
    """The rows of `compare` for each of `PAIRS`: without a mix, only for `best` against `last`.

    Raises:
        InputError: as `compare`.
    """
    tasks = summarise_tasks(run, control)
    frames = [compare(run.predictions, tasks, *pair, control=control) for pair in PAIRS]
    whole = pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)
    if whole.empty and (tasks["metric"] == ACCURACY).any():
        raise InputError(f"{run.folder}: no task has two representations to compare")
    return whole


def compare(
    predictions: pd.DataFrame, tasks: pd.DataFrame, first: str, second: str, *, control: str = "none"
) -> pd.DataFrame:
    """Accuracy of `first` minus accuracy of `second`, per task that has both, and as a mean by group.

    A group of which some task lacks one of the two has no mean: it would be a mean over other tasks. Neither has a
    task that another metric heads: what that makes of a sentence is not right or wrong.

    Args:
        predictions: as in `Run.predictions`.
        tasks: from `summarise_tasks`.
        first: `last`, `best` or `mix`.
        second: likewise.
        control: whose predictions.

    Returns:
        `COLUMNS`. The interval is the 95 % interval of paired differences over test sentences; of a group mean, those
        of its tasks in one. `p` is McNemar's, `p_holm` corrected over the tasks; of a group mean, that of a normal law
        as wide as the interval, corrected over the means; `smallest` is the difference that the test set can resolve;
        `significant` is by `p_holm`; `equivalent` where the difference is shown to be below a point, either way.

    Raises:
        InputError: predictions are missing, or are of different test sentences.
    """
    chosen = predictions[predictions["control"] == control]
    rows = dict(list(chosen.groupby(["task", "representation", "layer"], sort=False)))
    both = tasks[tasks[[first, second]].notna().all(axis=1) & (tasks["metric"] == ACCURACY)].to_dict("records")
    differences = {
        str(task["task"]): paired_differences(*(_find(rows, task, name) for name in (first, second))) for task in both
    }
    group_of = dict(zip(tasks["task"], tasks["group"], strict=True))
    rows_out = _compare_tasks(differences, group_of) + _compare_groups(differences, group_of)
    return pd.DataFrame(rows_out, columns=COLUMNS).assign(first=first, second=second)


def paired_differences(first: pd.DataFrame, second: pd.DataFrame) -> np.ndarray:
    """Per test sentence, the share of seeds correct in the first minus that in the second.

    Args:
        first: columns `row label predicted`, one row per sentence and seed.
        second: likewise, of the same sentences.

    Raises:
        InputError: the two are not of the same sentences and labels.
    """
    one, other = (_correctness(frame) for frame in (first, second))
    if not one.index.equals(other.index):
        raise InputError(
            f"a paired comparison needs the same test sentences and labels, got sets of {len(one)} and {len(other)}"
        )
    return (one - other).to_numpy()


def _correctness(frame: pd.DataFrame) -> pd.Series:
    correct = (frame["label"] == frame["predicted"]).astype(float)
    return correct.groupby([frame["row"], frame["label"]]).mean()


def _find(rows: Mapping, task: Mapping, name: str) -> pd.DataFrame:
    key = (task["task"], *readout_of(task, name))
    if key not in rows:
        raise InputError(f"task {key[0]}: predictions of {key[1]} {key[2]} are missing, though its scores are there")
    return rows[key]


def _compare_tasks(differences: Mapping, group_of: Mapping) -> list[dict]:
    p_values = [mcnemar(values) for values in differences.values()]
    return [
        _row("task", task, group_of[task], values.mean(), interval_of_differences(values, 1 - ALPHA))
        | {"p": p, "p_holm": corrected, "significant": bool(corrected < ALPHA)}
        | {"n": len(values), "smallest": smallest_difference(values)}
        | {"equivalent": is_equivalent(*interval_of_differences(values, 1 - 2 * ALPHA))}
        for (task, values), p, corrected in zip(differences.items(), p_values, holm(p_values), strict=True)
    ]


def _compare_groups(differences: Mapping, group_of: Mapping) -> list[dict]:
    rows = []
    for group in (*GROUPS, "all"):
        tasks = [task for task in group_of if group in (group_of[task], "all")]
        if tasks and differences.keys() >= set(tasks):
            own = [differences[task] for task in tasks]
            mean, low, high = _average(own, 1 - ALPHA)
            spread = (high - low) / (2 * norm.ppf(1 - ALPHA / 2))
            row = _row("group", "", group, mean, (low, high))
            row |= {"n": sum(map(len, own)), "p": 2 * norm.sf(abs(mean) / spread)}
            rows.append(row | {"equivalent": is_equivalent(*_average(own, 1 - 2 * ALPHA)[1:])})
    corrected = holm([row["p"] for row in rows])
    return [row | {"p_holm": p, "significant": bool(p < ALPHA)} for row, p in zip(rows, corrected, strict=True)]


def _average(differences: Sequence[np.ndarray], level: float) -> list[float]:
    """The mean over tasks of their mean differences, and the bounds of its interval."""
    return average_intervals(
        np.array([(own.mean(), *interval_of_differences(own, level)) for own in differences])
    ).tolist()


def _row(level: str, task: str, group: str, difference: float, interval: tuple[Any, Any]) -> dict:
    low, high = map(float, interval)
    row = {"level": level, "task": task, "group": group, "difference": float(difference)}
    return row | {"ci_low": low, "ci_high": high, "p": np.nan, "p_holm": np.nan, "smallest": np.nan}
