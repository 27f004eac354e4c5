"""What was measured beyond scores of layers and mix: code length, information, compound mixes, intervals of weights."""

from collections.abc import Iterator

import pandas as pd

from analysis.runs.frames import mean_scores, title_of
from analysis.runs.probing_run import Run
from analysis.tables.scores import Table, pick_columns, show_score, tabulate_layers

_INFORMATION = {
    "compression": "Compression of the training labels: uniform code over online code (arXiv 2003.12298)",
    "code_length_bits": "Online code length in bits of the training labels (arXiv 2003.12298)",
    "usable_information_bits": "Usable information in bits per test sentence (arXiv 2002.10689)",
    "conditional_information_bits": "Bits a layer adds to the baseline layer, per test sentence (arXiv 2109.09234)",
}
_WEIGHTS = {"mix_weight": "Weight", "mix_contribution": "Contribution"}
_COMPOUND = ("concat", "cumulative_mix")


def tell_information(run: Run) -> Iterator[Table]:
    """Code length and usable information, a table for each that the run measured, by layer and task."""
    for metric, what in _INFORMATION.items():
        rows = _find(run, metric)
        if len(rows):
            digits = 0 if metric == "code_length_bits" else 2
            numbers = pick_columns(rows, ["value", "ci_low", "ci_high"])
            text = [f"{value:,.{digits}f} [{low:,.{digits}f}, {high:,.{digits}f}]" for value, low, high in numbers]
            yield tabulate_layers(rows.assign(text=text), f"{what} [95 % interval], by layer and task")


def tell_weight_intervals(run: Run) -> Iterator[Table]:
    """Weights and contributions with intervals over training sentences, where they were measured."""
    for metric, what in _WEIGHTS.items():
        rows = _find(run, metric)
        if len(rows):
            text = [show_score(*numbers) for numbers in pick_columns(rows, ["value", "ci_low", "ci_high"])]
            caption = f"{what} in percent of the mix [95 % interval over training sentences], by layer and task"
            yield tabulate_layers(rows.assign(text=text), caption)


def tell_compounds(run: Run) -> Iterator[Table]:
    """Scores of all layers side by side, and of the mixes of layers 0 to l, where they were measured."""
    found = run.scores[run.scores["representation"].isin(_COMPOUND) & (run.scores["control"] == "none")]
    if found.empty:
        return
    rows = mean_scores(run.scores, representations=_COMPOUND)
    text = [show_score(*numbers) for numbers in pick_columns(rows, ["value", "ci_low", "ci_high"])]
    caption = "Score x 100 on test of all layers side by side (concat), and of the mix of layers up to each"
    yield tabulate_layers(rows.assign(text=text), f"{caption} [95 % interval]")


def _find(run: Run, metric: str) -> pd.DataFrame:
    rows = run.scores[(run.scores["metric"] == metric) & (run.scores["control"] == "none")]
    if rows.empty:
        return rows
    means = mean_scores(rows, str(rows["split"].iloc[0]), metric=metric)
    return means.assign(title=means["task"].map(title_of))
