"""The tables under the answer. Each is a caption, heads and rows of strings; the page draws them all alike."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.stats.seeds import KINDS
from analysis.tables.main import MARK

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
        table: from `analysis.tables.main.main_table`.
    """
    heads = ["Task", "Group", *(str(name) for name in table.columns.drop([MARK, "Task", "Group"]))]
    rows = [[f"{row[name]}{MARKED if row[MARK] == name else ''}" for name in heads] for row in table.to_dict("records")]
    caption = "Accuracy x 100 on test, ± half the 95 % interval. Best: the single layer that is best on dev."
    return Table(f"{caption} {MARKED}: significantly better than each of the others.", heads, rows)


def tell_scores(scores: pd.DataFrame) -> Table:
    """Score and interval of every layer, a row per layer, the mix first."""
    text = [show_score(value, low, high) for value, low, high in pick_columns(scores, ["value", "ci_low", "ci_high"])]
    return tabulate_layers(scores.assign(text=text), "Score x 100 on test [95 % interval], by layer and task")


def tell_weights(weights: pd.DataFrame) -> Table:
    """Weight and contribution of every layer, in percent."""
    shares = pick_columns(weights, ["weight", "contribution"])
    text = [f"{100 * weight:.1f} / {100 * contribution:.1f}" for weight, contribution in shares]
    return tabulate_layers(weights.assign(text=text), "Weight / contribution in percent, by layer and task")


def tell_gradients(gradients: pd.DataFrame, head: str, quantity: str) -> Table:
    """Gradient norms of one head at the last step measured."""
    rows = gradients[(gradients["head"] == head) & (gradients["quantity"] == quantity)]
    rows = rows[rows["step"] == rows["step"].max()]
    numbers = pick_columns(rows, ["value", "ci_low", "ci_high"])
    text = [f"{value:.3g} [{low:.3g}, {high:.3g}]" for value, low, high in numbers]
    caption = f"Gradient norm ({quantity}, head {head}, step {rows['step'].max()}) [95 % interval]"
    return tabulate_layers(rows.assign(text=text, title=rows["task"]), f"{caption}, by layer and task")


def tell_seeds(seeds: pd.DataFrame) -> Table:
    """Scores of the readings that were fitted from several seeds; no rows without such.

    Args:
        seeds: from `analysis.stats.seeds.summarise_seeds`.
    """
    rows = [
        [
            row["title"],
            row["layer_name"],
            str(row["n_seeds"]),
            f"{100 * row['value']:.1f}",
            *(f"[{100 * row[f'{kind}_low']:.1f}, {100 * row[f'{kind}_high']:.1f}]" for kind in KINDS),
        ]
        for row in seeds.to_dict("records")
    ]
    caption = "Accuracy x 100 on test, seeds averaged, with 95 % intervals over sentences, over seeds, and over both"
    return Table(caption, ["Task", "Reading", "Seeds", "Score", *(f"Over {kind}" for kind in KINDS)], rows)


def tell_published(both: pd.DataFrame) -> Table:
    """A run's scores beside the published ones, a row per task and layer.

    Args:
        both: from `analysis.stats.published.match_published`.
    """
    rows = [
        [
            row["title"],
            row["layer_name"],
            show_score(row["value"], row["ci_low"], row["ci_high"]),
            f"{100 * row['published']:.1f}",
            f"{100 * row['difference']:+.1f}",
        ]
        for row in both.to_dict("records")
    ]
    return Table("Accuracy x 100 on test", ["Task", "Layer", "Here", "Published", "Difference"], rows)


def tell_pairs(pairs: pd.DataFrame, first: str, second: str) -> Table:
    """Paired differences of two runs.

    Args:
        pairs: from `analysis.stats.between_runs.compare_runs`.
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
            show_p(row["p_holm"]),
        ]
        for row in pairs.to_dict("records")
    ]
    heads = ["Task", "What", first, second, "Difference", "95 % interval", "p (Holm)"]
    return Table(f"{second} minus {first}, in points. {MARKED}: significant (McNemar, Holm)", heads, rows)


def tabulate_layers(frame: pd.DataFrame, caption: str) -> Table:
    """A table of layers and tasks, what is no single layer first.

    Args:
        frame: columns `layer layer_name title text`.
        caption: of the table.
    """
    titles = list(dict.fromkeys(frame["title"]))
    names = dict(pick_columns(frame.sort_values("layer"), ["layer", "layer_name"]))
    cells = {(layer, title): text for layer, title, text in pick_columns(frame, ["layer", "title", "text"])}
    order = [layer for layer in sorted(names, reverse=True) if layer >= 0]
    order = [layer for layer in names if layer < 0] + order
    return Table(
        caption,
        ["Layer", *titles],
        [[str(names[layer]), *(str(cells.get((layer, title), "-")) for title in titles)] for layer in order],
    )


def pick_columns(frame: pd.DataFrame, names: Sequence[str]) -> Iterable[tuple]:
    """Row by row, the values of some columns."""
    return frame[list(names)].itertuples(index=False, name=None)


def show_score(value: float, low: float, high: float) -> str:
    """A score times 100 with its interval."""
    return f"{100 * value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def show_p(value: float) -> str:
    """A p value to three digits."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
