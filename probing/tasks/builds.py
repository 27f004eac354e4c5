"""Files that a build leaves in its folder: the tasks, and `tasks.json`, which describes them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from probing.records import SPLITS
from probing.tasks.files.senteval import Row

HEAD = {
    "format": "split TAB label TAB sentence, tokens separated by spaces (SentEval)",
    "reference": "arXiv 1805.01070",
}
"""Beginning of every `tasks.json`."""


@dataclass(frozen=True)
class Build:
    """Everything that is to be written."""

    rows: Mapping[str, Sequence[Row]]
    """By task key, the supported tasks only."""
    report: Mapping[str, Any]
    """Content of `tasks.json`."""


def count_rows(rows: Sequence[Row]) -> dict[str, Any]:
    """Count a task: its classes and, by split, its sentences, the share of its majority, each label's count."""
    counts = {split: Counter(label for mark, label, _ in rows if mark == split) for split in SPLITS}
    return {
        "classes": len({label for _, label, _ in rows}),
        "sentences": {split: count.total() for split, count in counts.items()},
        "majority": {split: round(max(count.values()) / count.total(), 4) for split, count in counts.items()},
        "counts": {split: dict(sorted(count.items())) for split, count in counts.items()},
    }
