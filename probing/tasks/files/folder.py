"""Candidates of a folder: which of its files make which task.

    NAME.txt                          SentEval's form
    NAME.csv .tsv .parquet .jsonl     a table of the user's own
    NAME/train.csv, NAME/test.csv     the same in one file per split, with or without NAME/dev.csv; validation, valid
                                      and val are dev, and train-00000-of-00001.parquet is a part of train
    train.csv, test.csv               the same in the folder itself, whose name is the task's then
    MR/all.tsv, SST-2/train.tsv, ...  transfer tasks

A name of SentEval's stands for SentEval's task; any other is a task of the group `own`.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from probing.catalogue.tasks import SENTEVAL_TASKS
from probing.records import InputError, Task, TaskSpec
from probing.tasks.files import senteval, tables
from probing.tasks.files.entries import Contents, Fault
from probing.tasks.files.making import make_task
from probing.tasks.files.split_files import SplitFiles, drop_unlabelled, find_split_files, list_passed
from probing.tasks.files.transfer import find_layout, name_transfer

_SNIFFED_BYTES = 4096


@dataclass(frozen=True)
class Candidate:
    """A task that could be read, and the files that it would be read from."""

    spec: TaskSpec
    origin: Path
    """The file, or the folder of the files."""
    files: SplitFiles = ()
    folds: int = 0
    graded: bool = False
    published: bool = False
    """True where the files are others', whose rows without a text, or with too few fields, are left out."""
    header: tuple[str, ...] = ()
    """Columns of files that may have no header row."""
    passed: tuple[str, ...] = ()
    """Names of tables in its folder that are no part of it, which is told."""

    def scan(self) -> Contents:
        """Everything in the files, sound or not."""
        entries, faults, notes = [], [], []
        for split, path in drop_unlabelled(self.files):
            found = read_contents(path, self.header)
            faults += found.faults
            notes += found.notes
            strange = [entry for entry in found.entries if split and entry.split not in ("", split)]
            faults += [Fault(path, entry.line, f"is marked {entry.split} in a file of {split}") for entry in strange]
            entries += [entry._replace(split=split or entry.split) for entry in found.entries]
        if not entries and not faults:
            faults.append(Fault(self.origin, 0, "holds no rows"))
        return Contents(entries, faults, notes)

    def make(self, contents: Contents) -> Task:
        """The task that such contents make.

        Raises:
            InputError: as `make_task`.
        """
        left = [fault for fault in contents.faults if not (self.published and fault.is_usual)]
        sound = replace(contents, faults=left)
        task = make_task(self.spec, sound, str(self.origin), folds=self.folds, graded=self.graded)
        if self.passed:
            task = replace(task, notes=(*task.notes, f"files that were not read: {', '.join(self.passed)}"))
        n_lost = len(contents.faults)
        if not n_lost:
            return task
        words = f"{n_lost} rows without a text or of another number of fields left out"
        return replace(task, split_rule=f"{task.split_rule}; {words}" if task.split_rule else words)

    def read(self) -> Task:
        """The task.

        Raises:
            InputError: as `make_task`.
        """
        return self.make(self.scan())


def read_contents(path: Path, header: Sequence[str] = ()) -> Contents:
    """Everything in one file, by its suffix: a table, or SentEval's form; with a header to fall back on, a table."""
    if header or path.suffix.lower() in tables.FORMATS:
        return tables.read_contents(path, header)
    return senteval.read_contents(path)


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
    whole = _candidate_of_folder(source.resolve()) if source.is_dir() else None
    # Tables beside the splits of a source are tasks of their own.
    whole = replace(whole, passed=()) if whole else None
    if whole and whole.published:
        return [whole]
    taken = {path.name for _, path in whole.files} if whole else set()
    found = [
        candidate
        for path in paths
        if path.name not in taken
        if (candidate := _candidate_of_folder(path) if path.is_dir() else _candidate_of_file(path))
    ]
    return [*found, *([whole] if whole else [])]


def find_twins(candidates: Sequence[Candidate]) -> list[str]:
    """Describe tasks that two files stand for, by their key or by the name that tables print."""
    origins: dict[str, set[str]] = defaultdict(set)
    for candidate in candidates:
        for name in (candidate.spec.name, candidate.spec.title):
            origins[name].add(str(candidate.origin))
    return [
        f"task {name} stands twice, in {' and '.join(sorted(found))}; keep one of them"
        for name, found in origins.items()
        if len(found) > 1
    ]


def name_custom(path: Path) -> TaskSpec:
    """Name the task of a file or folder: SentEval's of that name, or the user's tables."""
    known = {spec.name: spec for spec in SENTEVAL_TASKS}
    name = "_".join(path.stem.split())
    return known.get(name) or TaskSpec(name, path.stem, "own")


def _make_candidate(named: Path, origin: Path, files: SplitFiles) -> Candidate:
    alike = name_transfer(named.stem)
    return Candidate(name_custom(named), origin, files, graded=bool(alike and alike.graded))


def _candidate_of_file(path: Path) -> Candidate | None:
    suffix = path.suffix.lower()
    # What is neither a file nor a link to nowhere is a pipe or a device: reading it might never end.
    if path.name.startswith(".") or not (path.is_file() or path.is_symlink()):
        return None
    if suffix in tables.FORMATS or (suffix == ".txt" and (name_custom(path).group != "own" or _has_columns(path))):
        return _make_candidate(path, path, (("", path),))
    return None


def _has_columns(path: Path) -> bool:
    """True where a text file looks like a task and not like a note: two tabs in its first line."""
    try:
        with path.open("rb") as file:
            return file.read(_SNIFFED_BYTES).lstrip().split(b"\n")[0].count(b"\t") >= 2
    except OSError:
        return False


def _candidate_of_folder(path: Path) -> Candidate | None:
    task = name_transfer(path.name)
    layout = find_layout(task, path) if task else None
    if task and layout:
        files = tuple((split, path / name) for split, name in layout.items())
        return Candidate(task.spec, path, files, task.folds, task.graded, published=True, header=task.header)
    try:
        files = find_split_files(path.iterdir())
    except OSError:
        # A folder beside the tasks that others may not see into.
        return None
    # A clone from the Hugging Face hub keeps its tables in `data`.
    named = path.resolve().parent if path.name == "data" else path
    return replace(_make_candidate(named, path, files), passed=tuple(list_passed(path, files))) if files else None
