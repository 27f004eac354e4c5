"""SentEval's and GLUE's transfer tasks, from a folder that has one folder for each, with TSV files in it.

The files have a header row, the label last, no quoting and UTF-8, as in `MR/all.tsv` and `SST-2/train.tsv`. Where the
published test set has no labels (CoLA, RTE), the published dev set is the test set, and a tenth of train is dev.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probing.catalogue import tasks as catalogue
from probing.catalogue.tasks import fold_name
from probing.folds import N_FOLDS
from probing.records import TaskSpec


@dataclass(frozen=True)
class TransferTask:
    """A transfer task and the files that it is made of."""

    spec: TaskSpec
    files: Mapping[str, str]
    """Split -> file in the task's folder; the empty split stands for a file that knows of none."""
    folds: int = 0
    """Parts of the cross-validation that the literature reports, if it does."""
    graded: bool = False
    """Whether the labels are scores."""


_WHOLE = {"": "all.tsv"}
_THREE = {"train": "train.tsv", "dev": "dev.tsv", "test": "test.tsv"}
_TEST = {"train": "train.tsv", "test": "test.tsv"}
_DEV_AS_TEST = {"train": "train.tsv", "test": "dev.tsv"}
_SOURCES: dict[str, dict[str, Any]] = {
    "mr": {"files": _WHOLE, "folds": N_FOLDS},
    "cr": {"files": _WHOLE, "folds": N_FOLDS},
    "subj": {"files": _WHOLE, "folds": N_FOLDS},
    "mpqa": {"files": _WHOLE, "folds": N_FOLDS},
    "sst_2": {"files": _THREE},
    "sst_5": {"files": _THREE},
    "trec": {"files": _TEST},
    "mrpc": {"files": {"train": "msr_train.tsv", "test": "msr_test.tsv"}},
    "cola": {"files": _DEV_AS_TEST},
    "rte": {"files": _DEV_AS_TEST},
    "sts_b": {"files": _THREE, "graded": True},
    "mnli": {"files": {"train": "train_sub.tsv", "dev": "dev_matched.tsv", "test": "dev_mismatched_1k.tsv"}},
    "qqp": {"files": {"train": "train_sub.tsv", "dev": "wang_dev.tsv", "test": "wang_test.tsv"}},
}
"""Of MNLI and QQP, subsets: BERMo's claims are about these two."""

TRANSFER_TASKS = tuple(TransferTask(spec, **_SOURCES[spec.name]) for spec in catalogue.TRANSFER_TASKS)
"""In the catalogue's order."""


def find_transfer(folder: Path) -> TransferTask | None:
    """The transfer task that a folder's name stands for, if its files are there."""
    for task in TRANSFER_TASKS:
        named = fold_name(folder.name) in (fold_name(task.spec.name), fold_name(task.spec.title))
        if named and all((folder / file).is_file() for file in task.files.values()):
            return task
    return None
