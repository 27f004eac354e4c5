"""List the tasks that have a name in the field, or those of a corpus with their sizes and chance levels.

bermo-probing tasks
bermo-probing tasks controlled
bermo-probing tasks data/corpora/english
"""

import sys

if __name__ == "__main__":
    from probing.command_line.starting import start

    start()

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import tyro
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from probing.catalogue.tasks import NOTES, SENTEVAL_TASKS, TRANSFER_TASKS
from probing.command_line.arguments import read_settings
from probing.exit_codes import end_in_one_line
from probing.records import SPLITS, Task, TaskSpec

_WIDTH = 100
"""Columns where the output is no terminal: nothing is cut off there."""
SOURCES = {
    "surface": "SentEval, arXiv 1805.01070",
    "syntactic": "SentEval, arXiv 1805.01070",
    "semantic": "SentEval, arXiv 1805.01070",
    "transfer": "SentEval, arXiv 1803.05449; GLUE, arXiv 1804.07461",
}
"""Papers that say how the tasks of a group were made."""


@dataclass(frozen=True)
class TasksSettings:
    """The corpus to list."""

    data: Annotated[str, tyro.conf.Positional] = ""
    """The corpus, as of --data: controlled, senteval (where its files are there), a folder, or hub:ID. Empty: the tasks
    that have a name."""


def main() -> int:
    """Run the command.

    Returns:
        0; 2 after a mistake that the user can mend.
    """
    settings = read_settings(TasksSettings, description=__doc__, prog="python -m probing.commands.list_tasks")
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    if settings.data:
        from probing.tasks.sources import load_tasks  # noqa: PLC0415 - readers: not for --help

        console.print(tabulate_corpus(load_tasks(settings.data, ["all"])[0]))
    else:
        console.print(tabulate_names((*SENTEVAL_TASKS, *TRANSFER_TASKS)))
        for group, source in SOURCES.items():
            console.print(f"{group}: {source}", style="dim", markup=False, highlight=False)
    return 0


def tabulate_names(specs: Iterable[TaskSpec]) -> Table:
    """Names, group, metric and question of each task."""
    table = _start_table("--tasks", "paper", "group", "metric", "question")
    for spec in specs:
        table.add_row(spec.name, spec.title, spec.group, spec.metric, Text(NOTES.get(spec.name, "")))
    return table


def tabulate_corpus(tasks: Sequence[Task]) -> Table:
    """Sentences of each split, classes, and chance level of each task of a corpus."""
    table = _start_table("--tasks", "group", "metric", *SPLITS, "classes", "majority", "origin")
    for task in tasks:
        sizes = [f"{len(task.splits[split]):,}" for split in SPLITS]
        classes = "graded" if task.graded else str(len(task.classes))
        row = [task.name, task.spec.group, task.spec.metric, *sizes, classes, _format_majority(task), task.origin]
        table.add_row(*map(Text, row))
    table.caption = "majority: per cent of test that belongs to the class that is most frequent in train"
    return table


def _format_majority(task: Task) -> str:
    if task.graded:
        return "-"
    guess = np.bincount(task.splits["train"].labels).argmax()
    return f"{100 * np.mean(task.splits['test'].labels == guess):.1f}"


def _start_table(*heads: str) -> Table:
    table = Table(box=box.SIMPLE)
    for head in heads:
        table.add_column(head, justify="right" if head in (*SPLITS, "classes", "majority") else "left", overflow="fold")
    return table


if __name__ == "__main__":
    sys.exit(end_in_one_line(main))
