"""Mixes of students beside their teacher's: where their centre of gravity lies in the depth, and how far it moved.

In relative depth, l / L of an encoder with L layers, so that encoders of unlike depth compare: G = sum_l w_l l / L.
Both the weights' and the contributions' centre are taken: raw weights mislead where layers differ in norm.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from analysis.runs.frames import mean_weights
from analysis.runs.probing_run import Run
from analysis.stats.depth import summarise_depth
from analysis.stats.forgetting import INCONCLUSIVE, SIGNIFICANT, count_layers
from analysis.stats.significance import ALPHA, holm

COLUMNS = ["student", "task", "title", "group", "what", "teacher", "student_gravity", "moved", "low", "high"]
COLUMNS += ["p", "p_holm", "verdict"]
WHAT = ("weight", "contribution")


def measure_moves(teacher: Run, students: Mapping[str, Run], tasks: list[str]) -> pd.DataFrame:
    """Distance of the centre of gravity of each student's mix from the teacher's, in relative depth.

    The interval of a move is that of a difference of two estimates with intervals of their own (MOVER; Zou and Donner
    2008): student and teacher resample training sentences each for itself, so that it is rather too wide. There is none
    where a run measured no `weight_intervals`. `p` is that of a normal law as wide as the interval's wider side, so
    that a skewed interval makes no verdict easier; `p_holm` is corrected over all rows that have one.

    Returns:
        `COLUMNS`; no rows where a side has no mix.
    """
    ours = _locate(teacher)
    rows = []
    for name, student in students.items():
        theirs = _locate(student)
        for task in tasks:
            if task in ours and task in theirs:
                rows += [{"student": name} | row for row in _move(ours[task], theirs[task])]
    frame = pd.DataFrame(rows, columns=COLUMNS)
    known = frame["p"].notna()
    if known.any():
        frame.loc[known, "p_holm"] = holm(frame.loc[known, "p"].tolist())
        verdicts = np.where(frame["p_holm"] < ALPHA, SIGNIFICANT, INCONCLUSIVE)
        frame["verdict"] = np.where(known, verdicts, "")
    return frame


def stack_mixes(teacher: Run, students: Mapping[str, Run], tasks: list[str]) -> pd.DataFrame:
    """Weights and contributions of all mixes side by side.

    Returns:
        Columns `encoder task title group layer layer_name depth weight contribution`; the teacher's rows first.
    """
    frames = []
    for name, run in ({"teacher": teacher} | dict(students)).items():
        rows = mean_weights(run.weights)
        frames.append(rows.assign(encoder=name, depth=rows["layer"] / count_layers(run)))
    whole = pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)
    columns = ["encoder", "task", "title", "group", "layer", "layer_name", "depth", *WHAT]
    return whole.loc[whole["task"].isin(tasks), columns].reset_index(drop=True)


def _locate(run: Run) -> Mapping[str, Mapping[Any, Any]]:
    """Task -> its row of `summarise_depth`, gravities in relative depth; only those with a mix."""
    depth = summarise_depth(run)
    n_layers = count_layers(run)
    names = [f"gravity_{what}{bound}" for what in WHAT for bound in ("", "_low", "_high")]
    scaled = depth.assign(**{name: depth[name].astype(float) / n_layers for name in names})
    return {row["task"]: row for row in scaled.to_dict("records") if not np.isnan(row["gravity_weight"])}


def _move(one: Mapping[Any, Any], other: Mapping[Any, Any]) -> list[dict[str, Any]]:
    rows = []
    for what in WHAT:
        name = f"gravity_{what}"
        moved = other[name] - one[name]
        below, above = np.hypot(
            [other[name] - other[f"{name}_low"], other[f"{name}_high"] - other[name]],
            [one[f"{name}_high"] - one[name], one[name] - one[f"{name}_low"]],
        )
        row = {key: one[key] for key in ("task", "title", "group")} | {"what": what, "teacher": one[name]}
        row |= {"student_gravity": other[name], "moved": moved, "low": moved - below, "high": moved + above}
        rows.append(row | {"p": _p_of(moved, max(below, above)), "p_holm": np.nan, "verdict": ""})
    return rows


def _p_of(moved: float, half: float) -> float:
    """Two-sided p of a move by a normal law; NaN without an interval."""
    if np.isnan(half):
        return np.nan
    if half == 0:
        return float(moved == 0)
    return float(2 * norm.sf(norm.ppf(1 - ALPHA / 2) * abs(moved) / half))
