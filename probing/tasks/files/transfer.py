"""SentEval's and GLUE's transfer tasks, from a folder that has one folder for each, with TSV files in it.

The files have a header row, no quoting and UTF-8, as in `MR/all.tsv` and `SST-2/train.tsv`; those of GLUE are taken as
they are downloaded too. Where the published test set has no labels (CoLA, RTE), the published dev set is the test set,
and a tenth of train is dev.
"""

from collections.abc import Mapping, Sequence
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
    layouts: Sequence[Mapping[str, str]]
    """Of each form that it is published in: split -> file in the task's folder; the empty split stands for a file that
    knows of none. The first one whose files are there is taken."""
    folds: int = 0
    """Parts of the cross-validation that the literature reports, if it does."""
    graded: bool = False
    """True where the labels are scores."""
    header: tuple[str, ...] = ()
    """Columns of files without a header row."""

    @property
    def files(self) -> Mapping[str, str]:
        """Files of the first layout."""
        return self.layouts[0]


_WHOLE = {"": "all.tsv"}
_THREE = {"train": "train.tsv", "dev": "dev.tsv", "test": "test.tsv"}
_TEST = {"train": "train.tsv", "test": "test.tsv"}
_DEV_AS_TEST = {"train": "train.tsv", "test": "dev.tsv"}
_GLUE = [_THREE, _DEV_AS_TEST]
_SOURCES: dict[str, dict[str, Any]] = {
    "mr": {"layouts": [_WHOLE], "folds": N_FOLDS},
    "cr": {"layouts": [_WHOLE], "folds": N_FOLDS},
    "subj": {"layouts": [_WHOLE], "folds": N_FOLDS},
    "mpqa": {"layouts": [_WHOLE], "folds": N_FOLDS},
    "sst_2": {"layouts": _GLUE},
    "sst_5": {"layouts": [_THREE]},
    "trec": {"layouts": [_TEST]},
    "mrpc": {
        "layouts": [
            {"train": "msr_train.tsv", "test": "msr_test.tsv"},
            {"train": "msr_paraphrase_train.txt", "test": "msr_paraphrase_test.txt"},
            *_GLUE,
        ]
    },
    "cola": {"layouts": [_DEV_AS_TEST], "header": ("source", "label", "mark", "sentence")},
    "rte": {"layouts": [_DEV_AS_TEST]},
    "sts_b": {"layouts": _GLUE, "graded": True},
    "mnli": {
        "layouts": [
            {"train": "train_sub.tsv", "dev": "dev_matched.tsv", "test": "dev_mismatched_1k.tsv"},
            {"train": "train.tsv", "dev": "dev_matched.tsv", "test": "dev_mismatched.tsv"},
        ]
    },
    "qqp": {"layouts": [{"train": "train_sub.tsv", "dev": "wang_dev.tsv", "test": "wang_test.tsv"}, *_GLUE]},
}
"""Of MNLI and QQP, subsets first: BERMo's claims are about these two."""

TRANSFER_TASKS = tuple(TransferTask(spec, **_SOURCES[spec.name]) for spec in catalogue.TRANSFER_TASKS)
"""In the catalogue's order."""


def name_transfer(name: str) -> TransferTask | None:
    """The transfer task of that name or title, in any case; `sst2` is SST-2."""
    key = fold_name(name)
    return next((t for t in TRANSFER_TASKS if key in (fold_name(t.spec.name), fold_name(t.spec.title))), None)


def find_layout(task: TransferTask, folder: Path) -> Mapping[str, str] | None:
    """The first of the task's layouts whose files are all in a folder."""
    return next((files for files in task.layouts if all((folder / file).is_file() for file in files.values())), None)
