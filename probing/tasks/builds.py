"""Files that a build leaves in its folder: the tasks, and `tasks.json`, which describes them."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probing.atomic_files import make_part, remove_leftovers, write_atomically
from probing.catalogue.tasks import SENTEVAL_TASKS
from probing.records import SPLITS, InputError
from probing.tasks.files.senteval import Row, write_tasks

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


def check_unused(folder: Path) -> None:
    """Refuse a folder that holds anything but a build, before one is made for it.

    Raises:
        InputError: naming what is there.
    """
    others = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if others and "tasks.json" not in others:
        raise InputError(f"{folder}: not empty ({others[0]}) and no finished build; choose another --output")


def write_build(folder: Path, rows: Mapping[str, Any], report: Mapping[str, Any]) -> None:
    """Write the task files and `tasks.json`, which describes them, as a new folder: whole or not at all.

    A build of other tasks that is there is left as it is, for a mixture of the two would look like one.

    Raises:
        InputError: the folder cannot be written, or holds another build.
    """
    try:
        remove_leftovers(folder.parent.glob(f".{folder.name[:40]}.*"))
        with make_part(folder) as part:
            write_tasks(part, rows)
            write_atomically(part / "tasks.json", (json.dumps(report, indent=1, ensure_ascii=False) + "\n").encode())
            if not (folder.is_dir() and any(folder.iterdir())):
                part.rename(folder)
            elif _read_build(part) != _read_build(folder):
                raise InputError(
                    f"{folder}: holds another build, or a part of one; remove it, or choose another --output"
                )
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}); choose another --output") from None


def _read_build(folder: Path) -> list[bytes]:
    """The files of a build; those of the user's beside them are none of it."""
    names = ("tasks.json", *(f"{spec.name}.txt" for spec in SENTEVAL_TASKS))
    return [path.read_bytes() if (path := folder / name).is_file() else b"" for name in names]
