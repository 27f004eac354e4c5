"""Answer on what reading texts gains over answers that read none, in a sentence with numbers."""

from collections.abc import Iterator

import pandas as pd

from analysis.runs.training_run import TrainingRun
from analysis.stats.baselines import compare_baselines
from analysis.tables.table import format_gain, format_percent, format_points

_MRR = "mrr"


def answer_baselines(run: TrainingRun, label: str) -> list[str]:
    """The test score that heads the tables, and MRR where there is one, beside every baseline; none without any."""
    pairs = compare_baselines(run)
    if pairs.empty:
        return []
    heads = [metric for metric in dict.fromkeys(pairs["metric"]) if metric == run.metric or is_mrr(metric)]
    return [_answer(pairs[pairs["metric"] == metric], metric, label) for metric in heads]


def is_mrr(metric: str) -> bool:
    """True for the mean reciprocal rank, full or sampled, over all triples."""
    return metric.startswith(_MRR) and not metric.endswith("without_reverse")


def _answer(pairs: pd.DataFrame, metric: str, label: str) -> str:
    words = "; ".join(_describe(pairs.sort_values("other", ascending=False)))
    return (
        f"{label}'s test {metric} is {format_percent(pairs['value'].iloc[0])}. Minus baselines that read no text, the "
        f"best of them first: {words}."
    )


def _describe(pairs: pd.DataFrame) -> Iterator[str]:
    for row in pairs.to_dict("records"):
        verdict = "" if row["significant"] else ", inconclusive"
        gain = f"{format_points(row['difference'])} {format_gain(row['ci_low'], row['ci_high'])}"
        yield f"{row['baseline']} ({format_percent(row['other'])}) {gain}{verdict}"
