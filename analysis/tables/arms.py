"""Differences of the arms of one training run, as a table of strings."""

import pandas as pd

from analysis.runs.training_run import TrainingRun
from analysis.stats.arms import compare_arms
from analysis.tables.table import Table, format_p, mark_verdict

_NOTE = (
    "On test, x 100, paired by example and by seed. [ ]: 95 % interval over examples and seeds. p: Holm's over the "
    "rows. *: significant. =: shown to differ by less than a point (two one-sided tests)."
)
_NOTE_OF_LOSSES = (
    "On test, x 100, paired by block of text and by seed; less is better. [ ]: 95 % interval over blocks and seeds. "
    "p: Holm's over the rows. *: significant."
)


def tabulate_arms(run: TrainingRun) -> dict[str, Table]:
    """Name -> table; empty where the recipe asks for no differences, or no answers were kept."""
    pairs = compare_arms(run)
    if pairs.empty:
        return {}
    note = _NOTE_OF_LOSSES if pairs["of_losses"].all() else _NOTE
    heads = ["Of", "Difference", "Points", "95 % interval", "p", "Seeds", "n"]
    rows = [_format(row) for row in pairs.to_dict("records")]
    if not any(row[0] for row in rows):
        heads, rows = heads[1:], [row[1:] for row in rows]
    metric = run.metric.replace("_", " ").capitalize()
    return {"arms": Table(note, heads, rows, title=f"{metric} of one arm minus that of another")}


def describe_pair(row: dict) -> str:
    """The two arms of a difference."""
    return f"{row['arm']} - {row['other']}".replace("_", " ")


def format_difference(row: dict) -> tuple[str, str]:
    """A difference and its interval, times 100: accuracies to one digit, losses to two."""
    digits = 2 if row["of_losses"] else 1
    found, low, high = (f"{100 * row[name]:+z.{digits}f}" for name in ("difference", "ci_low", "ci_high"))
    return found, "-" if pd.isna(row["ci_low"]) else f"[{low}, {high}]"


def _format(row: dict) -> list[str]:
    found, interval = format_difference(row)
    cells = [row["group"], describe_pair(row), found + mark_verdict(row), interval, format_p(row["p"])]
    return [*cells, str(row["n_seeds"]), f"{row['n']:,}"]
