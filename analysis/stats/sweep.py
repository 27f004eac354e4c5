"""Evidence of a sweep: scores by checkpoint, layer and task, whether runs agree, and whether a conclusion holds."""

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from analysis.runs.frames import mean_scores
from analysis.runs.sweep import Sweep, SweptRun
from analysis.stats.summary import summarise_tasks
from analysis.stats.within_run import compare_all

_FEWEST = 3
"""Pairs of numbers below which a rank correlation says nothing."""


CORRELATED: Mapping[str, str] = {
    "layers": "of their scores by task and layer",
    "tasks": "of the best layer's score by task",
    "depths": "of the best layer's relative depth by task",
}
"""Kind of table that is correlated between runs -> what it is of, in words."""


def list_layers(sweep: Sweep) -> pd.DataFrame:
    """Test scores by run, task and readout, seeds averaged.

    Returns:
        Columns `run`, those of the varied settings, `model checkpoint`, those of `mean_scores`, and `relative_depth`:
        the layer over the last one's index, NaN for the mix.
    """
    return pd.concat([_list_of_run(one) for one in sweep.runs], ignore_index=True)


def summarise_runs(sweep: Sweep) -> pd.DataFrame:
    """Last layer, best layer and mix by run and task: the columns of `summarise_tasks`, and `best_depth`, relative."""
    frames = []
    for one in sweep.runs:
        tasks = summarise_tasks(one.run)
        depth = tasks["best_layer"] / tasks["last_layer"].clip(lower=1)
        frames.append(_name(one, tasks.assign(best_depth=depth)))
    return pd.concat(frames, ignore_index=True)


def correlate_runs(layers: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """Spearman's rank correlation between the tables of every two runs, over what both have.

    `layers`: scores by task and layer, of runs with equal layers. `tasks`: the best layer's score by task. `depths`:
    its relative depth by task. NaN where fewer than three numbers are shared, or all of one run are equal.

    Returns:
        Columns `first second what n spearman`.
    """
    single = layers[layers["representation"] == "layer"]
    keys: Mapping[str, tuple[pd.DataFrame, list[str], str]] = {
        "layers": (single, ["task", "layer_name"], "value"),
        "tasks": (summary, ["task"], "best"),
        "depths": (summary, ["task"], "best_depth"),
    }
    rows = []
    for what, (frame, key, column) in keys.items():
        tables = {str(name): own.set_index(key)[column] for name, own in frame.groupby("run", sort=False)}
        for (first, one), (second, other) in combinations(tables.items(), 2):
            if what == "layers" and not one.index.sort_values().equals(other.index.sort_values()):
                continue
            both = pd.concat([one, other], axis=1, join="inner").dropna()
            rows.append((first, second, what, len(both), correlate(*both.to_numpy(dtype=float).T)))
    return pd.DataFrame(rows, columns=["first", "second", "what", "n", "spearman"])


def correlate(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rank correlation; NaN where it says nothing."""
    if len(first) < _FEWEST or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    result: Any = spearmanr(first, second)
    return float(result.statistic)


def specify(sweep: Sweep) -> pd.DataFrame:
    """The specification curve: the conclusion of every run, from the lowest to the highest difference.

    A conclusion is the mean over tasks of mix minus last layer, or of best minus last layer where a run has no mix,
    with its 95 % interval over test sentences, and the mean relative depth of the best layer (Simonsohn, Simmons and
    Nelson 2020, doi:10.1038/s41562-020-0912-z).

    Returns:
        Columns `run`, those of the varied settings, `first second difference ci_low ci_high significant best_depth
        n_tasks`.
    """
    rows = [row for one in sweep.runs for row in _specify_run(one)]
    return pd.DataFrame(rows).sort_values("difference", kind="stable").reset_index(drop=True)


def conclude(specifications: pd.DataFrame) -> Iterator[str]:
    """Sentences on whether the conclusion holds over all specifications."""
    for (first, second), rows in specifications.groupby(["first", "second"], sort=False):
        n, low, high = len(rows), 100 * rows["difference"].min(), 100 * rows["difference"].max()
        above = int((rows["significant"] & (rows["difference"] > 0)).sum())
        below = int((rows["significant"] & (rows["difference"] < 0)).sum())
        yield (
            f"{str(first).capitalize()} minus {second} layer, mean over tasks: above 0 in "
            f"{(rows['difference'] > 0).sum()} of {n} runs, significantly in {above}, significantly below in {below}; "
            f"from {low:+.1f} to {high:+.1f} points."
        )
    depth = specifications["best_depth"]
    yield f"Best layer, mean over tasks: at a relative depth of {depth.min():.2f} to {depth.max():.2f}."


def _list_of_run(one: SweptRun) -> pd.DataFrame:
    scores = mean_scores(one.run.scores)
    single = scores["representation"] == "layer"
    depth = (scores["layer"] / max(1, int(scores.loc[single, "layer"].max()))).where(single)
    return _name(one, scores.assign(relative_depth=depth))


def _specify_run(one: SweptRun) -> Iterator[Mapping[Any, Any]]:
    tasks, compared = summarise_tasks(one.run), compare_all(one.run)
    means = compared[(compared["level"] == "group") & (compared["group"] == "all") & (compared["second"] == "last")]
    kept = ["first", "second", "difference", "ci_low", "ci_high", "significant"]
    for row in means.sort_values("first", ascending=False)[kept].head(1).to_dict("records"):
        depth = float((tasks["best_layer"] / tasks["last_layer"].clip(lower=1)).mean())
        yield {"run": one.name, **one.varied, **row, "best_depth": depth, "n_tasks": len(tasks)}


def _name(one: SweptRun, frame: pd.DataFrame) -> pd.DataFrame:
    """A frame with the columns that say which run it is of, in front."""
    facts = {"run": one.name, **one.varied}
    facts |= {name: str(one.run.scores[name].iloc[0]) for name in ("model", "checkpoint") if name not in facts}
    return pd.concat([pd.DataFrame(facts, index=frame.index), frame], axis=1)
