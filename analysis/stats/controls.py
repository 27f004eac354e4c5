"""What the scores of a run are worth against its controls: one row per task and readout."""

import pandas as pd

from analysis.runs.frames import mean_scores, title_of
from analysis.runs.probing_run import Run
from analysis.stats.summary import readout_of, summarise_tasks
from probing.catalogue.controls import CONTROLS, DIFFERENCES
from probing.catalogue.measures import name_quantities
from probing.records import InputError


def summarise_controls(run: Run, contenders: tuple[str, ...] = ("best", "mix")) -> pd.DataFrame:
    """One row per task and contender; NaN where the run has no such control or measure.

    Returns:
        Columns `task title group contender layer_name value majority`; for each control in the run `CONTROL` (its
        score), `CONTROL_difference CONTROL_low CONTROL_high`, paired by test sentence; for each
        quantity of kind `information` in the run `QUANTITY QUANTITY_low QUANTITY_high`.

    Raises:
        InputError: the run has no scores.
    """
    tasks = summarise_tasks(run)
    rows = []
    for _, task in tasks.iterrows():
        for contender in contenders:
            if pd.notna(task[contender]):
                readout = readout_of(task, contender)
                row = {name: task[name] for name in ("task", "title", "group", "majority")}
                row |= {"contender": contender, "layer_name": task[f"{contender}_name"], "value": task[contender]}
                rows.append(
                    row | _find_controls(run, task["task"], readout) | _find_measures(run, task["task"], readout)
                )
    return pd.DataFrame(rows)


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


def _find_controls(run: Run, task: str, readout: tuple[str, int]) -> dict[str, float]:
    found = {}
    for control, facts in CONTROLS.items():
        difference = _find(run.scores, task, readout, control, facts.difference)
        scores = run.scores[(run.scores["control"] == control) & (run.scores["task"] == task)]
        if difference is None or scores.empty:
            continue
        try:
            own = mean_scores(scores, "test", control)
        except InputError:
            continue
        exact = own[(own["representation"] == readout[0]) & (own["layer"] == readout[1])]
        found[control] = float((exact if len(exact) else own).iloc[0]["value"])
        found |= {f"{control}_{name}": value for name, value in difference.items()}
    return found


def _find_measures(run: Run, task: str, readout: tuple[str, int]) -> dict[str, float]:
    found = {}
    for metric in name_quantities("information"):
        row = _find(run.scores, task, readout, "none", metric)
        if row is not None:
            found |= {metric: row["difference"], f"{metric}_low": row["low"], f"{metric}_high": row["high"]}
    return found


def _find(
    scores: pd.DataFrame, task: str, readout: tuple[str, int], control: str, metric: str
) -> dict[str, float] | None:
    rows = scores[(scores["task"] == task) & (scores["control"] == control) & (scores["metric"] == metric)]
    rows = rows[(rows["representation"] == readout[0]) & (rows["layer"] == readout[1])]
    if rows.empty:
        return None
    names = {"difference": "value", "low": "ci_low", "high": "ci_high"}
    return {name: float(rows[column].mean()) for name, column in names.items()}
