"""Runs -> one self-contained HTML page."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from analysis.report import answer, facts, heatmap_charts, task_charts
from analysis.report.draws import build_page as build_draws_page
from analysis.report.erasure import chart_erasure, tell_erasure
from analysis.report.shell import Chart, render_page
from analysis.report.sweep import build_page as build_sweep_page
from analysis.report.training import build_training_report
from analysis.runs.draws_run import is_draws, load_draws
from analysis.runs.frames import mean_scores, order_tasks, title_of
from analysis.runs.probing_run import Run, load_runs, name_runs
from analysis.runs.sweep import is_sweep, load_sweep
from analysis.runs.training_run import is_training, load_trainings
from analysis.stats.alike import KNOCKOUTS, list_knockouts, warn_of_alike
from analysis.stats.amnesia import warn_of_amnesia
from analysis.stats.between_runs import compare_runs
from analysis.stats.depth import warn_of_disagreement
from analysis.stats.erasure import warn_of_erasure
from analysis.stats.of_a_run import RunNumbers
from analysis.stats.published import ORIGIN
from analysis.tables.of_a_run import RunTables, tabulate_run
from analysis.tables.scores import tabulate_pairs
from analysis.tables.table import Table
from probing.atomic_files import check_new_file, write_atomically
from probing.catalogue.controls import CONTROLS
from probing.catalogue.tasks import explain_tasks
from probing.records import InputError

NAME = "report.html"
"""File name of the report of one run, in its folder."""


@dataclass(frozen=True)
class Section:
    """Part of the page about one run."""

    name: str
    facts: Sequence[tuple[str, str]]
    answer: Sequence[str]
    tables: RunTables
    whole: Sequence[Chart]
    """Charts over all tasks."""
    disagreements: Sequence[str]
    misses: Sequence[str]
    """Lines on properties that are missed elsewhere than where a probe reads it best."""
    alike: Sequence[str]
    """Warnings of layers that are nearly the same and share the weight."""
    warnings: Sequence[str]
    limits: Sequence[str]
    command: str
    erased: Sequence[str] = ()
    """Sentences on erasure."""
    erasure: Sequence[Chart] = ()
    by_task: Sequence[Chart] = field(default_factory=tuple)
    """Charts of the chosen task."""
    files: Sequence[tuple[str, str]] = ()
    """Name and relative address of what can be downloaded."""


def write_report(folders: Sequence[Path], output: Path | None = None, seed: int = 0) -> Path:
    """Write the report of one or several runs.

    Args:
        folders: run folders, all of probing or all of training.
        output: the file; by default `NAME` in the folder of a single run.
        seed: of the bootstrap.

    Raises:
        InputError: a folder that is no finished run, folders of both kinds, or several without an output; nothing is
            written then.
    """
    if output is None and len(folders) != 1:
        raise InputError(f"expected --output for the report of {len(folders)} runs, got none")
    path = output or folders[0] / NAME
    check_new_file(path)
    page = _build_page(folders, seed, path.parent)
    write_atomically(path, page.encode("utf-8"))
    return path


def _build_page(folders: Sequence[Path], seed: int, beside: Path) -> str:
    several = [folder for folder in folders if is_draws(folder)]
    if several and len(folders) > 1:
        raise InputError(f"{several[0]} holds several encoders, whose page is its own: write one of it alone")
    swept = [folder for folder in folders if is_sweep(folder)]
    if swept and len(folders) > 1:
        raise InputError(f"{swept[0]} holds a sweep, whose page is its own: write one of it alone")
    if swept:
        return build_sweep_page(load_sweep(swept[0]))
    if several:
        return build_draws_page(load_draws(several[0]), seed)
    trained = [folder for folder in folders if is_training(folder)]
    if not trained:
        return build_report(load_runs(folders), seed, beside)
    if len(trained) < len(folders):
        raise InputError(f"{trained[0]} holds a training run and others hold probing runs: write a report of each kind")
    return build_training_report(load_trainings(folders), seed, beside)


def save_report(folder: Path) -> Path:
    """Write the report of one run into its folder."""
    return write_report([folder])


def build_report(runs: Sequence[Run], seed: int = 0, beside: Path | None = None) -> str:
    """The page of one or several runs.

    Args:
        runs: the runs.
        seed: of the bootstrap.
        beside: the folder that the page will stand in, which its links to files of the runs start from; none: no links.

    Raises:
        InputError: a run has no scores, or a task lacks a layer that others have.
    """
    names = name_runs([run.folder for run in runs])
    scores = [mean_scores(run.scores).assign(run=name) for run, name in zip(runs, names, strict=True)]
    sections = [
        replace(_describe_run(run, name, number, seed), files=facts.list_files(run.folder, beside))
        for number, (run, name) in enumerate(zip(runs, names, strict=True))
    ]
    together = pd.concat(scores, ignore_index=True)
    tasks = order_tasks(together)
    curves = Chart("curves", _CURVES, task_charts.chart_curves(together))
    return render_page(
        "report.html.j2",
        title=facts.name_runs_of(runs),
        asked=explain_tasks(tasks),
        sections=sections,
        tasks=[(task, title_of(task)) for task in tasks],
        curves=curves,
        pairs=_tabulate_pairs(runs, names),
        origin=ORIGIN,
        control_notes=_controls_of(runs),
        references=facts.REFERENCES,
    )


_CURVES = (
    "Score by layer with its 95 % interval. Dashed: the scalar mix. Dotted: the majority baseline. "
    "Hover or tap for the numbers."
)


def _describe_run(run: Run, name: str, number: int, seed: int) -> Section:
    numbers = RunNumbers(run, seed)
    tables = tabulate_run(numbers)
    return Section(
        name=name,
        facts=facts.list_facts(run),
        answer=answer.answer(numbers.summary, numbers.comparisons, numbers.standings, numbers.claims),
        tables=tables,
        whole=[_chart_scores(numbers, tables, number), *_chart_weights(numbers, tables, number)],
        by_task=[
            *_chart_mix(numbers.weights, number),
            *_chart_gains(numbers.gains, number),
            *_chart_losses(numbers, number),
            *_chart_alike(run, number),
            *_chart_gradients(run.gradients, tables, number),
        ],
        erased=[*tell_erasure(numbers.erasures, numbers.summary), *warn_of_erasure(run)],
        erasure=_chart_erasure(numbers, tables, number),
        disagreements=list(warn_of_disagreement(numbers.depth)),
        misses=list(warn_of_amnesia(numbers.places)),
        alike=list(warn_of_alike(numbers.alike)),
        warnings=facts.list_warnings(run),
        limits=facts.list_limits(run, numbers.comparisons),
        command=facts.rebuild_command(run.settings),
    )


def _chart_scores(numbers: RunNumbers, tables: RunTables, number: int) -> Chart:
    caption = "Score x 100 of every layer and of the mix. Choose a task by its column to see it below."
    spec = heatmap_charts.chart_scores(numbers.scores)
    return Chart(f"scores-{number}", caption, spec, list(tables.scores.values()), wide=True)


def _chart_weights(numbers: RunNumbers, tables: RunTables, number: int) -> list[Chart]:
    if numbers.weights.empty:
        return []
    captions = {
        "weight": "Weight of each layer in the mix (after softmax), in percent.",
        "contribution": "Contribution of each layer to the mix (weight x mean norm about the mean), in percent.",
    }
    below = {"weight": [], "contribution": list(tables.weights.values())}
    return [
        Chart(f"{column}-{number}", caption, heatmap_charts.chart_weights(numbers.weights, column), below[column])
        for column, caption in captions.items()
    ]


def _chart_mix(weights: pd.DataFrame, number: int) -> list[Chart]:
    caption = "What each layer has in the mix of this task."
    return [Chart(f"mix-{number}", caption, task_charts.chart_mix(weights))] if len(weights) else []


def _chart_gains(gains: pd.DataFrame, number: int) -> list[Chart]:
    caption = "Points above each control by layer, paired, with 95 % intervals."
    return [Chart(f"gains-{number}", caption, task_charts.chart_gains(gains))] if len(gains) else []


def _chart_losses(numbers: RunNumbers, number: int) -> list[Chart]:
    caption = (
        "What a probe of each layer reads above the majority, and what the last layer loses where the property is "
        "erased at that one, in points."
    )
    if numbers.losses.empty:
        return []
    return [Chart(f"losses-{number}", caption, task_charts.chart_losses(numbers.run.amnesia, numbers.losses))]


def _chart_alike(run: Run, number: int) -> list[Chart]:
    drawn = []
    if len(run.similarities):
        caption = "Debiased CKA of all pairs of layers: 1 where one is the other turned, scaled and shifted."
        drawn.append(Chart(f"similarity-{number}", caption, task_charts.chart_similarity(run.similarities)))
    lost = list_knockouts(run.scores, KNOCKOUTS["cost"])
    if len(lost):
        caption = "Points that the mix loses with a layer at its training mean, paired, with 95 % intervals."
        drawn.append(Chart(f"knockouts-{number}", caption, task_charts.chart_knockouts(lost)))
    return drawn


def _chart_gradients(gradients: pd.DataFrame, tables: RunTables, number: int) -> list[Chart]:
    drawn = []
    for quantity in dict.fromkeys(gradients["quantity"]):
        below = [table for name, table in tables.gradients.items() if name.startswith(f"gradients_{quantity}_")]
        caption = f"Gradient norm by depth ({quantity}) with 95 % intervals, at the last step measured."
        spec = task_charts.chart_gradients(gradients, quantity)
        drawn.append(Chart(f"gradients-{quantity}-{number}", caption, spec, below))
    return drawn


def _chart_erasure(numbers: RunNumbers, tables: RunTables, number: int) -> list[Chart]:
    if numbers.erasures.empty:
        return []
    caption = (
        "Points that a task (column) changes by at its best layer when a property (row) is erased; colours show what "
        "goes beyond a random subspace of the same rank and the control task."
    )
    spec = chart_erasure(numbers.erasures, numbers.summary)
    return [Chart(f"erasure-{number}", caption, spec, list(tables.erasure.values()), wide=True)]


def _tabulate_pairs(runs: Sequence[Run], names: Sequence[str]) -> list[tuple[str, Table | None]]:
    """Every further run against the first: a table, or why there is none."""
    blocks = []
    for run, name in zip(runs[1:], names[1:], strict=True):
        try:
            table = tabulate_pairs(compare_runs(runs[0], run), names[0], name)
            blocks.append(("", table))
        except InputError as error:
            blocks.append((f"Not compared: {error}.", None))
    return blocks


def _controls_of(runs: Sequence[Run]) -> list[tuple[str, str]]:
    found = dict.fromkeys(control for run in runs for control in run.scores["control"] if control != "none")
    return [(str(name), CONTROLS[str(name)].note if name in CONTROLS else "") for name in found]
