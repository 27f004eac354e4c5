"""Tables of measures beyond the main scores: information, several layers, intervals of weights, knock-outs, shapes."""

import pandas as pd

from analysis.runs.frames import mean_scores, title_of
from analysis.runs.probing_run import Run
from analysis.tables.table import Table, format_score, pick_columns, tabulate_layers
from probing.catalogue.measures import QUANTITIES, Quantity, name_quantities
from probing.catalogue.readouts import FURTHER

_BOUNDED = ["value", "ci_low", "ci_high"]
_LACKING = {
    "code_length": " over training sentences, with the probes as they are: over new ones, some 85 %",
    "conditional_information": "; with fewer than 150 test sentences, some 90 %",
}
"""Notes by measure: sources of error that an interval leaves out, and the share that it covers by simulation."""


def tabulate_quantities(run: Run, *kinds: str) -> dict[str, Table]:
    """A table by layer and task for each quantity of some kinds that the run measured."""
    tables = {}
    for metric in (name for kind in kinds for name in name_quantities(kind)):
        rows, facts = _find(run, metric), QUANTITIES[metric]
        if len(rows):
            text = [_format(numbers, facts) for numbers in pick_columns(rows, _BOUNDED)]
            caption = f"{facts.title} [95 % interval{_LACKING.get(facts.measure, '')}], by layer and task"
            tables[metric] = tabulate_layers(rows.assign(text=text), caption)
    return tables


def tabulate_weight_intervals(run: Run) -> dict[str, Table]:
    """Weights and contributions with intervals over training sentences, where they were measured."""
    tables = {}
    for metric in name_quantities("share"):
        rows, what = _find(run, metric), f"{QUANTITIES[metric].title} in percent of the mix"
        if len(rows):
            text = [format_score(*numbers) for numbers in pick_columns(rows, _BOUNDED)]
            caption = f"{what} [95 % interval over training sentences], by layer and task"
            tables[metric] = tabulate_layers(rows.assign(text=text), caption)
    return tables


def tabulate_several_layers(run: Run) -> dict[str, Table]:
    """Scores of all layers side by side, and of the mixes of layers 0 to l, where they were measured."""
    found = run.scores[run.scores["representation"].isin(FURTHER) & (run.scores["control"] == "none")]
    if found.empty:
        return {}
    rows = mean_scores(run.scores, representations=FURTHER)
    text = [format_score(*numbers) for numbers in pick_columns(rows, _BOUNDED)]
    caption = "Score x 100 on test of all layers side by side (concat), and of the mix of layers up to each"
    return {"several_layers": tabulate_layers(rows.assign(text=text), f"{caption} [95 % interval]")}


def _format(numbers: tuple, facts: Quantity) -> str:
    value, low, high = (f"{facts.factor * number:z,.{facts.digits}f}" for number in numbers)
    return f"{value} [{low}, {high}]"


def _find(run: Run, metric: str) -> pd.DataFrame:
    rows = run.scores[(run.scores["metric"] == metric) & (run.scores["control"] == "none")]
    if rows.empty:
        return rows
    means = mean_scores(rows, str(rows["split"].iloc[0]), metric=metric)
    return means.assign(title=means["task"].map(title_of))
