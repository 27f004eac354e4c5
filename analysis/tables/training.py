"""The tables of training as frames of strings, ready for the screen and for the report."""

import numpy as np
import pandas as pd

from analysis.runs.training_run import AIM, TrainingRun, name_aims


def seeds_table(run: TrainingRun) -> pd.DataFrame:
    """One row per trained model, and the mean and standard deviation over seeds below; scores times 100.

    Returns:
        Strings: `Method` and `Aim` where weights were pruned, `Seed`, one column per split, `Best step`, `Seconds`,
        `Tokens/s` and `Diverged`.
    """
    rows = []
    for _, own in run.scores.groupby(list(AIM), sort=False):
        method, aim = own["method"].iloc[0], name_aims(own).iloc[0]
        way = {"Method": method, "Aim": aim} if method else {}
        rows += [way | _tell_seed(models) for _, models in own.groupby("seed")]
        if own["seed"].nunique() > 1:
            rows.append(way | _tell_mean(own))
    return pd.DataFrame(rows).fillna("")


def convergence_table(table: pd.DataFrame, baseline: str, other: str) -> pd.DataFrame:
    """The rows of `analysis.convergence.compare_convergence` as strings.

    Args:
        table: the rows.
        baseline: what to call the model whose final score is the target.
        other: what to call the other one.

    Returns:
        Strings, in columns `Share`, `Target`, `Steps NAME` of the two, `Ratio`, `95 % interval`, and `Seeds NAME` of
        the two: how many reached it on their own.
    """
    rows = []
    for row in table.to_dict("records"):
        cells = {"Share": f"{100 * row['share']:.0f} %", "Target": f"{100 * row['target']:.1f}"}
        cells |= {f"Steps {baseline}": _steps(row["baseline_steps"]), f"Steps {other}": _steps(row["other_steps"])}
        cells |= {"Ratio": _ratio(row), "95 % interval": _interval(row["ci_low"], row["ci_high"])}
        for name, label in (("baseline", baseline), ("other", other)):
            seeds = row[f"{name}_seeds"]
            cells[f"Seeds {label}"] = f"{round(row[f'{name}_reached'] * seeds)} of {seeds}"
        rows.append(cells)
    return pd.DataFrame(rows)


def _tell_seed(models: pd.DataFrame) -> dict[str, str]:
    """One trained model, of which there is a row per split."""
    first = models.iloc[0]
    scores = {str(row["split"]).capitalize(): _percent(row["value"]) for row in models.to_dict("records")}
    return {
        "Seed": str(first["seed"]), **scores, "Best step": f"{first['best_step']} of {first['steps']}",
        "Seconds": f"{first['seconds']:.0f}", "Tokens/s": f"{first['tokens_per_s']:.0f}",
        "Diverged": "yes" if models["diverged"].any() else "no",
    }  # fmt: skip


def _tell_mean(own: pd.DataFrame) -> dict[str, str]:
    scores = {str(split).capitalize(): _spread(rows["value"]) for split, rows in own.groupby("split", sort=False)}
    by_seed = own.groupby("seed")["diverged"].any()
    return {"Seed": "mean", **scores, "Diverged": f"{int(by_seed.sum())} of {len(by_seed)}"}


def _spread(values: pd.Series) -> str:
    """The mean and the standard deviation over seeds; of one seed the value alone."""
    return f"{_percent(values.mean())} ± {_percent(values.std())}" if len(values) > 1 else _percent(values.mean())


def _ratio(row: dict) -> str:
    if np.isnan(row["ratio"]):
        return "-"
    return f"{'< ' if row['bound'] else ''}{row['ratio']:.2f}"


def _interval(low: float, high: float) -> str:
    return "-" if np.isnan(low) else f"[{low:.2f}, {high:.2f}]"


def _steps(steps: float) -> str:
    return "never" if np.isinf(steps) else f"{steps:.0f}"


def _percent(value: float) -> str:
    return "-" if np.isnan(value) else f"{100 * value:.1f}"
