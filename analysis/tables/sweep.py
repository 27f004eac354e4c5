"""Tables over the runs of a sweep."""

from collections.abc import Sequence

import pandas as pd

from analysis.tables.table import STAR, Table, format_percent, format_points


def tabulate_runs(summary: pd.DataFrame, specifications: pd.DataFrame, varied: Sequence[str]) -> Table:
    """Means over tasks by run: last layer, best layer, mix, the best one's relative depth, and the difference.

    Args:
        summary: from `analysis.stats.sweep.summarise_runs`.
        specifications: from `analysis.stats.sweep.specify`.
        varied: names of the settings in which runs differ.
    """
    differences = {
        row["run"]: f"{format_points(row['difference'])}{STAR if row['significant'] else ''}"
        for row in specifications.to_dict("records")
    }
    rows = []
    for name, own in summary.groupby("run", sort=False):
        means = [format_percent(own[contender].mean(skipna=False)) for contender in ("last", "best", "mix")]
        depth = f"{own['best_depth'].mean():.2f}"
        rows.append([str(name), *(str(own[one].iloc[0]) for one in varied), *means, depth, differences.get(name, "-")])
    caption = (
        "Score x 100 on test, mean over tasks. Best: the single layer that is best on dev; Depth: its relative depth, "
        "0 the embeddings and 1 the last layer. Difference: mix minus last layer, or best minus last without a mix; "
        f"{STAR} significant."
    )
    return Table(
        caption, ["Run", *varied, "Last", "Best", "Mix", "Depth", "Difference"], rows, title="Runs of the sweep"
    )


def tabulate_layers_of(layers: pd.DataFrame) -> Table:
    """Every score of every run, by task and layer.

    Args:
        layers: from `analysis.stats.sweep.list_layers`.
    """
    rows = [
        [
            str(one["run"]),
            one["title"],
            one["layer_name"],
            _write_depth(one["relative_depth"]),
            format_percent(one["value"]),
        ]
        for one in layers.to_dict("records")
    ]
    return Table("Score x 100 on test by run, task and layer.", ["Run", "Task", "Layer", "Depth", "Score"], rows)


def tabulate_best(summary: pd.DataFrame) -> Table:
    """Last layer, best layer with its relative depth, and mix, by run and task.

    Args:
        summary: from `analysis.stats.sweep.summarise_runs`.
    """
    rows = [
        [
            *(str(one["run"]), one["title"], *(format_percent(one[name]) for name in ("last", "best", "mix"))),
            *(str(one["best_name"]), _write_depth(one["best_depth"])),
        ]
        for one in summary.to_dict("records")
    ]
    heads = ["Run", "Task", "Last", "Best", "Mix", "At", "Depth"]
    return Table("Score x 100 on test by run and task; the best layer is chosen on dev.", heads, rows)


def _write_depth(depth: float) -> str:
    return "-" if pd.isna(depth) else f"{depth:.2f}"


def tabulate_correlations(correlations: pd.DataFrame) -> Table:
    """Rank correlations between runs, a column for each kind.

    Args:
        correlations: from `analysis.stats.sweep.correlate_runs`.
    """
    rows = []
    for (first, second), own in correlations.groupby(["first", "second"], sort=False):
        values = {row["what"]: f"{row['spearman']:.2f} ({row['n']})" for row in own.to_dict("records")}
        values = {what: text.replace("nan", "-") for what, text in values.items()}
        rows.append([str(first), str(second), *(values.get(what, "-") for what in ("layers", "tasks", "depths"))])
    caption = (
        "Spearman's rank correlation (numbers it is over): of scores by task and layer, of the best layer's score by "
        "task, of its relative depth by task."
    )
    return Table(caption, ["First", "Second", "Layers", "Tasks", "Depths"], rows, title="Do runs rank alike?")
