"""Style that all figures share, with the colours, the group labels and the layer axis."""

import textwrap
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, wraps
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font_names
from matplotlib.ft2font import FT2Font
from matplotlib.ticker import LogLocator, NullFormatter

STYLE = Path(__file__).with_name("style.mplstyle")

COLUMN_INCHES = 3.3
"""Width of a column of a two-column paper, and of every figure that has room in it."""
PAGE_INCHES = 6.9
"""Width of both columns: of figures with more tasks than a column holds."""

_MOST_IN_COLUMN = 10
"""Tasks side by side in a column."""

_FALLBACKS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Noto Sans JP", "Source Han Sans SC", "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei", "Droid Sans Fallback", "IPAGothic", "Microsoft YaHei", "Hiragino Sans", "Arial Unicode MS",
    "Noto Sans Devanagari", "Noto Sans Thai", "Noto Emoji",
)  # fmt: skip
"""Fonts for letters that DejaVu Sans lacks; those that are installed are asked in this order."""

MAP = "viridis"
"""Perceptually uniform, and readable with any colour vision."""

COLOURS = {"last": "#0072B2", "best": "#666666", "mix": "#D55E00"}
"""From Okabe and Ito's set; told apart by shape (`MARKERS`) as well."""

MARKERS = {"last": "o", "best": "s", "mix": "D"}

OFFSETS = {"last": -0.22, "best": 0.0, "mix": 0.22}
"""Place of each one beside the middle of a task's row."""

LineStyle = tuple[str, str, str | tuple[int, tuple[int, ...]]]

LINE_STYLES: tuple[LineStyle, ...] = (
    ("#0072B2", "o", "-"),
    ("#D55E00", "D", "--"),
    ("#009E73", "s", "-."),
    ("#CC79A7", "^", ":"),
    ("#E69F00", "v", (0, (5, 1, 1, 1, 1, 1))),
    ("#56B4E9", "P", (0, (1, 1))),
    ("#7F7F7F", "X", (0, (8, 2))),
)
"""Colour (Okabe and Ito, and a grey), mark and dashes of each line: told apart without colour."""

NOISE = "#e4e4e4"
"""Paper of a cell whose interval does not lie above chance, whatever its number."""
NOISE_HATCH = "////"

_INCHES_PER_LETTER = 0.066

Span = tuple[str, int, int]
P = ParamSpec("P")


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Draw under the style file alone, whatever the caller's settings, and leave those as they were."""

    @wraps(draw)
    def draw_styled(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with use_style():
            return draw(*args, **kwargs)

    return draw_styled


@contextmanager
def use_style() -> Iterator[None]:
    """Set what every figure is drawn and saved under: the style file, and fonts for letters that its own font lacks.

    Where no font has a letter its box is drawn: `warn_of_letters` says so once, for all figures.
    """
    with warnings.catch_warnings(), mpl.rc_context(rc={"font.sans-serif": list(_find_fonts())}, fname=STYLE):
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


@cache
def _find_fonts() -> tuple[str, ...]:
    known = set(get_font_names())
    return ("DejaVu Sans", *(name for name in _FALLBACKS if name in known))


@cache
def _find_letters() -> frozenset[int]:
    """Code points that some font of the figures has."""
    return frozenset().union(*(FT2Font(findfont(name)).get_charmap() for name in _find_fonts()))


def warn_of_letters(texts: Iterable[str]) -> str:
    """A warning that names the texts with letters that no font here has, and what to install; empty where all do."""
    known = _find_letters()
    lacking = [text for text in texts if any(ord(sign) not in known for sign in text if sign.isprintable())]
    if not lacking:
        return ""
    return (
        f"figures show boxes in place of letters of {', '.join(lacking[:3])}{' ...' if lacking[3:] else ''}: no font "
        "here has them; install one (fonts-noto-cjk on Debian and Ubuntu, google-noto-sans-cjk-fonts on Fedora) and "
        "give the same command again"
    )


def fit_width(n_tasks: int) -> float:
    """Width in inches of a figure with so many tasks side by side: one column of a paper, or both."""
    return COLUMN_INCHES if n_tasks <= _MOST_IN_COLUMN else PAGE_INCHES


def set_title(figure: Figure, title: str) -> None:
    """A title that is broken where the figure ends."""
    if title:
        figure.suptitle(textwrap.fill(title, int(figure.get_figwidth() / 0.061)))


def mark_powers(axis: Axis) -> None:
    """Few and plain numbers on a logarithmic axis."""
    axis.set_major_locator(LogLocator(subs=(1, 3)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def small_panels(n_tasks: int, **options: Any) -> tuple[Figure, np.ndarray]:
    """A figure with a small panel for each task, all on the same axes; the panels left over are not seen.

    Args:
        n_tasks: how many.
        options: of `Figure.subplots`.
    """
    width = fit_width(n_tasks)
    n_columns = min(2 if width == COLUMN_INCHES else 5, n_tasks)
    n_rows = -(-n_tasks // n_columns)
    figure = Figure(figsize=(width, min(9.0, 1.2 + 1.1 * n_rows)))
    panels = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False, **options)
    for axes in panels.flat[n_tasks:]:
        axes.set_visible(False)
    return figure, panels


def label_bottom(panels: np.ndarray, n_tasks: int, label: str) -> None:
    """A label and numbers below the lowest panel of each column; narrow ones leave out what is in brackets."""
    if panels.shape[1] > 2:
        label = label.split(" (", maxsplit=1)[0]
    for axes in panels.flat[max(0, n_tasks - panels.shape[1]) : n_tasks]:
        axes.tick_params(labelbottom=True)
        axes.set_xlabel(label)


def few_layers(layers: Iterable[int]) -> list[int]:
    """At most seven or so of the layers, from the first one on: as many as an axis has room for."""
    known = list(layers)
    step = max(1, int(np.ceil((known[-1] - known[0]) / 6)))
    return [layer for layer in known if (layer - known[0]) % step == 0]


def label_groups(axes: Axes, spans: Sequence[Span], inches_per_task: float) -> None:
    """Group names above the columns and white lines between the groups; cut short where a group is narrow."""
    top = axes.secondary_xaxis("top")
    names = [
        group if _INCHES_PER_LETTER * len(group) < (end - start) * inches_per_task else f"{group[:4]}."
        for group, start, end in spans
    ]
    top.set_xticks([(start + end) / 2 for _, start, end in spans], names, style="italic")
    top.tick_params(length=0, pad=1)
    top.spines[:].set_visible(False)
    draw_separators(axes, spans)


def draw_separators(axes: Axes, spans: Sequence[Span]) -> None:
    """White lines between the groups of columns."""
    for _, start, _ in spans[1:]:
        axes.axvline(start, color="white", linewidth=3)


def label_tasks(axes: Axes, titles: Sequence[str], inches_per_task: float) -> None:
    """Task names below the columns, turned where they would touch."""
    turned = max(map(len, titles)) * _INCHES_PER_LETTER > inches_per_task
    axes.set_xticks(
        np.arange(len(titles)) + 0.5, titles, rotation=45 if turned else 0, ha="right" if turned else "center"
    )
    if turned:
        for label in axes.get_xticklabels():
            label.set_rotation_mode("anchor")
    axes.tick_params(length=0)


def label_layers(axes: Axes, names: Sequence[str]) -> None:
    """Layer names beside the rows of a heatmap whose first row is the top layer."""
    axes.set_yticks(np.arange(len(names)) + 0.5, list(reversed(names)), rotation=0)
    axes.set_ylabel("")
