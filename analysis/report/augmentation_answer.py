"""Answers on what new sentences did, in sentences with numbers."""

from collections.abc import Iterator

import pandas as pd

from analysis.runs.augmented_run import AugmentedRun, is_augmented, load_augmented
from analysis.runs.training_run import TrainingRun
from analysis.stats.augmentation import compare_kept, compare_ways
from analysis.tables.table import format_gain, format_points


def answer_augmentation(run: TrainingRun) -> list[str]:
    """Sentences on labels that are kept more often where they are given, and on arms that change accuracy.

    Other runs have none.
    """
    if not is_augmented(run):
        return []
    found = load_augmented(run)
    return [*_answer_kept(found), *_answer_arms(compare_ways(found), run.metric)]


def _answer_kept(run: AugmentedRun) -> Iterator[str]:
    for row in compare_kept(run).to_dict("records"):
        share = "" if row["share"] == "1" else f" (from {float(row['share']):.0%} of train)"
        gain = f"{format_points(row['difference'])} points {format_gain(row['ci_low'], row['ci_high'])}"
        yield (
            f"Given the label, the masked language model writes sentences{share} of which another share keeps it, by "
            f"the judge: {gain}, paired over {row['n']:,} sources, which is "
            f"{'significant' if row['significant'] else 'inconclusive'}."
        )


def _answer_arms(pairs: pd.DataFrame, metric: str) -> Iterator[str]:
    if pairs.empty:
        return
    found = [
        f"{row['classifier']} on {row['share']:.0%} of train, {row['way']} minus {row['other']}, "
        f"{format_points(row['difference'])} {format_gain(row['ci_low'], row['ci_high'])}"
        for row in pairs[pairs["significant"]].to_dict("records")
    ]
    end = f": {'; '.join(found)}. The others are inconclusive." if found else "."
    yield (
        f"Of {len(pairs)} differences of test {metric} between arms (each arm minus no new sentences, and conditional "
        f"minus unconditional), {len(found) or 'none'} {'are' if len(found) > 1 else 'is'} significant{end}"
    )
