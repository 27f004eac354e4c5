"""Cost of pruning and how often it fails: one row per model and aim, over seeds.

A run has diverged where its score is at or below majority + 1 point, or is no number (`TrainedModel.diverged`).
"""

import pandas as pd
from scipy.stats import binomtest

from analysis.runs.frames import headline_metrics, title_of
from probing.records import InputError

COLUMNS = ["task", "title", "metric", "model", "method", "sparsity", "penalty", "achieved", "n_seeds"]
COLUMNS += ["value", "spread", "lowest", "highest", "majority", "n_diverged", "diverged", "diverged_low"]
COLUMNS += ["diverged_high", "value_others"]

_AIM = ["task", "metric", "model", "method", "sparsity", "penalty"]


def summarise_pruning(models: pd.DataFrame, split: str = "dev") -> pd.DataFrame:
    """Score over seeds, its spread, and the share of runs that diverged, for each task, model, method and aim.

    `value` is the mean over all seeds and `value_others` that over the seeds that did not diverge: where some did, the
    first mixes two kinds of runs and the second flatters. `value` is NaN where a run's score is no number.

    Args:
        models: rows of `probing.records.TrainedModel`, of one run or of several; those that were not pruned are left
            out, and so is every metric but the one that heads the task.
        split: `dev` or `test`.

    Returns:
        Columns `COLUMNS`: `achieved` is the mean share of zeros, `spread` the standard deviation over seeds (NaN
        with one), `diverged` a share with its exact 95 % interval (Clopper and Pearson).

    Raises:
        InputError: no pruned model was scored on this split, or a seed comes twice.
    """
    rows = models[(models["method"] != "") & (models["split"] == split)]
    rows = rows[rows["metric"] == rows["task"].map(headline_metrics(rows))]
    if rows.empty:
        raise InputError(f"a table of pruning needs pruned models with scores on {split}, got none")
    repeated = rows[rows.duplicated([*_AIM, "seed"])]
    if len(repeated):
        names = ", ".join(f"{name} {repeated.iloc[0][name]}" for name in ("model", "method", "sparsity", "seed"))
        raise InputError(f"expected each seed of an aim once, got {names} twice: other settings are other tables")
    groups = rows.groupby(_AIM, sort=False)
    found = [dict(zip(_AIM, key, strict=True)) | _summarise(own) for key, own in groups]
    return pd.DataFrame(found)[COLUMNS].sort_values(["task", "method", "sparsity", "penalty"], ignore_index=True)


def _summarise(own: pd.DataFrame) -> dict[str, object]:
    values, diverged = own["value"], own["diverged"].astype(bool)
    n_seeds, n_diverged = len(own), int(diverged.sum())
    interval = binomtest(n_diverged, n_seeds).proportion_ci(0.95)
    return {
        "title": title_of(str(own["task"].iloc[0])),
        "achieved": own["achieved_sparsity"].mean(),
        "n_seeds": n_seeds,
        "value": values.mean(skipna=False),
        "spread": values.std(skipna=False),
        "lowest": values.min(skipna=False),
        "highest": values.max(),
        "majority": own["majority"].iloc[0],
        "n_diverged": n_diverged,
        "diverged": n_diverged / n_seeds,
        "diverged_low": interval.low,
        "diverged_high": interval.high,
        "value_others": values[~diverged].mean(),
    }
