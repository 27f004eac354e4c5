"""Answers on what training came to, in sentences with numbers."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.runs.frames import title_of
from analysis.runs.training_run import TrainingRun, name_variants
from analysis.stats.pruning import summarise_pruning
from analysis.stats.trained_scores import compare_scores


def answer_run(run: TrainingRun, label: str) -> str:
    """Answer how one model ended: its mean dev score and its range over seeds, beside the majority baseline."""
    rows = run.scores[run.scores["split"] == "dev"]
    first = rows.iloc[0]
    what = f"{label} was trained on {first['n_train']} {run.examples} of {title_of(run.task)}"
    if run.pruned:
        return f"{what} and pruned, {len(rows)} times. {_answer_methods(rows)}"
    names = name_variants(rows)
    if names.nunique() > 1:
        return f"{what}, in {names.nunique()} ways. {_answer_variants(rows, names, run.metric)}"
    values = 100 * rows["value"]
    over = f" ({values.min():z.1f} to {values.max():z.1f} over {len(rows)} seeds)" if len(rows) > 1 else ", one seed"
    return (
        f"{what} for {_steps(rows)} steps: its dev {run.metric} is {values.mean():z.1f}{over}, that of the majority "
        f"{100 * first['majority']:z.1f}; {int(rows['diverged'].sum())} of {len(rows)} runs diverged."
    )


def answer_difference(baseline: TrainingRun, other: TrainingRun, names: Sequence[str]) -> str:
    """Whose dev score is the higher one at the end, with a 95 % interval over seeds and dev sentences."""
    one, two = (run.scores[run.scores["split"] == "dev"] for run in (baseline, other))
    points, low, high, _ = (100 * number for number in compare_scores(one, two))
    if np.isnan(points):
        return f"On dev, {names[0]} and {names[1]} were trained from no seed in common, so their scores do not compare."
    sentence = f"On dev, {names[1]} ends {abs(points):z.1f} points {'above' if points >= 0 else 'below'} {names[0]}"
    if np.isnan(low):
        return f"{sentence}; how much of this is the seeds' noise cannot be said of so few."
    beyond = low > 0 or high < 0
    return (
        f"{sentence} (95 % interval over seeds and sentences {low:+z.1f} to {high:+z.1f}), which is "
        f"{'more than the noise of both' if beyond else 'inconclusive'}."
    )


def answer_convergence(table: pd.DataFrame, names: Sequence[str]) -> str:
    """Answer how much sooner the other model reaches the baseline's final dev score.

    Args:
        table: from `analysis.stats.convergence.compare_convergence`.
        names: of baseline and other.
    """
    row = table.sort_values("share").iloc[-1]
    target = f"the final dev score of {names[0]}, {100 * row['target']:z.1f}"
    if np.isnan(row["ratio"]):
        return f"Before training there is {target}, or more, so neither model is the faster one."
    if not row["bound"]:
        return f"{names[1]} reaches {target}, {_answer_steps(row, names)}."
    reached = table[~table["bound"] & table["ratio"].notna()].sort_values("share")
    never = f"The mean curve of {names[1]} never reaches {target}"
    if reached.empty:
        return f"{never}, nor a smaller share of it that was not there before training."
    return (
        f"{never}; it reaches {100 * reached['share'].iloc[-1]:z.0f} % of it {_answer_steps(reached.iloc[-1], names)}."
    )


def _answer_steps(row: pd.Series, names: Sequence[str]) -> str:
    interval = (
        "" if np.isnan(row["ci_low"]) else f" (95 % interval over seeds {row['ci_low']:z.2f} to {row['ci_high']:z.2f})"
    )
    steps = f"after {row['other_steps']:z.0f} steps, {names[0]} after {row['baseline_steps']:z.0f}"
    return f"{steps}: {row['ratio']:z.2f} times as fast{interval}"


def _answer_methods(rows: pd.DataFrame) -> str:
    sentences = []
    for method, own in summarise_pruning(rows).groupby("method", sort=False):
        ends = own.sort_values("achieved").iloc[[0, -1] if len(own) > 1 else [0]]
        path = " and ".join(
            f"{100 * row['value']:z.1f} at {100 * row['achieved']:z.1f} % zeros" for row in ends.to_dict("records")
        )
        lost = f"{own['n_diverged'].sum()} of {own['n_seeds'].sum()} runs diverged"
        sentences.append(
            f"With {str(method).replace('_', ' ')}, the mean dev {rows['metric'].iloc[0]} is {path}; {lost}."
        )
    return " ".join(sentences)


def _answer_variants(rows: pd.DataFrame, names: pd.Series, metric: str) -> str:
    """From the worst to the best of several ways, means over seeds."""
    means = rows["value"].groupby(names).mean().sort_values()
    ends = [f"{100 * means[name]:z.1f} ({str(name).replace('_', ' ')})" for name in means.index[[0, -1]]]
    seeds = rows["seed"].nunique()
    over = f", means over {seeds} seeds" if seeds > 1 else ", one seed"
    return (
        f"Dev {metric} goes from {ends[0]} to {ends[1]}{over}; that of the majority is "
        f"{100 * rows['majority'].iloc[0]:z.1f}; {int(rows['diverged'].sum())} of {len(rows)} runs diverged."
    )


def _steps(rows: pd.DataFrame) -> str:
    low, high = rows["steps"].min(), rows["steps"].max()
    return str(low) if low == high else f"{low} to {high}"
