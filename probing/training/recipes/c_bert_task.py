"""The task of a C-BERT run: single sentences with classes, without what stands in test where that is asked for."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from probing.progress import Reporter
from probing.records import InputError, Task
from probing.tasks.files.positions import read_positions
from probing.tasks.sources import find_source
from probing.tasks.subset import limit_task
from probing.training.data.labelled import limit_splits, load_task

if TYPE_CHECKING:  # which plans with what stands here
    from probing.training.recipes.c_bert import CBertSettings


def choose_task(settings: "CBertSettings", reporter: Reporter) -> Task:
    """The task that the settings name, of single sentences with classes.

    Raises:
        InputError: it is another kind of task, or as `load_task` and `read_positions`.
    """
    if settings.splits:
        task = limit_splits(read_positions(Path(settings.splits), find_source(settings.data)), settings)
    else:
        task = load_task(settings, reporter)
    if task.graded:
        raise InputError(
            f"--task {task.name}: its labels are scores; expected classes, which C-BERT's table has rows of"
        )
    if any(len(text) > 1 for split in task.splits.values() for text in split.texts):
        raise InputError(f"--task {task.name}: has sentence pairs; expected single sentences, which C-BERT augments")
    known = {_fold(text) for text in task.splits["train"].texts}
    n_known = sum(_fold(text) in known for text in task.splits["test"].texts)
    if n_known and not settings.drop_known:
        reporter.warn(
            f"task {task.name}: {n_known} sentences of test stand in train; --drop-known leaves them out there"
        )
    return drop_known(task) if settings.drop_known else task


def drop_known(task: Task) -> Task:
    """The task without the sentences of train and dev that stand in test, by their letters and digits.

    Raises:
        InputError: nothing is left of dev, or of a class of train.
    """
    known = {_fold(text) for text in task.splits["test"].texts}
    splits = dict(task.splits)
    for name in ("train", "dev"):
        rows = [row for row, text in enumerate(splits[name].texts) if _fold(text) not in known]
        splits[name] = splits[name].select(np.array(rows, dtype=np.int64))
    lost = set(task.splits["train"].labels.tolist()) - set(splits["train"].labels.tolist())
    if lost or not len(splits["dev"]):
        what = f"class {task.classes[min(lost)]!r} in train" if lost else "sentence in dev"
        raise InputError(f"--drop-known: leaves no {what} of task {task.name}; leave it away, or take other splits")
    return replace(task, splits=splits)


def _fold(text: tuple[str, ...]) -> str:
    """The letters and digits of a text, which tell it from others; a text without any is itself."""
    whole = " ".join(text)
    return "".join(one for one in whole.lower() if one.isalnum()) or whole


def take_share(task: Task, share: float) -> Task:
    """The task with a share of its train, classes in proportion, the same sentences for every seed."""
    if share == 1:
        return task
    n = max(len(task.classes), round(share * len(task.splits["train"])))
    return replace(task, splits={**task.splits, "train": limit_task(task, n).splits["train"]})
