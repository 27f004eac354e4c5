"""Tables of students held against their teacher: losses, mixes, the order in which groups go, the encoders."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.runs.frames import title_of
from analysis.tables.table import STAR, Table, format_gain, format_p, format_percent, format_points, shorten_layer

_LOSSES = (
    "Points on test, student minus teacher. [ ]: 95 % interval of the paired difference. {star}: significant (McNemar, "
    "Holm over these rows, p < 0.05); equivalent: shown to be below a point. Best: each one's best layer by dev score. "
    "Smallest: the difference that this test set finds four times in five."
)
_DEPTHS = (
    "Points on test, student minus teacher at equal relative depth (layer / number of layers) [95 % interval of the "
    "paired difference]. {star}: significant (McNemar, Holm over all students, tasks and depths). ~: the teacher has "
    "no layer there; the nearest one was taken, of two equally near the lower"
)
_MOVES = (
    "Centre of gravity of the mix in relative depth (0: embeddings, 1: last layer), of weights and of contributions "
    "(weight x mean norm about the mean). [ ]: 95 % interval over training sentences, where both runs measured "
    "weight_intervals. {star}: significant (Holm over these rows)."
)
_ORDER = (
    "Loss: mean over the group's tasks of (teacher - student) / (teacher - majority), the share of the teacher's room "
    "above the majority that is gone, in percent [95 % bootstrap interval over test sentences]. Draws: share of draws "
    "in which the groups stand in this order. The order is significant from 97.5 % on, where the first group has lost "
    "something; else it is inconclusive."
)
_ENCODERS = (
    "As the checkpoint's folder and the run that trained it have it: parameters and bytes of what is stored, head "
    "included. -: not known there"
)
_MIXES = "Weight / contribution in the mix, in percent, by task, encoder and relative depth"


def tabulate_losses(losses: pd.DataFrame) -> Table:
    """Losses at the best layer and of the mix, a row per task, student and place; the significant ones are set off."""
    found = losses[losses["place"] != "depth"].to_dict("records")
    rows = [
        [
            row["title"], row["student"], row["place"], _name_side(row, "teacher"), _name_side(row, "student"),
            f"{format_points(row['difference'])}{STAR if row['significant'] else ''}",
            format_gain(row["ci_low"], row["ci_high"]), format_p(row["p_holm"]), format_percent(row["smallest"]),
            row["verdict"],
        ]
        for row in found
    ]  # fmt: skip
    heads = ["Task", "Student", "What", "Teacher (at)", "Student (at)", "Difference", "95 % interval", "p (Holm)"]
    strong = [number for number, row in enumerate(found) if row["significant"]]
    caption = _LOSSES.format(star=STAR)
    return Table(caption, [*heads, "Smallest", "Verdict"], rows, "Student minus teacher", strong)


def tabulate_depths(losses: pd.DataFrame, student: str) -> Table:
    """Losses of one student by relative depth and task, the last layer first."""
    own = losses[(losses["place"] == "depth") & (losses["student"] == student)]
    titles = list(dict.fromkeys(own["title"]))
    cells = {(row["layer"], row["title"]): _format_cell(row) for row in own.to_dict("records")}
    layers = own.drop_duplicates("layer").sort_values("layer", ascending=False).to_dict("records")
    rows = [
        [
            f"{shorten_layer(row['layer_name'])} ({row['depth']:.2f})",
            f"{shorten_layer(row['teacher_layer_name'])} ({row['teacher_depth']:.2f})",
            *(cells.get((row["layer"], title), "-") for title in titles),
        ]
        for row in layers
    ]
    return Table(f"{student}: {_DEPTHS.format(star=STAR)}", ["Layer (depth)", "Teacher's", *titles], rows)


def tabulate_moves(moves: pd.DataFrame) -> Table:
    """Moves of the mixes' centres of gravity; maybe no rows."""
    rows = []
    for row in moves.to_dict("records"):
        star = STAR if row["verdict"] == "significant" else ""
        bounds = "" if math.isnan(row["low"]) else f" [{row['low']:+z.2f}, {row['high']:+z.2f}]"
        moved = f"{row['moved']:+z.2f}{star}{bounds}"
        gravities = [f"{row[name]:z.2f}" for name in ("teacher", "student_gravity")]
        rows.append([row["title"], row["student"], row["what"], *gravities, moved, row["verdict"] or "no interval"])
    heads = ["Task", "Student", "What", "Teacher", "Student's", "Moved", "Verdict"]
    return Table(_MOVES.format(star=STAR), heads, rows, "Centre of gravity of the mix")


