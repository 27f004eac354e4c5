"""Every metric of a training run beside its baselines, and the differences from these, as frames of strings."""

import numpy as np
import pandas as pd

from analysis.runs.training_run import TrainingRun
from analysis.stats.baselines import RANK, compare_baselines, list_answers
from analysis.tables.table import format_bounds, format_gain, format_p, format_percent, format_points

NOTE = (
    "x 100 but for mean_rank. [ ]: 95 % interval over test triples of one seed; ±: standard deviation over seeds. "
    "Baselines read no text: frequencies of train, and embeddings of entities and relations."
)
"""Stands below `baselines_table`."""
DIFFERENCES_NOTE = (
    "Model minus baseline on test, in points, mean_rank in ranks. [ ]: 95 % interval, over seeds too where there are "
    "several, answers taken to fail independently. p: Holm's over the rows, those of one relation by themselves. "
    "*: significant."
)
"""Stands below `differences_table`."""


def differences_table(run: TrainingRun) -> pd.DataFrame:
    """One row per metric with an interval and baseline; no rows without baselines.

    Returns:
        Strings, in columns `Metric`, `Baseline`, `Difference`, `95 % interval` and `p`.
    """
    return pd.DataFrame([_format_difference(row) for row in compare_baselines(run).to_dict("records")])


def _format_difference(row: dict) -> dict[str, str]:
    ranks = row["metric"].startswith(RANK)
    found = f"{row['difference']:+z.2f}" if ranks else format_points(row["difference"])
    low, high = row["ci_low"], row["ci_high"]
    return {
        "Metric": row["metric"],
        "Baseline": row["baseline"],
        "Difference": found + ("*" if row["significant"] else ""),
        "95 % interval": f"[{low:+z.2f}, {high:+z.2f}]" if ranks else format_gain(low, high),
        "p": format_p(row["p"]),
    }


def baselines_table(run: TrainingRun) -> pd.DataFrame:
    """One row per split and metric, one column for the models and one for each baseline; no rows without baselines.

    Returns:
        Strings, in columns `Split`, `Metric`, `n`, the model's name, and the baselines' names.
    """
    if run.baselines.empty:
        return pd.DataFrame()
    rows = []
    for (split, metric), own in run.models.groupby(["split", "metric"], sort=False):
        cells = {"Split": str(split), "Metric": str(metric), "n": f"{own['n'].max():,}"}
        for name, frame in list_answers(run).items():
            cells[name] = _format_seeds(frame[(frame["split"] == split) & (frame["metric"] == metric)])
        rows.append(cells)
    return pd.DataFrame(rows)


def _format_seeds(rows: pd.DataFrame) -> str:
    """A score with its interval; of several seeds, the mean and the standard deviation."""
    if rows.empty:
        return "-"
    ranks = str(rows["metric"].iloc[0]).startswith(RANK)
    values = rows["value"]
    if len(rows) > 1:
        return f"{_format(values.mean(), ranks)} ± {_format(values.std(), ranks)}"
    low, high = float(rows["ci_low"].iloc[0]), float(rows["ci_high"].iloc[0])
    bounds = "" if np.isnan(low) else f" [{low:.2f}, {high:.2f}]" if ranks else f" {format_bounds(low, high)}"
    return _format(values.iloc[0], ranks) + bounds


def _format(value: float, ranks: bool) -> str:
    return f"{value:.2f}" if ranks and not np.isnan(value) else format_percent(value)
