"""Metrics of the user's choice in the place of the tasks' own."""

from collections.abc import Sequence
from dataclasses import replace

from probing.records import InputError, Task
from probing.registry import METRICS


def choose_metrics(tasks: Sequence[Task], names: Sequence[str]) -> list[Task]:
    """The same tasks, scored by other metrics; the first one heads tables and figures.

    Args:
        tasks: as they were read.
        names: keys of metrics; none leaves each task its own.

    Raises:
        InputError: a metric that is not defined for the labels of a task.
    """
    if not names:
        return list(tasks)
    for task in tasks:
        for name in names:
            _check_labels(task, name)
    return [replace(task, spec=replace(task.spec, metrics=tuple(names))) for task in tasks]


def _check_labels(task: Task, name: str) -> None:
    """Refuse a metric that says of itself that it is for other labels; one that says nothing is for all."""
    wanted = getattr(METRICS.load(name), "takes", "")
    kinds = ["scores"] if task.graded else ["classes", *(["two classes"] if len(task.classes) == 2 else [])]
    if wanted and wanted not in kinds:
        found = "scores" if task.graded else f"{len(task.classes)} classes"
        raise InputError(f"--metrics {name}: is for {wanted}, and {task.spec.title} has {found}; leave one of them out")
