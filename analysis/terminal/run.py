"""The main table on a terminal: whole in 100 columns, without the interval of the difference in 80."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis.figures.files import save_figures
from analysis.figures.style import warn_of_letters
from analysis.report.answer import answer_control, count_claims
from analysis.runs.choosing import name_model
from analysis.runs.frames import mean_scores, unit_of
from analysis.runs.probing_run import Run, load_run
from analysis.stats.alike import warn_of_alike
from analysis.stats.amnesia import warn_of_amnesia
from analysis.stats.depth import warn_of_disagreement
from analysis.stats.erasure import warn_of_erasure
from analysis.stats.of_a_run import RunNumbers
from analysis.tables.alike import narrow_views
from analysis.tables.amnesia import narrow_places
from analysis.tables.controls import narrow_controls
from analysis.tables.depth import narrow_depth
from analysis.tables.erasure import narrow_erasure
from analysis.tables.formats import MARK
from analysis.tables.main import main_table
from analysis.tables.seeds import narrow_seeds
from analysis.tables.table import EQUAL
from analysis.terminal.tables import draw, open_console, print_table, start_table
from probing.catalogue.tasks import explain_tasks

_WHOLE_WIDTH = 100
"""Narrower screens do without the interval of the difference and the bits, and number the embeddings."""
_LEFT = ("Task", "At")
_SCORES = ("Last", "Best", "Mix")


def show_run(folder: Path, *writers: Callable[[Path], object]) -> None:
    """Save the figures of a run in its folder, then print its main table.

    Args:
        folder: of the run.
        writers: what else to write there, such as a report that links the figures, before anything is printed.

    Raises:
        InputError: as `analysis.runs.probing_run.load_run`.
    """
    run = load_run(folder)
    save_figures(run, folder / "figures")
    for write in writers:
        write(folder)
    numbers = RunNumbers(run)
    console = open_console()
    table = main_table(numbers.summary, numbers.comparisons)
    for standing in numbers.standings:
        console.print(answer_control(standing), markup=False, highlight=False)
    print_table(console, draw_table(table, numbers.comparisons, run, narrow=_is_narrow(console)))
    for title, question in explain_tasks(numbers.summary["task"].dropna()):
        console.print(f"{title}: {question}", style="dim", markup=False, highlight=False)
    show_details(numbers, console)
    if line := count_claims(numbers.claims):
        console.print(line, style="dim", markup=False, highlight=False)
    console.print(f"scores, layer weights and figures: {folder}", markup=False, highlight=False, soft_wrap=True)


def _is_narrow(console: Console) -> bool:
    return console.width < _WHOLE_WIDTH


def show_details(numbers: RunNumbers, console: Console) -> None:
    """Print what the scores are worth against the controls, where in the depth they lie, and what moves them."""
    controls = narrow_controls(numbers.controls, narrow=_is_narrow(console))
    alike = narrow_views(numbers.views, narrow=_is_narrow(console))
    erased = (narrow_erasure(numbers.erasures, numbers.summary), narrow_places(numbers.places))
    for table in (controls, narrow_depth(numbers.depth), alike, *erased, narrow_seeds(numbers.seeds)):
        if table.rows:
            print_table(console, draw(table))
    named = [*numbers.summary["title"].dropna(), name_model(numbers.run)]
    doubts = [*warn_of_disagreement(numbers.depth), *warn_of_alike(numbers.alike), *warn_of_amnesia(numbers.places)]
    doubts += warn_of_erasure(numbers.run)
    for line in filter(None, [*doubts, warn_of_letters(named)]):
        console.print(f"warning: {line}", style="yellow", markup=False, highlight=False)


def draw_table(
    table: pd.DataFrame, comparisons: pd.DataFrame, run: Run | None = None, *, narrow: bool = False
) -> Table:
    """The main table for `rich`: a section per group with its mean, a star and bold type on a supported best value.

    Args:
        table: from `analysis.tables.main.main_table`.
        comparisons: from `analysis.stats.within_run.compare_all`, for the note on what the test sets can resolve.
        run: whose model stands in the title; none, no title.
        narrow: whether it must do with 80 columns.
    """
    if narrow:
        table = _make_narrow(table)
    drawn = start_table(_title(run), _note(table, comparisons, narrow=narrow))
    heads = [str(name) for name in table.columns.drop([MARK, "Group"])]
    for name in heads:
        drawn.add_column(
            Text(name.replace(" (", "\n(").replace(" - ", " -\n")),
            justify="left" if name in _LEFT else "right",
            no_wrap=True,
        )
    for group, rows in table.groupby("Group", sort=False):
        drawn.add_row(Text(str(group), style="italic"))
        for _, row in rows.iterrows():
            style = "dim" if row["Task"] == "mean" else None
            drawn.add_row(*(_cell(row, name) for name in heads), style=style)
        drawn.add_section()
    return drawn


def _make_narrow(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop(columns="95 % interval").replace({"At": {"embeddings": "0"}})


def _cell(row: pd.Series, name: str) -> Text:
    if name == "Task":
        return Text(f" {row[name]}")
    starred = row[MARK] == name
    pad = " " if name.startswith(_SCORES) else ""
    return Text(f"{row[name]}{'*' if starred else pad}", style="bold" if starred else "")


def _title(run: Run | None) -> str:
    if run is None:
        return ""
    first = run.scores[run.scores["representation"] != "none"].iloc[0]
    unit = unit_of(mean_scores(run.scores))
    return f"{first.model}, {first.checkpoint}, {first.pooling} pooling: {unit} x 100 on test"


def _note(table: pd.DataFrame, comparisons: pd.DataFrame, *, narrow: bool) -> str:
    smallest = 100 * comparisons.loc[comparisons["level"] == "task", "smallest"]
    text = (
        "Best: the single layer with the best dev score, and its test score. +-: half the 95 % interval over test "
        f"sentences{'' if narrow else '; [ ]: of the paired difference'}. *: a score better than each of the others, "
        "or a difference that is significant (McNemar, Holm over tasks, p < 0.05; means: Holm over means)."
    )
    if table.map(lambda cell: cell.endswith(EQUAL)).any(axis=None):
        text += f" {EQUAL}: a difference below a point either way (two one-sided tests, not corrected)."
    found = smallest[smallest > 0]
    if len(found):
        text += (
            f" With 80 % power the test sets resolve differences from {found.min():z.1f} to {found.max():z.1f} points."
        )
    return text.replace("+-", "±")
