"""Answers on which arms of a training run differ, in a sentence with numbers."""

from analysis.runs.training_run import TrainingRun
from analysis.stats.arms import compare_arms
from analysis.tables.arms import describe_pair, format_difference


def answer_arms(run: TrainingRun) -> list[str]:
    """A sentence on the differences that are significant, those that are shown to be small, and how many others."""
    pairs = compare_arms(run)
    if pairs.empty:
        return []
    rows = pairs.to_dict("records")
    shown = [row for row in rows if row["significant"]]
    small = [row for row in rows if row["equivalent"] and not row["significant"]]
    what = f"{len(rows)} differences of test {run.metric.replace('_', ' ')} between arms (x 100, 95 % intervals)"
    parts = [f"Of {what}, significant: {'; '.join(map(_describe, shown)) or 'none'}."]
    if small:
        parts.append(f"Less than a point apart: {'; '.join(map(_describe, small))}.")
    if left := len(rows) - len(shown) - len(small):
        parts.append(f"{left} inconclusive.")
    return [" ".join(parts)]


def _describe(row: dict) -> str:
    found, interval = format_difference(row)
    of = f" ({row['group']})" if row["group"] else ""
    return f"{describe_pair(row)}{of} {found} {interval}"
