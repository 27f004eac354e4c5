"""Worth of the scores of a run against its controls: one row per task and readout."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import norm

from analysis.runs.frames import mean_scores, title_of
from analysis.runs.probing_run import Run
from analysis.stats.significance import ALPHA, holm
from analysis.stats.summary import readout_of, summarise_tasks
from probing.catalogue.controls import CEILING, CONTROLS, DIFFERENCES
from probing.catalogue.measures import name_quantities
from probing.records import InputError


def summarise_controls(run: Run, contenders: tuple[str, ...] = ("best", "mix")) -> pd.DataFrame:
    """One row per task and contender; NaN where the run has no such control or measure.

    Returns:
        Columns `task title group n contender layer_name value low high majority`; for each control in the run `CONTROL`
        (its score), `CONTROL_majority CONTROL_ceiling` (that of its labels; NaN where it has none),
        `CONTROL_difference CONTROL_low CONTROL_high`, paired by test sentence; for each quantity of kind
        `information` in the run `QUANTITY QUANTITY_low QUANTITY_high`.

    Raises:
        InputError: the run has no scores.
    """
    tasks, means = summarise_tasks(run), {control: _average_control(run, control) for control in CONTROLS}
    rows = []
    for _, task in tasks.iterrows():
        scores = run.scores[run.scores["task"] == task["task"]]
        for contender in contenders:
            if pd.notna(task[contender]):
                readout = readout_of(task, contender)
                row = {name: task[name] for name in ("task", "title", "group", "n", "majority")}
                row |= {"contender": contender, "layer_name": task[f"{contender}_name"], "value": task[contender]}
                row |= {end: task[f"{contender}_{end}"] for end in ("low", "high")}
                rows.append(row | _find_controls(scores, means, readout) | _find_measures(scores, readout))
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class Standing:
    """On which tasks the best layers are significantly above one control, and on which below."""

    title: str
    """Name of the control in a sentence."""
    n_tasks: int
    above: tuple[str, ...]
    """Titles of tasks."""
    below: tuple[str, ...]


def judge_controls(summary: pd.DataFrame) -> Iterator[Standing]:
    """Judge how the best layers stand against the majority and against each control of the run.

    A difference counts where p, corrected by Holm over all tasks and controls, is below `ALPHA`; p is that of a normal
    law whose 95 % interval is as wide as the one of the difference, since a run keeps that interval and not always the
    predictions of its controls. Against the majority it is the interval of the score, lopsided near 0 and 1, and only
    its side towards the majority counts. No p is below that of n sentences that all speak for one side.

    Args:
        summary: from `summarise_controls`.
    """
    best = summary[summary["contender"] == "best"] if len(summary) else summary
    parts = [_hold_against_majority(best)] if len(best) else []
    for name, control in CONTROLS.items() if parts else ():
        if f"{name}_difference" in best:
            bounds = {end: best[f"{name}_{end}"] for end in ("difference", "low", "high")}
            parts.append(best.assign(control=control.title, **bounds))
    if not parts:
        return
    rows = pd.concat(parts, ignore_index=True).dropna(subset=["difference", "low", "high"])
    error = (rows["high"] - rows["low"]) / (2 * norm.ppf(1 - ALPHA / 2))
    away = rows["difference"].abs()
    p = np.where(error > 0, 2 * norm.sf(away / error.where(error > 0, 1)), np.where(away > 0, 0.0, 1.0))
    p = np.maximum(p, 2.0 ** (1 - rows["n"]))
    rows = rows.assign(sure=holm(p.tolist()) < ALPHA)
    for title, own in rows.groupby("control", sort=False):
        up, down = (own.loc[own["sure"] & (sign * own["difference"] > 0), "title"] for sign in (1, -1))
        yield Standing(str(title), len(own), tuple(up), tuple(down))


def _hold_against_majority(best: pd.DataFrame) -> pd.DataFrame:
    """Differences from the majority, on both sides as far uncertain as towards it."""
    difference = best["value"] - best["majority"]
    half = np.where(difference > 0, best["value"] - best["low"], best["high"] - best["value"])
    return best.assign(control="the majority", difference=difference, low=difference - half, high=difference + half)


def mean_gains(run: Run) -> pd.DataFrame:
    """The scores above each control, seeds averaged; no rows where no control was run.

    Returns:
        The columns of `analysis.runs.frames.mean_scores`, and `control`.
    """
    found = run.scores[run.scores["metric"].isin(DIFFERENCES)][["control", "metric"]].drop_duplicates()
    frames = [
        mean_scores(run.scores, control=control, metric=metric).assign(control=control)
        for control, metric in found.itertuples(index=False, name=None)
    ]
    if not frames:
        return pd.DataFrame(columns=["control"])
    gains = pd.concat(frames, ignore_index=True)
    return gains.assign(title=gains["task"].map(title_of))


def _average_control(run: Run, control: str) -> pd.DataFrame:
    """The scores of one control, seeds averaged; no rows where it was not run."""
    scores = run.scores[run.scores["control"] == control]
    try:
        return mean_scores(scores, "test", control)
    except InputError:
        return pd.DataFrame(columns=["task"])


def _find_controls(
    scores: pd.DataFrame, means: Mapping[str, pd.DataFrame], readout: tuple[str, int]
) -> dict[str, float]:
    """Controls of a readout, from the scores of its task."""
    task, found = scores.iloc[0]["task"], {}
    for control, facts in CONTROLS.items():
        own = means[control][means[control]["task"] == task]
        difference = None if own.empty else _find(scores, readout, control, facts.difference)
        if difference is None:
            continue
        exact = own[(own["representation"] == readout[0]) & (own["layer"] == readout[1])]
        found[control] = float((exact if len(exact) else own).iloc[0]["value"])
        found[f"{control}_majority"] = float(own.iloc[0]["majority"])
        ceiling = scores.loc[(scores["control"] == control) & (scores["metric"] == CEILING), "value"]
        found[f"{control}_ceiling"] = float(ceiling.iloc[0]) if len(ceiling) else np.nan
        found |= {f"{control}_{name}": value for name, value in difference.items()}
    return found


def _find_measures(scores: pd.DataFrame, readout: tuple[str, int]) -> dict[str, float]:
    found = {}
    for metric in name_quantities("information"):
        row = _find(scores, readout, "none", metric)
        if row is not None:
            found |= {metric: row["difference"], f"{metric}_low": row["low"], f"{metric}_high": row["high"]}
    return found


def _find(scores: pd.DataFrame, readout: tuple[str, int], control: str, metric: str) -> dict[str, float] | None:
    rows = scores[(scores["control"] == control) & (scores["metric"] == metric)]
    rows = rows[(rows["representation"] == readout[0]) & (rows["layer"] == readout[1])]
    if rows.empty:
        return None
    names = {"difference": "value", "low": "ci_low", "high": "ci_high"}
    return {name: float(rows[column].mean()) for name, column in names.items()}
