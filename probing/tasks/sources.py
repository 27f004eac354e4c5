"""Where tasks come from: the built-in corpus, the official files, or a folder of the user's."""

from collections.abc import Sequence
from pathlib import Path

from probing.records import InputError, Task
from probing.registry import resolve
from probing.tasks.senteval import SENTEVAL_TASKS, find_specs, limit_task, read_task

OFFICIAL_FOLDER = Path("data/corpora/senteval")
"""Where the official files are looked for."""


def load_tasks(data: str, wanted: Sequence[str], limit: int = 0) -> tuple[list[Task], list[str]]:
    """The tasks asked for, in the papers' order, and the names of those that the corpus does not have.

    A task asked for by name must be there; one that only belongs to a group asked for may be missing.

    Args:
        data: `controlled`, `senteval`, or a folder of SentEval files.
        wanted: names, titles, aliases or groups.
        limit: at most this many sentences of each split; 0 takes all.

    Raises:
        InputError: an unknown task, a folder or file that is missing or faulty, or nothing to probe.
    """
    specs = find_specs(wanted)
    if data == "controlled":
        made = resolve("tasks", "controlled")([spec.name for spec in specs])
        return [_limited(made[spec.name], limit) for spec in specs], []
    folder = find_folder(data)
    present = [spec for spec in specs if (folder / f"{spec.name}.txt").is_file()]
    absent = [spec.name for spec in specs if spec not in present]
    by_name = set(absent) & {
        spec.name for name in wanted for spec in find_specs([name]) if len(find_specs([name])) == 1
    }
    if by_name or not present:
        missing = sorted(by_name) or absent
        known = [spec.name for spec in SENTEVAL_TASKS if (folder / f"{spec.name}.txt").is_file()]
        raise InputError(f"{folder}: no {missing[0]}.txt; tasks there: {', '.join(known) or 'none'}")
    return [_limited(read_task(folder / f"{spec.name}.txt", spec), limit) for spec in present], absent


def find_folder(data: str) -> Path:
    """The folder that `--data` names.

    Raises:
        InputError: there is none.
    """
    folder = OFFICIAL_FOLDER if data == "senteval" else Path(data)
    if folder.is_dir():
        return folder
    if data == "senteval":
        raise InputError(
            f"{folder}: no such folder; copy the ten files of data/probing from the SentEval repository "
            "(facebookresearch/SentEval) there"
        )
    raise InputError(f"--data {data}: no such folder; expected controlled, senteval, or a folder of SentEval files")


def _limited(task: Task, limit: int) -> Task:
    return limit_task(task, limit) if limit else task
