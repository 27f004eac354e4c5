"""Scores, weights and gradient norms by layer, published figures beside a run's, and two runs beside each other."""

import textwrap

import pandas as pd

from analysis.tables.table import (
    EQUAL,
    STAR,
    Table,
    format_gain,
    format_p,
    format_percent,
    format_points,
    format_score,
    mark_verdict,
    pick_columns,
    tabulate_layers,
)

_BOUNDED = ["value", "ci_low", "ci_high"]
_PAIRS_NOTE = (
    "Points on test. [ ]: 95 % interval of the paired difference. *: significant (McNemar, Holm over all rows, "
    "p < 0.05). =: equivalent, less than the margin either way (two one-sided tests, not corrected)."
)


def tabulate_scores(scores: pd.DataFrame) -> Table:
    """Score and interval of every layer, a row per layer, the mix first."""
    text = [format_score(*numbers) for numbers in pick_columns(scores, _BOUNDED)]
    return tabulate_layers(scores.assign(text=text), "Score x 100 on test [95 % interval], by layer and task")


def tabulate_weights(weights: pd.DataFrame) -> Table:
    """Weight and contribution of every layer, in percent."""
    shares = pick_columns(weights, ["weight", "contribution"])
    text = [f"{100 * weight:z.1f} / {100 * contribution:z.1f}" for weight, contribution in shares]
    return tabulate_layers(weights.assign(text=text), "Weight / contribution in percent, by layer and task")


def tabulate_gradients(gradients: pd.DataFrame, head: str, quantity: str) -> Table:
    """Gradient norms of one head at the last step measured."""
    rows = gradients[(gradients["head"] == head) & (gradients["quantity"] == quantity)]
    rows = rows[rows["step"] == rows["step"].max()]
    text = [f"{value:.3g} [{low:.3g}, {high:.3g}]" for value, low, high in pick_columns(rows, _BOUNDED)]
    caption = f"Gradient norm ({quantity}, head {head}, step {rows['step'].max()}) [95 % interval]"
    return tabulate_layers(rows.assign(text=text, title=rows["task"]), f"{caption}, by layer and task")


def tabulate_published(both: pd.DataFrame) -> Table:
    """A run's scores beside the published ones, a row per task and layer.

    Args:
        both: from `analysis.stats.published.match_published`.
    """
    rows = [
        [
            row["title"],
            row["layer_name"],
            format_score(row["value"], row["ci_low"], row["ci_high"]),
            format_percent(row["published"]),
            format_points(row["difference"]),
        ]
        for row in both.to_dict("records")
    ]
    return Table("Accuracy x 100 on test", ["Task", "Layer", "Here", "Published", "Difference"], rows)


def tabulate_pairs(pairs: pd.DataFrame, first: str, second: str) -> Table:
    """Paired differences of two runs; the significant ones are set off.

    Args:
        pairs: from `analysis.stats.between_runs.compare_runs`.
        first: name of the run to compare with.
        second: name of the run in question.
    """
    found = pairs.to_dict("records")
    rows = [
        [
            row["title"],
            row["contender"],
            format_percent(row["first"]),
            format_percent(row["second"]),
            f"{format_points(row['difference'])}{mark_verdict(row)}",
            format_gain(row["ci_low"], row["ci_high"]),
            format_p(row["p_holm"]),
        ]
        for row in found
    ]
    heads = ["Task", "What", first, second, "Difference", "95 % interval", "p (Holm)"]
    strong = [number for number, row in enumerate(found) if row["significant"]]
    caption = f"{second} minus {first}, in points. {STAR}: significant (McNemar, Holm); {EQUAL}: equivalent"
    return Table(caption, heads, rows, title=f"{second} minus {first}", strong=strong)


_MOST_LETTERS = 12
"""In a line at the head of a column."""


def _fold(name: str) -> str:
    return "\n".join(textwrap.wrap(name, _MOST_LETTERS, break_on_hyphens=True))


def narrow_pairs(pairs: pd.DataFrame, first: str, second: str) -> Table:
    """Narrow `tabulate_pairs` for a terminal: the runs' names broken into lines, and a word where a score fell."""
    wide = tabulate_pairs(pairs, first, second)
    heads = [_fold(head) if number in (2, 3) else head for number, head in enumerate(wide.heads)]
    fell = (pairs["significant"] & (pairs["difference"] < 0)).tolist()
    rows = [
        [cell.replace(STAR, f" fell{STAR}", 1) if down and number == 4 else cell for number, cell in enumerate(row)]
        for row, down in zip(wide.rows, fell, strict=True)
    ]
    return Table(_PAIRS_NOTE, heads, rows, wide.title, wide.strong)
