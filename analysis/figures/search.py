"""Figure of a search of orders: a path's score against that of a model by itself, and the best candidates so far."""

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.figures.style import COLUMN_INCHES, LINE_STYLES, set_title, styled

_ARMS = {"evolution": "evolution", "random": "as many random orders"}
_OWN = ("searched", "best_random", "interleaved")
"""Orders with a mark of their own."""


@styled
def plot_search(orders: pd.DataFrame, best: pd.DataFrame, agreement: dict[str, float], title: str = "") -> Figure:
    """Two panels: paths against models with Kendall's tau, and the best path after so many candidates.

    Args:
        orders: from `analysis.stats.search.summarise_orders`.
        best: from `analysis.stats.search.best_so_far`.
        agreement: from `analysis.stats.search.measure_agreement`.
        title: above it.
    """
    figure = Figure(figsize=(COLUMN_INCHES, 5.0))
    above, below = figure.subplots(2, 1)
    _draw_orders(above, orders.dropna(subset="supernet"))
    if not math.isnan(agreement["tau"]):
        bounds = f"[{agreement['low']:+z.2f}, {agreement['high']:+z.2f}]"
        named = f"Kendall's tau {agreement['tau']:+z.2f} {bounds}, {agreement['n']:.0f} orders"
        above.set_title(named, fontsize=7.5)
    for (arm, own), (colour, _, dashes) in zip(best.groupby("arm", sort=False), LINE_STYLES, strict=False):
        below.plot(own["n"], 100 * own["score"], color=colour, linestyle=dashes, label=_ARMS.get(str(arm), str(arm)))
    below.set(xlabel="candidates", ylabel="best path so far, x 100")
    below.grid(axis="y")
    below.legend(loc="lower right")
    set_title(figure, title)
    return figure


def _draw_orders(axes: Axes, orders: pd.DataFrame) -> None:
    """A mark for each order; searched, random and interleaved ones are told apart."""
    styles = dict(zip(_OWN, LINE_STYLES, strict=False))
    for name, (colour, mark, _) in {**styles, "other orders": LINE_STYLES[3]}.items():
        rows = orders[orders["order"] == name] if name in _OWN else orders[~orders["order"].isin(_OWN)]
        if len(rows):
            label = name.replace("_", " ")
            axes.errorbar(
                100 * rows["supernet"], 100 * rows["value"], yerr=100 * rows["spread"].fillna(0), color=colour,
                marker=mark, linestyle="none", label=label, elinewidth=0.8,
            )  # fmt: skip
    axes.set(xlabel="path in the supernet, dev, x 100", ylabel="by itself, test, x 100")
    axes.grid()
    axes.legend(loc="best", fontsize=6.5)
