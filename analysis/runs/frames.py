"""The rows that tables and figures are made of: one per task and layer, seeds averaged, in the papers' order."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy.stats import t

from probing.bootstrap import LEVEL
from probing.catalogue.readouts import MAIN, OF_TEXT
from probing.catalogue.tasks import TITLES
from probing.records import GROUPS, InputError

ACCURACY = "accuracy"
"""The metric that tables and figures take for granted; any other one stands behind the task's title."""

_KEY = ["task", "group", "representation", "layer", "layer_name"]


def title_of(task: str) -> str:
    """The name to print for a task."""
    return TITLES.get(task, task)


def unit_of(frame: pd.DataFrame) -> str:
    """Unit of the values of a frame with a column `metric`: accuracies, or scores where there are others too."""
    return ACCURACY if (frame["metric"] == ACCURACY).all() else "score"


def headline_metrics(scores: pd.DataFrame) -> pd.Series:
    """Task -> the metric that heads its tables and figures: that of its first row."""
    return scores.drop_duplicates("task").set_index("task")["metric"]


def order_tasks(frame: pd.DataFrame) -> list[str]:
    """The tasks of a frame with columns `task` and `group`: by group, then as the papers list them."""
    known = list(TITLES)
    pairs = frame[["task", "group"]].drop_duplicates("task").itertuples(index=False)

    def rank(pair: tuple[str, str]) -> tuple[int, int]:
        task, group = pair
        return (
            GROUPS.index(group) if group in GROUPS else len(GROUPS),
            known.index(task) if task in known else len(known),
        )

    return [task for task, _ in sorted(map(tuple, pairs), key=rank)]


def mean_scores(
    scores: pd.DataFrame,
    split: str = "test",
    control: str = "none",
    metric: str | None = None,
    representations: Iterable[str] = (*MAIN, *OF_TEXT),
) -> pd.DataFrame:
    """One row per task and representation: the score averaged over seeds.

    The interval is that of a typical seed over test sentences, its bounds averaged; with several seeds, to what it
    leaves to either side Student's over the seeds is added as errors are (Howe 1974). The majority baseline is the
    column `majority`, not a row. Without a metric, each task has the one that heads it.

    Returns:
        Columns `task title metric group representation layer layer_name value ci_low ci_high n n_classes majority
        n_seeds`.

    Raises:
        InputError: no such rows, or rows of several models, poolings or probes, whose mean would mean nothing.
    """
    wanted = scores["task"].map(headline_metrics(scores)) if metric is None else metric
    rows = scores[(scores["split"] == split) & (scores["control"] == control) & (scores["metric"] == wanted)]
    rows = rows[rows["representation"].isin(list(representations))]
    if rows.empty:
        raise InputError(f"no scores with split {split}, control {control} and metric {metric or 'of the task'}")
    _check_alike(rows, ["model", "checkpoint"])
    # The mix has a probe of its own, and a protocol may give a task another one: alike per row of the result.
    _check_alike(rows, ["pooling", "probe", "protocol"], _KEY)
    numbers = dict.fromkeys(("value", "ci_low", "ci_high", "majority", "error"), "mean")
    rules = {"metric": "first", **numbers, "n": "first", "n_classes": "first", "seed": "nunique"}
    values = rows.groupby(_KEY, sort=False)["value"]
    # A function of ours is called for every row of the result: hundreds, for zeros where there is one seed.
    errors = values.transform(_half_over_seeds) if (values.size() > 1).any() else 0.0
    means = rows.assign(error=errors).groupby(_KEY, as_index=False, sort=False).agg(rules)
    means = means.rename(columns={"seed": "n_seeds"})
    for bound, sign in (("ci_low", -1), ("ci_high", 1)):
        wider = means["value"] + sign * np.hypot(means[bound] - means["value"], means["error"])
        # A single seed's bound stays to the last digit.
        wider = wider.where(means["metric"] != ACCURACY, wider.clip(0, 1))
        means[bound] = means[bound].where(means["error"] == 0, wider)
    return _in_order(means.drop(columns="error"))


def _half_over_seeds(values: pd.Series) -> float:
    """Half of Student's interval of the mean over seeds; 0 of a single one."""
    n = len(values)
    return float(t.ppf((1 + LEVEL) / 2, n - 1) * values.std() / np.sqrt(n)) if n > 1 else 0.0


def mean_weights(weights: pd.DataFrame, control: str = "none") -> pd.DataFrame:
    """One row per task and mixed layer: weight, contribution and gamma averaged over seeds; maybe no rows at all.

    Raises:
        InputError: rows of several models.
    """
    rows = weights[weights["control"] == control]
    _check_alike(rows, ["model", "checkpoint"])
    keys = ["task", "group", "layer", "layer_name"]
    rules = dict.fromkeys(("weight", "contribution", "gamma"), "mean")
    return _in_order(rows.groupby(keys, as_index=False, sort=False).agg(rules))


def list_unconverged(scores: pd.DataFrame) -> list[str]:
    """Tasks whose mix stopped before its minimum, with some seed; controls left out."""
    rows = scores[(scores["representation"] == "scalar_mix") & (scores["control"] == "none")]
    return list(dict.fromkeys(rows.loc[~rows["converged"].astype(bool), "task"]))


def layer_names(frame: pd.DataFrame) -> dict[int, str]:
    """Layer -> its name, from the bottom up, of the rows that are single layers.

    Raises:
        InputError: a task lacks a layer that another task has.
    """
    rows = frame[frame["layer"] >= 0].sort_values("layer")
    names = dict(zip(rows["layer"].tolist(), rows["layer_name"].tolist(), strict=True))
    for task, layers in rows.groupby("task", sort=False)["layer"]:
        missing = [names[layer] for layer in names if layer not in set(layers)]
        if missing:
            raise InputError(f"task {task} lacks {', '.join(missing)}, which other tasks have")
    return names


def group_spans(frame: pd.DataFrame, tasks: Iterable[str]) -> list[tuple[str, int, int]]:
    """Runs of equal group along ordered tasks, as (group, first position, one past the last)."""
    group_of = dict(zip(frame["task"], frame["group"], strict=True))
    spans: list[tuple[str, int, int]] = []
    for position, task in enumerate(tasks):
        if spans and spans[-1][0] == group_of[task]:
            spans[-1] = (*spans[-1][:2], position + 1)
        else:
            spans.append((group_of[task], position, position + 1))
    return spans


def _in_order(frame: pd.DataFrame) -> pd.DataFrame:
    rank = {task: number for number, task in enumerate(order_tasks(frame))}
    metrics = frame["metric"] if "metric" in frame else [ACCURACY] * len(frame)
    titles = [
        title_of(task) + ("" if metric == ACCURACY else f" ({metric.capitalize()})")
        for task, metric in zip(frame["task"], metrics, strict=True)
    ]
    frame = frame.assign(title=titles, _rank=frame["task"].map(rank))
    frame = frame.sort_values(["_rank", "layer"], kind="stable", ignore_index=True).drop(columns="_rank")
    return frame[["task", "title", *frame.columns.drop(["task", "title"])]]


def _check_alike(rows: pd.DataFrame, columns: list[str], within: list[str] | None = None) -> None:
    for column in columns:
        if rows[column].nunique() <= 1:
            continue
        counts = rows.groupby(within)[column].nunique() if within else pd.Series([rows[column].nunique()])
        if (counts > 1).any():
            found = ", ".join(map(str, rows[column].unique()))
            raise InputError(f"expected the rows of one {column}, got {found}: select one first")
