"""What a folder candidates: which of its files make which task.

    NAME.txt                          SentEval's form
    NAME.csv .tsv .parquet .jsonl     a table of the user's own
    NAME/train.csv, NAME/test.csv     the same in one file per split, with or without NAME/dev.csv
    MR/all.tsv, SST-2/train.tsv, ...  transfer tasks

A name of SentEval's stands for SentEval's task; any other is a task of the group `own`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from probing.catalogue.tasks import SENTEVAL_TASKS
from probing.records import SPLITS, InputError, Task, TaskSpec
from probing.tasks.files import senteval, tables
from probing.tasks.files.entries import Contents, Fault, make_task
from probing.tasks.files.transfer import find_transfer

_SNIFFED_BYTES = 4096


@dataclass(frozen=True)
class Candidate:
    """A task that could be read, and the files that it would be read from."""

    spec: TaskSpec
    origin: Path
    """The file, or the folder of the files."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """Split -> its file; the empty split stands for one file that says the splits itself, or has none."""
    folds: int = 0
    graded: bool = False
    published: bool = False
    """Whether the files are others', whose rows without a text are left out."""

    def scan(self) -> Contents:
        """Everything in the files, sound or not."""
        entries, faults = [], []
        for split, path in self.files.items():
            found = read_contents(path)
            faults += found.faults
            strange = [entry for entry in found.entries if split and entry.split not in ("", split)]
            faults += [Fault(path, entry.line, f"is marked {entry.split} in a file of {split}") for entry in strange]
            entries += [entry._replace(split=split or entry.split) for entry in found.entries]
        if not entries and not faults:
            faults.append(Fault(self.origin, 0, "holds no rows"))
        return Contents(entries, faults)

    def make(self, contents: Contents) -> Task:
        """The task that such contents make.

        Raises:
            InputError: as `make_task`.
        """
        left = [fault for fault in contents.faults if not (self.published and fault.blank)]
        sound = Contents(contents.entries, left)
        task = make_task(self.spec, sound, str(self.origin), folds=self.folds, graded=self.graded)
        n_blank = len(contents.faults)
        if not n_blank:
            return task
        words = f"{n_blank} rows without a text left out"
        return replace(task, division=f"{task.division}; {words}" if task.division else words)

    def read(self) -> Task:
        """The task.

        Raises:
            InputError: as `make_task`.
        """
        return self.make(self.scan())


def read_contents(path: Path) -> Contents:
    """Everything in one file, by its suffix: a table, or SentEval's form."""
    return (tables if path.suffix.lower() in tables.FORMATS else senteval).read_contents(path)


def list_candidates(source: Path) -> list[Candidate]:
    """The tasks of a folder, or of one file, in the order of their names.

    Raises:
        InputError: two files stand for one task, or the folder cannot be listed.
    """
    candidates = find_candidates(source)
    for fault in find_twins(candidates):
        raise InputError(fault)
    return candidates


def find_candidates(source: Path) -> list[Candidate]:
    """The same, where two files may stand for one task.

    Raises:
        InputError: the folder cannot be listed.
    """
    try:
        paths = sorted(source.iterdir()) if source.is_dir() else [source]
    except OSError as error:
        raise InputError(f"{source}: cannot be listed ({error.strerror})") from None
    return [
        candidate
        for path in paths
        if (candidate := _candidate_of_folder(path) if path.is_dir() else _candidate_of_file(path))
    ]


def find_twins(candidates: Sequence[Candidate]) -> list[str]:
    """What to say of tasks that two files stand for."""
    counts = Counter(candidate.spec.name for candidate in candidates)
    origins = {
        name: [str(candidate.origin) for candidate in candidates if candidate.spec.name == name] for name in counts
    }
    return [
        f"task {name} stands twice, in {' and '.join(origins[name])}; keep one of them"
        for name, count in counts.items()
        if count > 1
    ]


def name_custom(path: Path) -> TaskSpec:
    """What the task of a file or folder is: SentEval's of that name, or the user's tables."""
    known = {spec.name: spec for spec in SENTEVAL_TASKS}
    name = "_".join(path.stem.split())
    return known.get(name) or TaskSpec(name, path.stem, "own")


def _candidate_of_file(path: Path) -> Candidate | None:
    suffix = path.suffix.lower()
    if path.name.startswith("."):
        return None
    if suffix in tables.FORMATS or (suffix == ".txt" and (name_custom(path).group != "own" or _has_columns(path))):
        return Candidate(name_custom(path), path, {"": path})
    return None


def _has_columns(path: Path) -> bool:
    """Whether a text file looks like a task and not like a note: two tabs in its first line."""
    try:
        with path.open("rb") as file:
            return file.read(_SNIFFED_BYTES).lstrip().split(b"\n")[0].count(b"\t") >= 2
    except OSError:
        return False


def _candidate_of_folder(path: Path) -> Candidate | None:
    task = find_transfer(path)
    if task:
        files = {split: path / name for split, name in task.files.items()}
        return Candidate(task.spec, path, files, task.folds, task.graded, published=True)
    found = {split: [path / f"{split}{suffix}" for suffix in tables.FORMATS] for split in SPLITS}
    files = {split: file for split, files in found.items() for file in files if file.is_file()}
    return Candidate(name_custom(path), path, files) if {"train", "test"} <= files.keys() else None
