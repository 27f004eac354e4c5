"""Several encoders of one procedure -> one self-contained HTML page, and a page of each."""

import pandas as pd

from analysis.figures.draws import frame_between
from analysis.report import facts
from analysis.report.draws_answer import answer_draws
from analysis.report.heatmap_charts import chart_scores
from analysis.report.shell import Chart, render_page
from analysis.report.task_charts import chart_curves
from analysis.runs.draws_run import ENCODERS, Draws
from analysis.runs.frames import mean_scores
from analysis.stats.between_encoders import summarise_between
from analysis.tables.draws import tabulate_above_controls, tabulate_by_layer, tabulate_contenders
from probing.catalogue.tasks import explain_tasks

NAME = "report.html"
"""File name of the page, in the folder of all encoders; those of the single ones have it too."""
_LIMITS = (
    "Encoders stand for their procedure as far as they were drawn from it at random: other seeds of one pre-training "
    "on one text say nothing of other texts or sizes.",
    "An interval is of the mean over all encoders that the procedure may make, and not of a further single one, which "
    "lies within two standard deviations or so. With few encoders it is wide, as it must be.",
    "A probe shows what can be read off the vectors, not what the model uses.",
    "Means over tasks take their test sentences for independent; tasks made from one corpus share some.",
)


def build_page(draws: Draws, seed: int = 0) -> str:
    """The page of several encoders: what is between them first."""
    rows = summarise_between(draws, seed)
    first = next(iter(draws.runs.values()))
    scores = [mean_scores(run.scores).assign(run=name) for name, run in draws.runs.items()]
    between = frame_between(draws, rows)
    return render_page(
        "draws.html.j2",
        title=f"{len(draws.runs)} encoders of one procedure",
        answers=list(answer_draws(rows)),
        main=tabulate_contenders(rows),
        asked=explain_tasks(dict.fromkeys(between["task"])),
        chart=Chart("between", _BETWEEN, chart_scores(between), [tabulate_by_layer(rows)], wide=True),
        curves=Chart("curves", _CURVES, chart_curves(pd.concat(scores, ignore_index=True))),
        tasks=[(task, str(title)) for task, title in dict(zip(between["task"], between["title"], strict=True)).items()],
        controls=tabulate_above_controls(rows),
        sections=[
            {
                "name": name,
                "facts": facts.list_facts(run),
                "warnings": facts.list_warnings(run),
                "page": f"{ENCODERS}/{name}/{NAME}" if (run.folder / NAME).is_file() else "",
            }
            for name, run in draws.runs.items()
        ],
        limits=_LIMITS,
        references=facts.REFERENCES,
        command=facts.rebuild_command({**first.settings, **draws.settings}),
    )


_BETWEEN = "Mean score x 100 over the encoders, of every layer and of the mix."
_CURVES = (
    "Score by layer of each encoder with its 95 % interval over sentences. Dashed: the scalar mix. Dotted: the "
    "majority. Hover or tap for the numbers."
)
