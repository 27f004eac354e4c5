"""What the scores of a run are worth against its controls: one row per task and reading."""

import pandas as pd

from analysis.runs.frames import mean_scores
from analysis.runs.probing_run import Run
from analysis.stats.summary import summarise_tasks
from probing.records import InputError

DIFFERENCES = {
    "bag_of_embeddings": "gain",
    "untrained": "gain",
    "control_task": "selectivity",
    "shuffled_labels": "gain",
}
"""Control -> the metric of score minus control's score, as runs write it."""

MEASURES = ("usable_information_bits", "compression", "conditional_information_bits")


def summarise_controls(run: Run, contenders: tuple[str, ...] = ("best", "mix")) -> pd.DataFrame:
    """One row per task and contender; NaN where the run has no such control or measure.

    Returns:
        Columns `task title group contender layer_name value majority`; for each control in the run `CONTROL` (its
        score), `CONTROL_difference CONTROL_low CONTROL_high`, paired by test sentence; for each of `MEASURES`
        in the run `MEASURE MEASURE_low MEASURE_high`.

    Raises:
        InputError: the run has no scores.
    """
    tasks = summarise_tasks(run)
    rows = []
    for _, task in tasks.iterrows():
        for contender in contenders:
            if pd.notna(task[contender]):
                reading = ("scalar_mix" if contender == "mix" else "layer", int(task[f"{contender}_layer"]))
                row = {name: task[name] for name in ("task", "title", "group", "majority")}
                row |= {"contender": contender, "layer_name": task[f"{contender}_name"], "value": task[contender]}
                rows.append(
                    row | _find_controls(run, task["task"], reading) | _find_measures(run, task["task"], reading)
                )
    return pd.DataFrame(rows)


def _find_controls(run: Run, task: str, reading: tuple[str, int]) -> dict[str, float]:
    found = {}
    for control, metric in DIFFERENCES.items():
        difference = _find(run.scores, task, reading, control, metric)
        scores = run.scores[(run.scores["control"] == control) & (run.scores["task"] == task)]
        if difference is None or scores.empty:
            continue
        try:
            own = mean_scores(scores, "test", control)
        except InputError:
            continue
        exact = own[(own["representation"] == reading[0]) & (own["layer"] == reading[1])]
        found[control] = float((exact if len(exact) else own).iloc[0]["value"])
        found |= {f"{control}_{name}": value for name, value in difference.items()}
    return found


def _find_measures(run: Run, task: str, reading: tuple[str, int]) -> dict[str, float]:
    found = {}
    for metric in MEASURES:
        row = _find(run.scores, task, reading, "none", metric)
        if row is not None:
            found |= {metric: row["difference"], f"{metric}_low": row["low"], f"{metric}_high": row["high"]}
    return found


def _find(
    scores: pd.DataFrame, task: str, reading: tuple[str, int], control: str, metric: str
) -> dict[str, float] | None:
    rows = scores[(scores["task"] == task) & (scores["control"] == control) & (scores["metric"] == metric)]
    rows = rows[(rows["representation"] == reading[0]) & (rows["layer"] == reading[1])]
    if rows.empty:
        return None
    names = {"difference": "value", "low": "ci_low", "high": "ci_high"}
    return {name: float(rows[column].mean()) for name, column in names.items()}
