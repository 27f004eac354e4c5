"""The tables of training as frames of strings, ready for the screen and for the report."""

import numpy as np
import pandas as pd

from analysis.runs.frames import title_of
from analysis.runs.training_run import AIM, TrainingRun, name_aims, name_variants
from analysis.stats.pruning import summarise_pruning
from analysis.tables.arms import tabulate_arms
from analysis.tables.augmentation import tabulate_augmentation
from analysis.tables.baselines import DIFFERENCES_NOTE, NOTE, baselines_table, differences_table
from analysis.tables.table import format_percent, frame_of

CONVERGENCE_NOTE = (
    "Ratio: steps of the first / steps of the second; above 1, the second is faster. Steps: where the mean dev curve "
    "over seeds first is at the target. Interval: Student's over seeds, by the jackknife; none above 98 %, where the "
    "first is favoured, nor where some curve never gets there. <: the second never gets there. Seeds: how many get "
    "there alone. -: there before training, or no interval."
)
"""Stands below `convergence_table`."""


def tabulate_training(run: TrainingRun) -> dict[str, tuple[pd.DataFrame, str]]:
    """Name -> frame of strings and caption: the trained models and, where weights were pruned, what that cost."""
    what = f"{title_of(run.task)}, {run.metric} x 100"
    tables = {"models": (seeds_table(run), f"{what} of every trained model; mean ± standard deviation over seeds")}
    compared = baselines_table(run)
    if len(compared):
        tables["baselines"] = (compared, f"{title_of(run.task)}: every metric beside baselines. {NOTE}")
    differences = differences_table(run)
    if len(differences):
        tables["differences"] = (differences, f"{title_of(run.task)}: {DIFFERENCES_NOTE}")
    for name, table in (tabulate_augmentation(run) | tabulate_arms(run)).items():
        tables[name] = (frame_of(table), f"{table.title}. {table.caption}")
    if run.pruned:
        tables["pruning"] = (pruning_table(summarise_pruning(run.scores)), f"{what} on dev, over seeds")
    return tables


def seeds_table(run: TrainingRun) -> pd.DataFrame:
    """One row per trained model, and the mean and standard deviation over seeds below; scores times 100.

    Returns:
        Strings: `Method` and `Aim` where weights were pruned, `Variant` where models have names, `Seed`, one column per
        split, `Best step`, `Seconds`, `Tokens/s` and `Diverged`; and where they were measured, costs.
    """
    rows = []
    for _, own in run.scores.groupby([*AIM, "variant"], sort=False):
        method, aim, name = own["method"].iloc[0], name_aims(own).iloc[0], name_variants(own).iloc[0]
        way = ({"Method": method, "Aim": aim} if method else {}) | ({"Variant": name} if name else {})
        rows += [way | _format_seed(models) for _, models in own.groupby("seed")]
        if own["seed"].nunique() > 1:
            rows.append(way | _format_mean(own))
    return pd.DataFrame(rows).fillna("")


