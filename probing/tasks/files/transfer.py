"""SentEval's and GLUE's transfer tasks, from a folder that has one folder for each, with TSV files in it.

The files have a header row, the label last, no quoting and UTF-8, as in `MR/all.tsv` and `SST-2/train.tsv`. Where the
published test set has no labels (CoLA, RTE), the published dev set is the test set, and a tenth of train is dev.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from probing.catalogue.tasks import fold_name
from probing.folds import N_FOLDS
from probing.records import TaskSpec

_SENTEVAL, _GLUE, _COLA, _STS = "1803.05449", "1804.07461", "1805.12471", "1708.00055"
_MNLI, _QQP = "1704.05426", "1702.03814"


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


def _row(name: str, title: str, reference: str, files: Mapping[str, str], *metrics: str, **options) -> TransferTask:
    return TransferTask(
        TaskSpec(name, title, "transfer", metrics=metrics or ("accuracy",), reference=reference), files, **options
    )


_BOTH = ("accuracy", "f1")
_WHOLE = {"": "all.tsv"}
_THREE = {"train": "train.tsv", "dev": "dev.tsv", "test": "test.tsv"}
_TEST = {"train": "train.tsv", "test": "test.tsv"}
_DEV_AS_TEST = {"train": "train.tsv", "test": "dev.tsv"}

TRANSFER_TASKS = (
    _row("mr", "MR", _SENTEVAL, _WHOLE, folds=N_FOLDS),
    _row("cr", "CR", _SENTEVAL, _WHOLE, folds=N_FOLDS),
    _row("subj", "SUBJ", _SENTEVAL, _WHOLE, folds=N_FOLDS),
    _row("mpqa", "MPQA", _SENTEVAL, _WHOLE, folds=N_FOLDS),
    _row("sst_2", "SST-2", _SENTEVAL, _THREE),
    _row("sst_5", "SST-5", _SENTEVAL, _THREE),
    _row("trec", "TREC", _SENTEVAL, _TEST),
    _row("mrpc", "MRPC", _SENTEVAL, {"train": "msr_train.tsv", "test": "msr_test.tsv"}, *_BOTH),
    _row("cola", "CoLA", _COLA, _DEV_AS_TEST, "matthews"),
    _row("rte", "RTE", _GLUE, _DEV_AS_TEST),
    _row("sts_b", "STS-B", _STS, _THREE, "pearson", "spearman", graded=True),
    _row("mnli", "MNLI", _MNLI, {"train": "train_sub.tsv", "dev": "dev_matched.tsv", "test": "dev_mismatched_1k.tsv"}),
    _row("qqp", "QQP", _QQP, {"train": "train_sub.tsv", "dev": "wang_dev.tsv", "test": "wang_test.tsv"}, *_BOTH),
)
"""SentEval's tasks in its order, then GLUE's. Of MNLI and QQP, subsets: BERMo's claims are about these two."""


def find_transfer(folder: Path) -> TransferTask | None:
    """The transfer task that a folder's name stands for, if its files are there."""
    for task in TRANSFER_TASKS:
        named = fold_name(folder.name) in (fold_name(task.spec.name), fold_name(task.spec.title))
        if named and all((folder / file).is_file() for file in task.files.values()):
            return task
    return None
