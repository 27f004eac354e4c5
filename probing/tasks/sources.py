"""Sources of tasks: the built-in corpus, the official files, a folder of the user's, or an installed package."""

import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from probing.catalogue.tasks import SENTEVAL_TASKS, find_specs, fold_name
from probing.folds import N_FOLDS
from probing.progress import Reporter
from probing.records import InputError, Task, TaskSpec, Text
from probing.registry import TASKS
from probing.settings.run import SENTEVAL_URL
from probing.tasks.files.download import OFFICIAL_FOLDER, fetch_files
from probing.tasks.files.folder import list_candidates
from probing.tasks.files.transfer import TRANSFER_TASKS
from probing.tasks.subset import limit_task

_FAMILIES = (SENTEVAL_TASKS, tuple(task.spec for task in TRANSFER_TASKS))
_FILES = {task.spec.name: [f"{task.spec.title}/{file}" for file in task.files.values()] for task in TRANSFER_TASKS}

_SHARED = 0.01
"""Share of a split's sentences that may stand in train, or there twice with two labels, without a word: published data
repeat a few."""

HUB = "hub:"
"""Begins the name of a dataset on the Hugging Face hub."""


@dataclass(frozen=True)
class Reader:
    """One task of a source, not read yet."""

    spec: TaskSpec
    read: Callable[[], Task]
    """Reads or makes it."""
    graded: bool = False
    """True where its labels are known to be scores before it is read."""


def load_tasks(
    data: str,
    wanted: Sequence[str],
    limit: int = 0,
    reporter: Reporter | None = None,
    url: str = SENTEVAL_URL,
    classes_only: str = "",
) -> tuple[list[Task], list[str]]:
    """The tasks asked for, in the papers' order, and the names of those that the corpus does not have.

    A task asked for by name must be there; one that only belongs to a group asked for may be missing.

    Args:
        data: `controlled`, `senteval`, a folder or file as in `tasks.candidates`, `hub:ID` for a dataset of the Hugging
            Face hub, or a corpus of an installed package.
        wanted: names, titles, aliases or groups.
        limit: at most this many sentences of each split; 0 takes all.
        reporter: who tells how far it is.
        url: where the official files are fetched from.
        classes_only: the flag whose probe knows classes alone; empty where there is none.

    Raises:
        InputError: an unknown task, a folder or file that is missing or faulty, or nothing to probe; a graded task for
            a probe that knows classes alone, before any is read where that can be known.
    """
    reporter = reporter or Reporter(quiet=True)
    check_wanted(wanted)
    if data == "senteval":
        fetch_files([spec.name for spec in find_specs(wanted)], OFFICIAL_FOLDER, url, reporter)
    readers = list_readers(data)
    specs, absent = choose_tasks(data, wanted, [reader.spec for reader in readers.values()])
    check_graded([spec.title for spec in specs if readers[spec.name].graded], classes_only)
    tasks = _read_tasks([readers[spec.name] for spec in specs], limit, reporter)
    check_graded([task.spec.title for task in tasks if task.graded], classes_only)
    _report_tasks(tasks, reporter)
    return tasks, absent


def _read_tasks(readers: Sequence[Reader], limit: int, reporter: Reporter) -> list[Task]:
    tasks = []
    with reporter.stage("tasks", len(readers), "tasks") as advance:
        for reader in readers:
            tasks.append(_limited(reader.read(), limit))
            advance(1)
    return tasks


def _report_tasks(tasks: Sequence[Task], reporter: Reporter) -> None:
    """Warn of what the readers had to decide, and note how many sentences were read, and how fast."""
    for task in tasks:
        for note in [*task.notes, *_find_known(task), *_find_contradicted(task)]:
            reporter.warn(f"task {task.name}: {note}")
    n_sentences = sum(len(split) for task in tasks for split in task.splits.values())
    reporter.note("tasks", tasks=len(tasks), **reporter.rate("tasks", n_sentences))


def _find_known(task: Task) -> list[str]:
    """A warning where more than a few sentences of test stand in train too; folds keep equal texts together."""
    if task.folds:
        return []
    train, test = set(task.splits["train"].texts), task.splits["test"].texts
    alike = {fold_text(text) for text in train}
    known, near = sum(text in train for text in test), sum(fold_text(text) in alike for text in test)
    if near <= _SHARED * len(test):
        return []
    but = f", {near - known} of them but for case, spaces or forms of characters" if near > known else ""
    return [
        f"{near} of {len(test)} sentences of test stand in train too{but}, so that its scores say what was learnt by "
        "heart; build_tasks.py --check counts equal ones in all splits"
    ]


def _find_contradicted(task: Task) -> list[str]:
    """A warning where more than a few sentences of train have one label here and another one there."""
    if task.graded:
        return []
    train = task.splits["train"]
    n_labels = Counter(text for text, _ in set(zip(train.texts, train.labels.tolist(), strict=True)))
    n = sum(n_labels[text] > 1 for text in train.texts)
    if n <= _SHARED * len(train):
        return []
    return [
        f"{n} of {len(train)} sentences of train stand there with another label too: no probe can be right on them all"
    ]


def fold_text(text: Text) -> Text:
    """A text without what many tokenizers drop: case, forms of characters, and how wide spaces are."""
    return tuple(" ".join(unicodedata.normalize("NFKC", part).casefold().split()) for part in text)


