"""Tables of orders of sub-layers: how far each was trained, and where each has which property."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.runs.orders_run import ProbedOrder
from analysis.stats.between_runs import compare_runs
from analysis.stats.summary import summarise_tasks
from analysis.tables.table import STAR, Table, format_gain, format_percent, format_points, format_score

_TRAINED = (
    "Pattern: 0 convolution, 1 self-attention, 2 feed-forward. Dev loss: nats a hidden token at the evaluation that "
    "training ended at, and what it was to come to. Test: masked accuracy x 100 and bits a hidden token, with 95 % "
    "intervals over blocks."
)
_PROBED = (
    "Accuracy x 100 on test of the best sub-layer by dev, which stands behind it, with 95 % intervals. -: minus the "
    f"first one's best, paired by sentence; {STAR}: significant (McNemar, Holm over tasks and readouts of the pair)."
)


def tabulate_trained(orders: Sequence[ProbedOrder], title: str = "") -> Table:
    """A row for each order: steps, tokens, loss on dev, and the scores on held-out text."""
    rows = []
    for order in orders:
        first = order.rows.iloc[0]
        tokens = first["seconds"] * first["tokens_per_s"]
        cells = [order.name, order.pattern, str(first["steps"]), f"{tokens / 1e6:z.2f}", _format_loss(first)]
        rows.append([*cells, _format_test(order.rows, "masked_accuracy", 100), _format_test(order.rows)])
    heads = ["Order", "Pattern", "Steps", "M tokens", "Dev loss", "Masked accuracy", "Bits a token"]
    return Table(_TRAINED, heads, rows, title=title)


def tabulate_probed(orders: Sequence[ProbedOrder], title: str = "") -> Table:
    """A row for each task: the best sub-layer of each order, and what the others have beside the first."""
    found = {order.name: _list_tasks(order) for order in orders}
    first = orders[0]
    gains = {order.name: _list_gains(first, order) for order in orders[1:]}
    heads = ["Task", "Majority"]
    for order in orders:
        heads += [order.name, *([f"- {first.name}"] if order is not first else [])]
    rows = []
    for task, row in found[first.name].items():
        cells = [str(row["title"]), format_percent(row["majority"])]
        for order in orders:
            own = found[order.name][task]
            cells += [f"{format_score(own['best'], own['best_low'], own['best_high'])} ({own['best_name']})"]
            cells += [gains[order.name].get(task, "-")] if order is not first else []
        rows.append(cells)
    return Table(_PROBED, heads, rows, title=title)


def _list_tasks(order: ProbedOrder) -> Mapping[str, dict[Any, Any]]:
    return {row["task"]: row for row in summarise_tasks(order.run).to_dict("records")}


def _list_gains(first: ProbedOrder, other: ProbedOrder) -> Mapping[str, str]:
    pairs = compare_runs(first.run, other.run)
    best = pairs[pairs["contender"] == "best"].to_dict("records")
    return {
        row["task"]: f"{format_points(row['difference'])}{STAR if row['significant'] else ''} "
        f"{format_gain(row['ci_low'], row['ci_high'])}"
        for row in best
    }


def _format_loss(row: pd.Series) -> str:
    if not row["until_dev_loss"] > 0:
        return "no aim"
    reached = row["dev_loss"] <= row["until_dev_loss"]
    return f"{row['dev_loss']:.3f} of {row['until_dev_loss']:g}{'' if reached else ', NOT REACHED'}"


def _format_test(rows: pd.DataFrame, metric: str = "bits_per_token", factor: int = 1) -> str:
    own = rows[(rows["metric"] == metric) & (rows["split"] == "test")]
    if own.empty:
        return "-"
    low, value, high = (factor * own[name].iloc[0] for name in ("ci_low", "value", "ci_high"))
    digits = 1 if factor > 1 else 2
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
