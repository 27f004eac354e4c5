"""Make SentEval's probing tasks from treebanks of any language.

python probing/build_tasks.py --conllu de_gsd-ud-*.conllu --output data/corpora/german
"""

import os
import sys

if __name__ == "__main__":
    # Run as a file, Python puts probing/ first on the path, where its modules would hide others of the same name.
    _here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120
    sys.path[:] = [os.path.dirname(_here), *(p for p in sys.path if os.path.abspath(p or ".") != _here)]  # noqa: PTH100, PTH120

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console
from rich.table import Table

from probing.records import SPLITS, InputError
from probing.registry import resolve
from probing.store import write_atomically
from probing.tasks.senteval import SENTEVAL_TASKS, write_tasks


@dataclass(frozen=True)
class BuildSettings:
    """Make SentEval's probing tasks from treebanks of any language."""

    conllu: tuple[Path, ...]
    """CoNLL-U files; the name of each says its split (train, dev or test), as in de_gsd-ud-train.conllu."""
    output: Path
    """Folder for NAME.txt of each task and tasks.json."""
    trees: tuple[Path, ...] = ()
    """Folders of bracketed trees (NAME.ptb, one a line, and NAME.ids, their sent_id)."""
    seed: int = 0
    """Seed of all draws: the same input and seed give the same bytes."""


def main() -> int:
    """Run the script; the exit code is 2 after a mistake that the user can mend."""
    settings = tyro.cli(BuildSettings, description=__doc__)
    console = Console(stderr=True)
    try:
        build = resolve("builders", "treebank")(
            settings.conllu, settings.trees, settings.seed, tell=lambda line: console.print(line, style="dim")
        )
        write_build(settings.output, build.rows, build.report)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    show_report(build.report)
    return 0


def write_build(folder: Path, rows: Mapping[str, Any], report: Mapping[str, Any]) -> None:
    """Write the task files, then `tasks.json`, which names them.

    Raises:
        InputError: the folder cannot be written, or holds a task that this build does not give.
    """
    stale = [spec.name for spec in SENTEVAL_TASKS if spec.name not in rows and (folder / f"{spec.name}.txt").exists()]
    if stale:
        raise InputError(f"{folder}: holds {', '.join(stale)} of another build, unsupported now; use an empty folder")
    try:
        write_tasks(folder, rows)
        write_atomically(folder / "tasks.json", (json.dumps(report, indent=1, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}); choose another --output") from None


def show_report(report: Mapping[str, Any]) -> None:
    """A table of the tasks on the screen, and below it what was relaxed and what the corpus could not support."""
    console = Console()
    table = Table("task", *SPLITS, "classes", "majority", "labels from")
    for spec in SENTEVAL_TASKS:
        if spec.name in report["tasks"]:
            task = report["tasks"][spec.name]
            sizes = [str(task["sentences"][split]) for split in SPLITS]
            table.add_row(
                spec.title, *sizes, str(task["classes"]), f"{task['majority']['test']:.1%}", task["labels_from"]
            )
    console.print(table)
    titles = {spec.name: spec.title for spec in SENTEVAL_TASKS}
    for name, task in report["tasks"].items():
        for line in task["relaxed"]:
            console.print(f"{titles[name]}: {line}", style="dim", markup=False, highlight=False)
    for name, reason in report["unsupported"].items():
        console.print(f"{titles[name]} is not supported: {reason}", style="yellow", markup=False, highlight=False)


if __name__ == "__main__":
    sys.exit(main())
