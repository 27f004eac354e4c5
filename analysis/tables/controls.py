"""What the scores are worth: what is left above each control, by reading and by layer, and what the controls cost."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from analysis.figures.by_layer import DIFFERENCES
from analysis.runs.frames import mean_scores, title_of
from analysis.runs.probing_run import Run
from analysis.tables.scores import Table, pick_columns, show_score, tabulate_layers

CONTROL_NOTES = {
    "bag_of_embeddings": "the encoder's word embeddings alone, in no order: what is above it, context adds",
    "control_task": "labels drawn once per word (arXiv 1909.03368): what is above it, memorising words cannot give",
    "untrained": "the same architecture with random weights: what is above it, training adds",
    "shuffled_labels": "labels permuted: a probe must be at chance here",
}
"""What each control takes away."""


def mean_gains(run: Run) -> pd.DataFrame:
    """The scores above each control, seeds averaged; no rows where no control was run.

    Returns:
        The columns of `analysis.runs.frames.mean_scores`, and `control`.
    """
    found = run.scores[run.scores["metric"].isin(DIFFERENCES)][["control", "metric"]].drop_duplicates()
    frames = [
        mean_scores(run.scores, control=control, metric=metric).assign(control=control)
        for control, metric in pick_columns(found, ["control", "metric"])
    ]
    if not frames:
        return pd.DataFrame(columns=["control"])
    gains = pd.concat(frames, ignore_index=True)
    return gains.assign(title=gains["task"].map(title_of))


def tell_controls(gains: pd.DataFrame, summary: pd.DataFrame) -> Table:
    """Points of the best layer and of the mix above each control, with their paired intervals."""
    rows = []
    for task in summary[summary["level"] == "task"].to_dict("records"):
        of_task = gains[gains["task"] == task["task"]]
        for control, own in of_task.groupby("control", sort=False):
            best = own[(own["representation"] == "layer") & (own["layer"] == task["best_layer"])]
            mix = own[own["representation"] == "scalar_mix"]
            rows.append([task["title"], str(control), str(task["best_name"]), _difference(best), _difference(mix)])
    heads = ["Task", "Control", "Best layer", "Best layer above it", "Mix above it"]
    return Table("Points above each control, paired by test sentence [95 % interval]", heads, rows)


def tell_layers(run: Run, gains: pd.DataFrame) -> Iterator[Table]:
    """For each control, the points above it and its own score, by layer and task, with their intervals."""
    for control, own in gains.groupby("control", sort=False):
        text = [_show_points(*numbers) for numbers in pick_columns(own, ["value", "ci_low", "ci_high"])]
        what = "Selectivity: points above" if own["metric"].iloc[0] == "selectivity" else "Points above"
        yield tabulate_layers(own.assign(text=text), f"{what} {control} [95 % interval], by layer and task")
        scores = mean_scores(run.scores, control=str(control))
        text = [show_score(*numbers) for numbers in pick_columns(scores, ["value", "ci_low", "ci_high"])]
        yield tabulate_layers(
            scores.assign(text=text), f"Score x 100 under {control} [95 % interval], by layer and task"
        )


def tell_cost(run: Run) -> Table:
    """Seconds and peak memory of each stage of the run, and its time beside that of the probes themselves.

    No rows where the run did not write it down.
    """
    stages = run.manifest.get("stages", {})
    plain = stages.get("probing", {}).get("seconds", 0)
    rows = [
        [
            name,
            f"{stage['seconds']:.1f}",
            f"{stage['seconds'] / plain:.2f}" if plain else "-",
            f"{stage.get('peak_rss_bytes', 0) / 2**30:.2f}",
        ]
        for name, stage in stages.items()
    ]
    caption = "Cost of each stage; probing: the layers and the mix themselves, which the others are held against"
    return Table(caption, ["Stage", "Seconds", "Times probing", "Peak memory, GiB"], rows)


def _difference(rows: pd.DataFrame) -> str:
    if rows.empty or np.isnan(rows["value"].iloc[0]):
        return "-"
    return _show_points(*(float(rows[name].iloc[0]) for name in ("value", "ci_low", "ci_high")))


def _show_points(value: float, low: float, high: float) -> str:
    return f"{100 * value:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