def check_graded(titles: Sequence[str], flag: str) -> None:
    """Refuse graded tasks where a flag brings a probe that knows classes alone.

    Raises:
        InputError: naming both.
    """
    if titles and flag:
        raise InputError(
            f"{flag}: its probe knows classes alone, and {', '.join(titles)} is graded; expected --probe linear and "
            f"--protocol modern without --mix-dropout, or other --tasks"
        )


def check_wanted(wanted: Sequence[str]) -> None:
    """Refuse to look for nothing.

    Raises:
        InputError: no task is named.
    """
    if not wanted:
        raise InputError("--tasks: names no task; expected all, or names of tasks or of groups of them")


def check_tasks(data: str, wanted: Sequence[str]) -> None:
    """Refuse early what cannot be there, before anything is fetched, made or read.

    Raises:
        InputError: an unknown task, or a folder that is missing or lacks what was asked for by name.
    """
    check_wanted(wanted)
    if data == "senteval":
        find_specs(wanted)
    elif data == "controlled" or (data not in TASKS.names() and not data.startswith(HUB)):
        choose_tasks(data, wanted, [reader.spec for reader in list_readers(data).values()])


def list_readers(data: str) -> Mapping[str, Reader]:
    """List the readers of a source's candidates, by the name of the task.

    Raises:
        InputError: there is no such source, or two of its files stand for one task.
    """
    if data == "controlled":
        load = TASKS.load(data)
        return {spec.name: Reader(spec, lambda name=spec.name: load([name])[name]) for spec in SENTEVAL_TASKS}
    if data.startswith(HUB):
        task = read_hub(data)
        return {task.name: Reader(task.spec, lambda: task, task.graded)}
    if data in TASKS.names() and data != "senteval":
        made = TASKS.load(data)(["all"])
        return {name: Reader(task.spec, lambda task=task: task, task.graded) for name, task in made.items()}
    return {
        candidate.spec.name: Reader(candidate.spec, candidate.read, candidate.graded)
        for candidate in list_candidates(find_source(data))
    }


def read_hub(data: str) -> Task:
    """The task of a dataset on the Hugging Face hub.

    Raises:
        InputError: as `tasks.hub.read_hub`, or the package that reads it is not installed.
    """
    try:
        from probing.tasks.files import hub  # noqa: PLC0415 - its dependency may not be installed, and is slow to load
    except ModuleNotFoundError:
        raise InputError(f"--data {data}: needs datasets; pip install 'bermo-probing[hub]'") from None
    return hub.read_hub(data)


def choose_tasks(data: str, wanted: Sequence[str], candidates: Sequence[TaskSpec]) -> tuple[list[TaskSpec], list[str]]:
    """Choose the candidates that are wanted, and the names of the wanted ones that are missing.

    Of a family of tasks that the source has nothing of, none is missing unless it was asked for by name.

    Raises:
        InputError: an unknown task, one asked for by name that is missing, or nothing left.
    """
    there = {spec.name for spec in candidates}
    if not there:
        raise InputError(
            f"{data}: holds no tasks; expected NAME.txt in SentEval's form, NAME.csv, .tsv, .parquet or .jsonl"
        )
    papers = [spec for family in _FAMILIES for spec in family]
    known = [*papers, *(spec for spec in candidates if spec not in papers)]
    specs = find_specs(wanted, known)
    demanded = {found[0].name for name in wanted if len(found := find_specs([name], known)) == 1}
    present = [spec for spec in specs if spec.name in there]
    missing = [spec.name for spec in specs if spec.name not in there]
    lost = [name for name in missing if name in demanded] or ([] if present else missing)
    if lost:
        expected = " and ".join(_FILES.get(lost[0], [f"{lost[0]}.txt"]))
        found = ", ".join(spec.name for spec in known if spec.name in there) or "none"
        raise InputError(f"{data}: no {expected}; tasks there: {found}")
    begun = {spec.name for family in _FAMILIES for spec in family if there & {one.name for one in family}}
    return present, [name for name in missing if name in begun]


def find_source(data: str, flag: str = "--data") -> Path:
    """The folder or file that a flag names.

    Raises:
        InputError: there is none.
    """
    try:
        path = OFFICIAL_FOLDER if data == "senteval" else Path(data).expanduser()
        if data and path.exists():
            return path
    except (OSError, RuntimeError, ValueError) as error:
        # A name too long, a home that nobody has, a character that no path may hold.
        reason = error.strerror if isinstance(error, OSError) else str(error).rstrip(".")
        raise InputError(f"{flag} {data[:80]!r}: is no path ({reason}); expected a folder of task files") from None
    builtin = ", ".join(TASKS.names())
    near = [name for name in TASKS.names() if fold_name(name) == fold_name(data)]
    hint = f"did you mean {near[0]}?" if near else f"expected {builtin}, or a folder of task files (see data/README.md)"
    raise InputError(f"{flag} {data}: no such folder; {hint}")


def _limited(task: Task, limit: int) -> Task:
    limited = limit_task(task, limit) if limit else task
    if limited.folds and len(set(limited.splits["test"].texts)) < N_FOLDS:
        raise InputError(f"task {task.name}: {task.folds}-fold cross-validation needs at least {N_FOLDS} sentences")
    for name, split in limited.splits.items():
        if len(split) < len(task.splits[name]) and len(np.unique(split.labels)) < 2 <= len(
            np.unique(task.splits[name].labels)
        ):
            raise InputError(f"--limit {limit}: leaves one class of task {task.name} in {name}; expected two or more")
    return limited
