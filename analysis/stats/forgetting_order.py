"""The order in which groups of properties go: how much of what the teacher held a student has lost, by group.

Of task t, with the accuracies T of the teacher, S of the student and M of the majority answer on the same test
sentences, the relative loss is

    r_t = (T_t - S_t) / (T_t - M_t)

the share of the teacher's room above the majority that is gone: 0 where nothing is lost, 1 where the student is down
at the majority, below 0 where it gained. A group's loss is the mean of r_t over its tasks. A task whose teacher is not
above the majority (the lower bound of the paired 95 % interval of T - M is not above 0) has no room to lose and is left
out, and so is a task that student or teacher was trained on: it was taught, not kept.

The bootstrap draws test sentences, of each task for itself, teacher and student together; layers that were chosen on
dev stay chosen. An order holds where its share of draws is at least .975, which for two groups is that the 95 %
interval of their difference leaves out 0, and the first group's own interval lies above 0: else nothing is shown to go.
It is of these tasks: how other tasks of a group would do is not in it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from analysis.runs.probing_run import Run
from analysis.stats.between_runs import group_predictions
from analysis.stats.forgetting import INCONCLUSIVE, SIGNIFICANT
from probing.bootstrap import N_COMPARISON, interval_of_differences, percentile_interval, resample_rows
from probing.records import GROUPS

HOLDS = 0.975
"""Least share of draws in which an order holds."""
COLUMNS = ["student", "place", "group", "rank", "tasks", "loss", "low", "high", "order", "share", "verdict"]

Sides = Float[np.ndarray, "3 sentences"]


def order_groups(
    teacher: Run, students: Mapping[str, Run], losses: pd.DataFrame, taught: Mapping[str, set[str]], seed: int = 0
) -> pd.DataFrame:
    """Mean relative loss by group, the group that lost most first, for best layers and for mixes.

    Args:
        teacher: the run that students are held against.
        students: runs by name.
        losses: from `analysis.stats.forgetting.measure_losses`.
        taught: student -> keys of tasks to leave out, since it or its teacher was trained on them.
        seed: of the draws.

    Returns:
        `COLUMNS`: `loss` with its percentile interval `low high` in shares of the room above the majority, `tasks`
        their titles; `order` in words, `share` the share of draws in which it holds, and `verdict` on the order (empty
        with one group), are the same in all rows of a student and place.
    """
    rows = []
    ours = group_predictions(teacher)
    for (name, place), own in losses[losses["place"] != "depth"].groupby(["student", "place"], sort=False):
        theirs = group_predictions(students[str(name)])
        kept = own[~own["task"].isin(taught.get(str(name), set()))].to_dict("records")
        sides = {row["title"]: (row["group"], _align(row, ours, theirs)) for row in kept}
        sides = {title: found for title, found in sides.items() if _has_room(found[1])}
        drawn = _draw_losses(sides, np.random.default_rng([seed, *f"{name} {place}".encode()]))
        rows += [{"student": name, "place": place} | row for row in _rank(drawn)]
    return pd.DataFrame(rows, columns=COLUMNS)


def relative_loss(means: Float[np.ndarray, "3 *draws"]) -> Float[np.ndarray, "*draws"]:
    """(T - S) / (T - M), from the accuracies of teacher, student and majority answer.

    A draw in which the teacher is not above the majority gives no share: NaN.
    """
    teacher, student, majority = means
    room = teacher - majority
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(room > 0, (teacher - student) / room, np.nan)


def _align(row: Mapping[Any, Any], ours: Mapping[tuple, pd.DataFrame], theirs: Mapping[tuple, pd.DataFrame]) -> Sides:
    """Right or wrong of teacher, student and majority answer, by test sentence.

    The majority answer is the one that the score table's majority is of: the class whose share of test that is; of two
    such classes, either.
    """
    kind = "scalar_mix" if row["place"] == "mix" else "layer"
    sides = [
        _by_sentence(frames[row["task"], kind, layer])
        for frames, layer in ((ours, row["teacher_layer"]), (theirs, row["layer"]))
    ]
    labels = sides[0].index.get_level_values("label").to_numpy()
    kinds, counts = np.unique(labels, return_counts=True)
    most = kinds[np.abs(counts / len(labels) - row["majority"]).argmin()]
    return np.stack([*(side.to_numpy() for side in sides), (labels == most).astype(float)])


def _by_sentence(frame: pd.DataFrame) -> pd.Series:
    """The share of seeds that were right, by sentence and label."""
    right = (frame["label"] == frame["predicted"]).astype(float)
    return right.groupby([frame["row"].rename("row"), frame["label"].rename("label")]).mean()


def _has_room(sides: Sides) -> bool:
    return float(interval_of_differences(sides[0] - sides[2])[0]) > 0


def _draw_losses(
    sides: Mapping[str, tuple[str, Sides]], rng: np.random.Generator
) -> Mapping[str, tuple[list[str], float, np.ndarray]]:
    """Group -> its tasks, its loss, and its loss in each draw."""
    found: dict[str, tuple[list[str], float, np.ndarray]] = {}
    for group in GROUPS:
        titles = [title for title, (own, _) in sides.items() if own == group]
        if titles:
            values = [float(relative_loss(sides[title][1].mean(axis=1))) for title in titles]
            draws = [relative_loss(resample_rows(sides[title][1], rng, N_COMPARISON)) for title in titles]
            found[group] = (titles, float(np.mean(values)), np.mean(draws, axis=0))
    return found


def _rank(drawn: Mapping[str, tuple[list[str], float, np.ndarray]]) -> Sequence[dict[str, Any]]:
    """The groups' rows, the one that lost most first."""
    ranked = sorted(drawn, key=lambda group: -drawn[group][1])
    if not ranked:
        return []
    losses = np.stack([drawn[group][2] for group in ranked])
    share = np.nan if len(ranked) < 2 else float((losses[:-1] > losses[1:]).all(axis=0).mean())
    rows: list[dict[str, Any]] = []
    for rank, (group, draws) in enumerate(zip(ranked, losses, strict=True), start=1):
        titles, loss, _ = drawn[group]
        low, high = map(float, percentile_interval(draws[~np.isnan(draws)]))
        rows.append({"group": group, "rank": rank, "tasks": ", ".join(titles), "loss": loss, "low": low, "high": high})
    holds = share >= HOLDS and rows[0]["low"] > 0
    verdict = "" if len(ranked) < 2 else SIGNIFICANT if holds else INCONCLUSIVE
    return [row | {"order": " > ".join(ranked), "share": share, "verdict": verdict} for row in rows]