def convergence_table(table: pd.DataFrame, baseline: str, other: str) -> pd.DataFrame:
    """The rows of `analysis.stats.convergence.compare_convergence` as strings.

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
        cells = {"Share": f"{100 * row['share']:z.0f} %", "Target": f"{100 * row['target']:z.1f}"}
        cells |= {f"Steps {baseline}": _steps(row["baseline_steps"]), f"Steps {other}": _steps(row["other_steps"])}
        cells |= {"Ratio": _ratio(row), "95 % interval": _interval(row["ci_low"], row["ci_high"])}
        for name, label in (("baseline", baseline), ("other", other)):
            seeds = row[f"{name}_seeds"]
            cells[f"Seeds {label}"] = f"{round(row[f'{name}_reached'] * seeds)} of {seeds}"
        rows.append(cells)
    return pd.DataFrame(rows)


def pruning_table(summary: pd.DataFrame) -> pd.DataFrame:
    """The rows of `summarise_pruning` as strings: shares and scores times 100, one decimal.

    Returns:
        Columns `Task Model Method Aim Zeros Seeds Score Lowest Highest Majority Diverged Others`; `Aim` is the share
        of zeros aimed at, or soft movement's penalty; `Others` the mean score of the runs that did not diverge.
    """
    return pd.DataFrame([_format_aim(row) for row in summary.to_dict("records")])


def _format_seed(models: pd.DataFrame) -> dict[str, str]:
    """One trained model, of which there is a row per split."""
    first = models.iloc[0]
    scores = {str(row["split"]).capitalize(): format_percent(row["value"]) for row in models.to_dict("records")}
    return {
        "Seed": str(first["seed"]), **scores, "Best step": f"{first['best_step']} of {first['steps']}",
        "Seconds": f"{first['seconds']:z.0f}", "Tokens/s": f"{first['tokens_per_s']:z.0f}",
        "Diverged": "yes" if models["diverged"].any() else "no", **_format_aim_of_loss(first), **_format_costs(first),
    }  # fmt: skip


def _format_aim_of_loss(model: pd.Series) -> dict[str, str]:
    """Column of the loss on dev that training was to end at, where there was one; loud where it was not reached."""
    aim, found = model["until_dev_loss"], model["dev_loss"]
    if not aim > 0:
        return {}
    return {"Dev loss": f"{found:.3f}, {aim:g} reached" if found <= aim else f"{found:.3f}, {aim:g} NOT REACHED"}


def _format_costs(model: pd.Series) -> dict[str, str]:
    """Columns of what a model costs, where it was measured; 0 and NaN, as in older tables, are not."""
    if not model["parameters"] > 0:
        return {}
    rate = f"{model['sentences_per_s']:z.0f}" if model["sentences_per_s"] > 0 else "-"
    return {
        "Million weights": f"{model['parameters'] / 1e6:z.2f}", "MB": f"{model['weight_bytes'] / 1e6:z.1f}",
        "GFLOPs": f"{model['flops'] / 1e9:z.2f}", "Sentences/s": rate,
    }  # fmt: skip


def _format_mean(own: pd.DataFrame) -> dict[str, str]:
    scores = {str(split).capitalize(): _spread(rows["value"]) for split, rows in own.groupby("split", sort=False)}
    by_seed = own.groupby("seed")["diverged"].any()
    return {"Seed": "mean", **scores, "Diverged": f"{int(by_seed.sum())} of {len(by_seed)}"}


def _format_aim(row: dict) -> dict[str, str]:
    soft = row["method"] == "soft_movement"
    score = format_percent(row["value"])
    if not np.isnan(row["spread"]):
        score += f" ± {format_percent(row['spread'])}"
    return {
        "Task": row["title"],
        "Model": row["model"],
        "Method": row["method"],
        "Aim": f"penalty {row['penalty']:g}" if soft else format_percent(row["sparsity"]),
        "Zeros": format_percent(row["achieved"]),
        "Seeds": str(row["n_seeds"]),
        "Score": score,
        "Lowest": format_percent(row["lowest"]),
        "Highest": format_percent(row["highest"]),
        "Majority": format_percent(row["majority"]),
        "Diverged": f"{row['n_diverged']} of {row['n_seeds']}",
        "Others": format_percent(row["value_others"]),
    }


def _spread(values: pd.Series) -> str:
    """The mean and the standard deviation over seeds; of one seed the value alone."""
    return (
        f"{format_percent(values.mean())} ± {format_percent(values.std())}"
        if len(values) > 1
        else format_percent(values.mean())
    )


def _ratio(row: dict) -> str:
    if np.isnan(row["ratio"]):
        return "-"
    return f"{'< ' if row['bound'] else ''}{row['ratio']:z.2f}"


def _interval(low: float, high: float) -> str:
    return "-" if np.isnan(low) else f"[{low:z.2f}, {high:z.2f}]"


def _steps(steps: float) -> str:
    return "never" if np.isinf(steps) else f"{steps:z.0f}"
