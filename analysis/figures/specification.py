"""The specification curve: what a sweep's runs conclude, and by which choices."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.style import COLOURS, PAGE_INCHES, set_title, styled
from probing.records import InputError

_ROW_INCHES, _CURVE_INCHES = 0.17, 1.8


@styled
def plot_specifications(specifications: pd.DataFrame, varied: list[str], title: str = "") -> Figure:
    """Above, each run's difference with its 95 % interval, from the lowest to the highest; below, what it had chosen.

    A filled dot is a difference that is significant.

    Args:
        specifications: from `analysis.stats.sweep.specify`.
        varied: names of its columns of settings.
        title: above the figure.

    Raises:
        InputError: there is nothing to draw.
    """
    if specifications.empty:
        raise InputError("a specification curve needs runs, got none")
    choices = [(name, value) for name in varied for value in dict.fromkeys(specifications[name].astype(str))]
    heights = [_CURVE_INCHES, _ROW_INCHES * max(1, len(choices))]
    figure = Figure((PAGE_INCHES, sum(heights) + 0.7), layout="constrained")
    curve, below = figure.subplots(2, 1, sharex=True, height_ratios=heights)
    places, values = np.arange(len(specifications)), 100 * specifications["difference"].to_numpy(dtype=float)
    bounds = 100 * specifications[["ci_low", "ci_high"]].to_numpy(dtype=float).T
    sure = specifications["significant"].to_numpy(dtype=bool)
    curve.vlines(places, *bounds, color=COLOURS["best"], linewidth=1)
    for filled in (True, False):
        face = COLOURS["mix"] if filled else "white"
        chosen = sure == filled
        curve.scatter(places[chosen], values[chosen], color=face, edgecolor=COLOURS["mix"], s=16, zorder=3)
    curve.axhline(0, color="black", linewidth=0.6)
    names = " or ".join(dict.fromkeys(f"{row.first} - {row.second}" for row in specifications.itertuples()))
    curve.set_ylabel(f"{names}, points")
    for row, (name, value) in enumerate(choices):
        chosen = (specifications[name].astype(str) == value).to_numpy()
        below.scatter(places[chosen], np.full(chosen.sum(), row), color="black", s=8)
    below.set_yticks(range(len(choices)), [f"{name.replace('_', ' ')}: {_cut(value)}" for name, value in choices])
    below.set_ylim(len(choices) - 0.4, -0.6)
    below.set_xticks([])
    below.set_xlabel("runs, from the lowest difference to the highest")
    set_title(figure, title)
    return figure


def _cut(value: str, longest: int = 28) -> str:
    """The end of a value, which tells paths apart."""
    return value if len(value) <= longest else f"...{value[-longest:]}"