def tabulate_order(order: pd.DataFrame) -> Table:
    """The groups in the order in which they go, by student and place."""
    rows = []
    for row in order.to_dict("records"):
        share = "-" if math.isnan(row["share"]) else format_percent(row["share"])
        loss = f"{format_percent(row['loss'])} [{format_percent(row['low'])}, {format_percent(row['high'])}]"
        cells = [row["student"], row["place"], str(row["rank"]), row["group"], loss, row["tasks"]]
        rows.append([*cells, share, row["verdict"] or "one group"])
    heads = ["Student", "What", "Goes", "Group", "Loss, % of room", "Tasks", "Draws, %", "Order"]
    return Table(_ORDER, heads, rows, "Order in which groups go")


def tabulate_encoders(encoders: pd.DataFrame) -> Table:
    """Facts known of teacher and students: training, zeros, bits, size."""
    rows = []
    for row in encoders.to_dict("records"):
        cells = [row["encoder"], row["model"], str(row["n_layers"]), _describe_training(row)]
        sizes = [_format_count(row[name], 1e6) for name in ("parameters", "bytes")]
        rows.append([*cells, format_percent(row["sparsity"]), row["bits"] or "-", *sizes])
    heads = ["Encoder", "What", "Layers", "Trained by", "Zeros, %", "Bits", "Parameters, M", "MB"]
    return Table(_ENCODERS, heads, rows, "Encoders")


def tabulate_mixes(mixes: pd.DataFrame) -> Table:
    """Weights and contributions side by side: a row per task and encoder, a column per relative depth."""
    depths = sorted(set(mixes["depth"].round(4)))
    rows = []
    for (title, encoder), own in mixes.groupby(["title", "encoder"], sort=False):
        shares = {
            round(depth, 4): f"{100 * weight:z.0f} / {100 * contribution:z.0f}"
            for depth, weight, contribution in zip(own["depth"], own["weight"], own["contribution"], strict=True)
        }
        rows.append([str(title), str(encoder), *(shares.get(depth, "") for depth in depths)])
    return Table(_MIXES, ["Task", "Encoder", *(f"{depth:.2f}" for depth in depths)], rows)


def _name_side(row: Mapping[Any, Any], side: str) -> str:
    name = row["layer_name" if side == "student" else "teacher_layer_name"]
    at = "" if row["place"] == "mix" else f" ({shorten_layer(name)})"
    return f"{format_percent(row[f'{side}_score'])}{at}"


def _format_cell(row: Mapping[Any, Any]) -> str:
    near = "" if math.isclose(row["depth"], row["teacher_depth"]) else "~"
    star = STAR if row["significant"] else ""
    return f"{near}{format_points(row['difference'])}{star} {format_gain(row['ci_low'], row['ci_high'])}"


def _describe_training(row: Mapping[Any, Any]) -> str:
    if not row["recipe"]:
        return "-"
    pruned = f" {row['method'].replace('_', ' ')}" if row["method"] else ""
    return f"{row['recipe']}{pruned} on {title_of(row['task'])}, seed {row['seed']}"


def _format_count(number: float, unit: float) -> str:
    return "-" if math.isnan(number) else f"{number / unit:z.2f}"
