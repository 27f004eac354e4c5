"""The runs of a sweep -> one self-contained HTML page."""

from analysis.report import facts
from analysis.report.shell import Chart, render_page
from analysis.report.sweep_charts import (
    chart_choices,
    chart_contenders,
    chart_correlations,
    chart_curve,
    chart_depths,
    chart_runs,
)
from analysis.runs.sweep import Sweep
from analysis.stats.sweep import CORRELATED, conclude, correlate_runs, list_layers, specify, summarise_runs
from analysis.tables.sweep import tabulate_best, tabulate_correlations, tabulate_layers_of, tabulate_runs
from probing.catalogue.tasks import explain_tasks

NAME = "report.html"
"""File name of the page, in the sweep's folder; those of single runs have it too."""
_LIMITS = (
    "Runs of a sweep are set beside each other, and not tested against each other: that two differ by less than their "
    "intervals says nothing.",
    "Layers of encoders of other depth are compared by their relative depth, 0 the embeddings and 1 the last layer.",
    "A rank correlation over a few tasks is coarse, and says whether tables order alike, not whether numbers agree.",
    "A specification curve shows the choices that were varied, and no other ones.",
    "A probe shows what can be read off the vectors, not what the model uses.",
)
_RUNS = "Score x 100 of the chosen task by run and relative depth. Hover or tap for the numbers."
_CONTENDERS = "The chosen task's last layer, best layer (chosen on dev) and mix, by run."
_DEPTHS = "Relative depth of the best layer, by run and task: 0 the embeddings, 1 the last layer."
_CURVE = (
    "The conclusion of every run, in points, from the lowest to the highest: mix minus last layer, or best minus last "
    "without a mix, mean over tasks, with its 95 % interval over test sentences; filled: significant. Below, what the "
    "run had chosen."
)


def build_page(sweep: Sweep) -> str:
    """The page of a sweep: what holds over its runs first."""
    layers, summary, specifications = list_layers(sweep), summarise_runs(sweep), specify(sweep)
    correlations = correlate_runs(layers, summary)
    curves = [chart_curve(specifications), chart_choices(specifications, sweep.varied)] if len(specifications) else []
    titles = dict(zip(layers["task"], layers["title"], strict=True))
    varied = " and ".join(name.replace("_", " ") for name in sweep.varied)
    return render_page(
        "sweep.html.j2",
        title=f"{len(sweep.runs)} runs{' over ' if varied else ''}{varied}",
        answers=list(conclude(specifications)) if len(specifications) else [],
        missing=list(sweep.missing),
        runs=tabulate_runs(summary, specifications, sweep.varied),
        asked=explain_tasks(titles),
        curves=[Chart(f"curve-{n}", "" if n else _CURVE, spec, wide=True) for n, spec in enumerate(curves)],
        tasks=list(titles.items()),
        by_task=[
            Chart("runs", _RUNS, chart_runs(layers), [tabulate_layers_of(layers)], wide=True),
            Chart("contenders", _CONTENDERS, chart_contenders(summary), [tabulate_best(summary)], wide=True),
        ],
        depths=Chart("depths", _DEPTHS, chart_depths(summary), wide=True),
        correlated=tabulate_correlations(correlations),
        correlations=[
            Chart(f"correlations-{what}", f"Rank correlation between runs {words}.", spec)
            for what, words in CORRELATED.items()
            if (spec := chart_correlations(correlations, what))
        ],
        sections=[
            {
                "name": one.name,
                "facts": facts.list_facts(one.run),
                "warnings": facts.list_warnings(one.run),
                "page": f"{one.name}/{NAME}" if (one.run.folder / NAME).is_file() else "",
            }
            for one in sweep.runs
        ],
        limits=_LIMITS,
        references=facts.REFERENCES,
    )
