"""The tables under the answer. Each is a caption, heads and rows of strings; the page draws them all alike."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.by_layer import DIFFERENCES
from analysis.frames import mean_scores, title_of
from analysis.load import Run
from analysis.tables import MARK

CONTROL_NOTES = {
    "bag_of_embeddings": "the encoder's word embeddings alone, in no order: what is above it, context adds",
    "control_task": "labels drawn once per word (arXiv 1909.03368): what is above it, memorising words cannot give",
    "untrained": "the same architecture with random weights: what is above it, training adds",
    "shuffled_labels": "labels permuted: a probe must be at chance here",
}
"""What each control takes away."""

MARKED = "*"


@dataclass(frozen=True)
class Table:
    """A table of strings."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    """The first cell of a row is its head."""


def tell_main(table: pd.DataFrame) -> Table:
    """The main table, the supported best value starred.

    Args:
        table: from `analysis.tables.main_table`.
    """
    heads = ["Task", "Group", *(str(name) for name in table.columns.drop([MARK, "Task", "Group"]))]
    rows = [[f"{row[name]}{MARKED if row[MARK] == name else ''}" for name in heads] for row in table.to_dict("records")]
    caption = "Accuracy x 100 on test, ± half the 95 % interval. Best: the single layer that is best on dev."
    return Table(f"{caption} {MARKED}: significantly better than each of the others.", heads, rows)


def tell_scores(scores: pd.DataFrame) -> Table:
    """Score and interval of every layer, a row per layer, the mix first."""
    text = [_number(value, low, high) for value, low, high in _columns(scores, ["value", "ci_low", "ci_high"])]
    return _by_layer(scores.assign(text=text), "Score x 100 on test [95 % interval], by layer and task")


def tell_weights(weights: pd.DataFrame) -> Table:
    """Weight and contribution of every layer, in percent."""
    shares = _columns(weights, ["weight", "contribution"])
    text = [f"{100 * weight:.1f} / {100 * contribution:.1f}" for weight, contribution in shares]
    return _by_layer(weights.assign(text=text), "Weight / contribution in percent, by layer and task")


def tell_gradients(gradients: pd.DataFrame, head: str, quantity: str) -> Table:
    """Gradient norms of one head at the last step measured."""
    rows = gradients[(gradients["head"] == head) & (gradients["quantity"] == quantity)]
    rows = rows[rows["step"] == rows["step"].max()]
    numbers = _columns(rows, ["value", "ci_low", "ci_high"])
    text = [f"{value:.3g} [{low:.3g}, {high:.3g}]" for value, low, high in numbers]
    caption = f"Gradient norm ({quantity}, head {head}, step {rows['step'].max()}) [95 % interval]"
    return _by_layer(rows.assign(text=text, title=rows["task"]), f"{caption}, by layer and task")


def mean_gains(run: Run) -> pd.DataFrame:
    """The scores above each control, seeds averaged; no rows where no control was run.

    Returns:
        The columns of `analysis.frames.mean_scores`, and `control`.
    """
    found = run.scores[run.scores["metric"].isin(DIFFERENCES)][["control", "metric"]].drop_duplicates()
    frames = [
        mean_scores(run.scores, control=control, metric=metric).assign(control=control)
        for control, metric in _columns(found, ["control", "metric"])
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


def tell_published(both: pd.DataFrame) -> Table:
    """A run's scores beside the published ones, a row per task and layer.

    Args:
        both: from `analysis.published.match_published`.
    """
    rows = [
        [
            row["title"],
            row["layer_name"],
            _number(row["value"], row["ci_low"], row["ci_high"]),
            f"{100 * row['published']:.1f}",
            f"{100 * row['difference']:+.1f}",
        ]
        for row in both.to_dict("records")
    ]
    return Table("Accuracy x 100 on test", ["Task", "Layer", "Here", "Published", "Difference"], rows)


def tell_pairs(pairs: pd.DataFrame, first: str, second: str) -> Table:
    """Paired differences of two runs.

    Args:
        pairs: from `analysis.pairs.compare_runs`.
        first: name of the run to compare with.
        second: name of the run in question.
    """
    rows = [
        [
            row["title"],
            row["contender"],
            f"{100 * row['first']:.1f}",
            f"{100 * row['second']:.1f}",
            f"{100 * row['difference']:+.1f}{MARKED if row['significant'] else ''}",
            f"[{100 * row['ci_low']:+.1f}, {100 * row['ci_high']:+.1f}]",
            _p(row["p_holm"]),
        ]
        for row in pairs.to_dict("records")
    ]
    heads = ["Task", "What", first, second, "Difference", "95 % interval", "p (Holm)"]
    return Table(f"{second} minus {first}, in points. {MARKED}: significant (McNemar, Holm)", heads, rows)


def _by_layer(frame: pd.DataFrame, caption: str) -> Table:
    titles = list(dict.fromkeys(frame["title"]))
    names = dict(_columns(frame.sort_values("layer"), ["layer", "layer_name"]))
    cells = {(layer, title): text for layer, title, text in _columns(frame, ["layer", "title", "text"])}
    order = [layer for layer in sorted(names, reverse=True) if layer >= 0]
    order = [layer for layer in names if layer < 0] + order
    return Table(
        caption,
        ["Layer", *titles],
        [[str(names[layer]), *(str(cells.get((layer, title), "-")) for title in titles)] for layer in order],
    )


def _columns(frame: pd.DataFrame, names: Sequence[str]) -> Iterable[tuple]:
    return frame[list(names)].itertuples(index=False, name=None)


def _number(value: float, low: float, high: float) -> str:
    return f"{100 * value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def _difference(rows: pd.DataFrame) -> str:
    if rows.empty or np.isnan(rows["value"].iloc[0]):
        return "-"
    value, low, high = (100 * rows[name].iloc[0] for name in ("value", "ci_low", "ci_high"))
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
