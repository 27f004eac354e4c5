"""Paired comparisons within a run: which difference is more than the noise of its test set."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.stats import norm

from analysis.runs.frames import ACCURACY
from analysis.runs.probing_run import Run
from analysis.stats.paired import Paired, pair
from analysis.stats.significance import ALPHA, average_intervals, correlate_means, holm, is_equivalent
from analysis.stats.summary import readout_of, summarise_tasks
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
    shared = _number_sentences(run)
    frames = [compare(run.predictions, tasks, *names, control=control, sentences=shared) for names in PAIRS]
    whole = pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)
    if whole.empty and (tasks["metric"] == ACCURACY).any():
        raise InputError(f"{run.folder}: no task has two representations to compare")
    return whole


def compare(
    predictions: pd.DataFrame,
    tasks: pd.DataFrame,
    first: str,
    second: str,
    *,
    control: str = "none",
    sentences: Mapping[str, np.ndarray] | None = None,
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
        sentences: task -> a number for each row of its test, the same for the same sentence, so that means over tasks
            know which they share; none: each task has sentences of its own.

    Returns:
        `COLUMNS`. The interval is the 95 % interval of paired differences over test sentences and, where several were
        fitted, seeds; of a group mean, those of its tasks in one, a sentence counting as one in whatever tasks it
        stands. `p` is McNemar's (with several seeds, that of the interval), `p_holm` corrected over the
        tasks; of a group mean, that of a normal law as wide as the interval, corrected over the means; `smallest` is
        the difference that the test set can resolve; `significant` is by `p_holm`; `equivalent` where the difference is
        shown to be below a point, either way.

    Raises:
        InputError: predictions are missing, or are of different test sentences.
    """
    chosen = predictions[predictions["control"] == control]
    rows = dict(list(chosen.groupby(["task", "representation", "layer"], sort=False)))
    both = tasks[tasks[[first, second]].notna().all(axis=1) & (tasks["metric"] == ACCURACY)].to_dict("records")
    pairs = {str(task["task"]): pair(*(_find(rows, task, name) for name in (first, second))) for task in both}
    group_of = dict(zip(tasks["task"], tasks["group"], strict=True))
    rows_out = _compare_tasks(pairs, group_of) + _compare_groups(pairs, group_of, sentences)
    return pd.DataFrame(rows_out, columns=COLUMNS).assign(first=first, second=second)


def _find(rows: Mapping, task: Mapping, name: str) -> pd.DataFrame:
    key = (task["task"], *readout_of(task, name))
    if key not in rows:
        raise InputError(f"task {key[0]}: predictions of {key[1]} {key[2]} are missing, though its scores are there")
    return rows[key]


def _compare_tasks(pairs: Mapping[str, Paired], group_of: Mapping) -> list[dict]:
    rows = [{"level": "task", "task": task, "group": group_of[task]} | own.describe() for task, own in pairs.items()]
    return _correct(rows)


def _compare_groups(
    pairs: Mapping[str, Paired], group_of: Mapping, sentences: Mapping[str, np.ndarray] | None
) -> list[dict]:
    rows = []
    for group in (*GROUPS, "all"):
        tasks = [task for task in group_of if group in (group_of[task], "all")]
        if tasks and pairs.keys() >= set(tasks):
            own = [pairs[task] for task in tasks]
            differences = [one.differences for one in own]
            shared = correlate_means(differences, [sentences[task] for task in tasks]) if sentences else None
            mean, low, high = _average(own, shared, 1 - ALPHA)
            # Where no sentence is told otherwise, there is no spread: a difference of 0 says nothing against 0.
            spread = max((high - low) / (2 * norm.ppf(1 - ALPHA / 2)), np.finfo(float).tiny)
            row = {"level": "group", "task": "", "group": group, "difference": mean, "ci_low": low, "ci_high": high}
            row |= {"n": sum(map(len, differences)), "p": 2 * norm.sf(abs(mean) / spread), "smallest": np.nan}
            rows.append(row | {"equivalent": is_equivalent(*_average(own, shared, 1 - 2 * ALPHA)[1:])})
    return _correct(rows)


def _average(pairs: Sequence[Paired], correlation: np.ndarray | None, level: float) -> list[float]:
    """The mean over tasks of their mean differences, and the bounds of its interval."""
    intervals = np.array([(own.mean, *own.interval(level)) for own in pairs])
    return average_intervals(intervals, correlation).tolist()


def _correct(rows: list[dict]) -> list[dict]:
    """The rows with their p corrected for their number."""
    corrected = holm([row["p"] for row in rows])
    return [row | {"p_holm": p, "significant": bool(p < ALPHA)} for row, p in zip(rows, corrected, strict=True)]


def _number_sentences(run: Run) -> Mapping[str, np.ndarray] | None:
    """Task -> the number of the sentence of each row of its test; none where the run did not write it down."""
    if run.sentences.empty:
        return None
    frames = run.sentences.sort_values("row").groupby("task", sort=False)
    return {str(task): rows["sentence"].to_numpy() for task, rows in frames}
