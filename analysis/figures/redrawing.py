"""Choices in a notebook: dropdowns above whatever is drawn for them, and drawn again when one of them changes.

A `Figure` that pyplot does not own is shown by nothing but `display`: `ipywidgets.interact` alone, which shows what
pyplot holds, would leave the space below the dropdowns empty.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from IPython.display import Markdown, Pretty, display
from ipywidgets import Dropdown, HBox, Layout, Output, VBox
from pandas.io.formats.style import Styler

from analysis.tables.table import Table, frame_of
from probing.records import InputError


def redraw(draw: Callable[..., Any], **choices: Sequence[Any]) -> VBox:
    """A dropdown for each choice, and below them what `draw` makes of the chosen, anew at each choice.

    Args:
        draw: takes a keyword for each choice and returns what a notebook can show, such as a `Figure` or a frame, or a
            tuple of such. Where it raises `InputError`, as for a task that a run lacks, the message is shown instead.
        choices: the options of each keyword, the first one chosen; pairs are what is shown and what is meant.
    """
    boxes = {
        name: Dropdown(options=list(options), description=name, layout=Layout(width="max-content"))
        for name, options in choices.items()
    }
    shown = Output()

    def show(_: object = None) -> None:
        shown.clear_output(wait=True)
        with shown:
            _show(draw, {name: box.value for name, box in boxes.items()})

    for box in boxes.values():
        box.observe(show, "value")
    show()
    return VBox([HBox(list(boxes.values()), layout=Layout(flex_flow="row wrap")), shown])


def list_sentences(sentences: Iterable[str]) -> Markdown:
    """A list of sentences, one a line."""
    return Markdown("\n".join(f"* {sentence}" for sentence in sentences))


def show_table(table: Table) -> Styler:
    """A table with its caption, as a notebook shows it."""
    return frame_of(table).style.set_caption(table.caption).hide(axis="index")


def _show(draw: Callable[..., Any], chosen: dict[str, Any]) -> None:
    try:
        drawn = draw(**chosen)
    except InputError as error:
        display(Pretty(str(error)))
    else:
        display(*(drawn if isinstance(drawn, tuple) else (drawn,)))
