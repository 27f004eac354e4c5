"""A dataset on the Hugging Face hub as a task: `hub:nyu-mll/glue/sst2`, or a folder that `datasets` can load.

Columns of other names than `fields` knows are named: `hub:owner/name@text=question,answer@label=target`.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import datasets
from datasets import ClassLabel, Dataset, DatasetDict

from probing.catalogue.tasks import SENTEVAL_TASKS, fold_name
from probing.records import InputError, Task, TaskSpec
from probing.tasks.files.entries import Contents, Entry, Fault
from probing.tasks.files.fields import SPLIT_WORDS, Columns, parse_record
from probing.tasks.files.hub_columns import Address, choose_columns
from probing.tasks.files.making import make_task
from probing.tasks.files.transfer import name_transfer

_IDENTITY = re.compile(r"[\w][\w.-]{0,95}(/[\w][\w.-]{0,95}){0,3}", re.ASCII)
"""Owner and name, or a name alone, with a configuration behind it."""
_DATA_SUFFIXES = {".csv", ".tsv", ".json", ".jsonl", ".parquet", ".arrow", ".txt", ".gz", ".zip"}
_MOST_PATHS = 2_000
"""A folder with more than that in it is no dataset: it is not walked to its end."""


def read_hub(name: str) -> Task:
    """The task that a dataset of the hub makes.

    A test split without labels, as GLUE's, is left out: the published dev set is the test set then, and a tenth of
    train is dev.

    Args:
        name: `hub:ID` or `hub:ID/CONFIGURATION`, ID being `owner/name` or a local folder; columns behind `@`.

    Raises:
        InputError: it cannot be reached, or it is not clear which columns are text and label, or there is no split to
            train on.
    """
    address = parse_address(name)
    datasets.disable_progress_bars()
    # What it logs is said once more by what it throws.
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    try:
        found = datasets.load_dataset(address.identity, address.configuration or None)
    except Exception as error:  # noqa: BLE001 - it throws what pandas, pyarrow, fsspec and the network throw
        cause: BaseException = error
        while cause.__cause__:
            cause = cause.__cause__
        reason = (str(cause).strip().splitlines() or [type(cause).__name__])[0]
        raise InputError(f"--data {name}: cannot be loaded from the Hugging Face hub ({reason})") from None
    if not isinstance(found, DatasetDict) or "train" not in found:
        raise InputError(f"--data {name}: expected a dataset with a split train, got {', '.join(map(str, found))}")
    columns = choose_columns(found["train"], address, name)
    splits = choose_splits(found, columns.label)
    read = [one for split, rows in splits.items() for one in _read(rows, split, columns, name)]
    entries = [one for one in read if isinstance(one, Entry)]
    contents = Contents(entries, [one for one in read if isinstance(one, Fault)])
    spec = name_task(address.configuration or address.identity)
    task = make_task(spec, contents, name, graded="pearson" in spec.metrics)
    return _add_notes(task, found, splits, columns, len(read))


def parse_address(name: str) -> Address:
    """Identity, configuration and columns of `hub:owner/name/configuration@text=a,b@label=c`.

    Raises:
        InputError: it names nothing, or looks like a path to what is not there, is no folder or holds no data.
    """
    whole, *named = re.split(r"@(?=text=|label=)", name.removeprefix("hub:"))
    wishes = dict(part.split("=", 1) for part in named)
    texts = tuple(column for column in wishes.get("text", "").split(",") if column)
    if len(texts) > 2:
        raise InputError(f"--data {name}: names {len(texts)} columns of text; expected one, or two for a pair")
    folder = _find_folder(whole, name)
    identity, configuration = (whole, "") if folder else split_name(whole)
    return Address(str(folder or identity), configuration, texts, wishes.get("label", ""))


def split_name(name: str) -> tuple[str, str]:
    """Identity and configuration of `owner/name/configuration`."""
    parts = name.split("/")
    return "/".join(parts[:2]), "/".join(parts[2:])


def _find_folder(whole: str, name: str) -> Path | None:
    """The local folder that a name stands for; none where it is one of the hub."""
    try:
        path = Path(whole).expanduser()
        there, is_folder = bool(whole) and path.exists(), path.is_dir()
    except (OSError, RuntimeError, ValueError):
        # A name too long, a home that nobody has: no path, and no identity either.
        path, there, is_folder = Path(), False, False
    if there and is_folder:
        _check_folder(path, name)
        return path.resolve()
    if there:
        raise InputError(f"--data {name}: is a file; take --data {whole} without hub:")
    if not _IDENTITY.fullmatch(whole) or ".." in whole or "--" in whole:
        raise InputError(
            f"--data {name[:100]}: expected hub:OWNER/NAME, hub:OWNER/NAME/CONFIGURATION or a folder that is there"
        )
    return None


def _check_folder(path: Path, name: str) -> None:
    """See that it is a folder of data, looking at so many paths and no more."""
    paths = list(islice(path.rglob("*"), _MOST_PATHS + 1))
    if len(paths) > _MOST_PATHS:
        raise InputError(f"--data {name}: holds more than {_MOST_PATHS} files and folders; expected one dataset")
    if not any(one.suffix.lower() in _DATA_SUFFIXES for one in paths):
        raise InputError(f"--data {name}: holds no data; expected train.csv, .jsonl or .parquet in it")


def name_task(name: str) -> TaskSpec:
    """The known task of that name, or one of the user's own."""
    stem = name.rstrip("/").rsplit("/", 1)[-1]
    transfer = name_transfer(stem)
    known = {fold_name(spec.title): spec for spec in SENTEVAL_TASKS}
    own = TaskSpec("_".join(stem.split()), stem, "own")
    return transfer.spec if transfer else known.get(fold_name(stem)) or own


def choose_splits(found: DatasetDict, label: str) -> dict[str, Dataset]:
    """Our split -> the dataset's, labelled ones only; of several the first."""
    splits: dict[str, Dataset] = {}
    for name, rows in found.items():
        split = SPLIT_WORDS.get(re.split(r"[^a-z]+", str(name).lower())[0], "")
        if split and split not in splits and (split == "train" or _is_labelled(rows, label)):
            splits[split] = rows
    return splits


def _is_labelled(rows: Dataset, label: str) -> bool:
    # -1 stands for no label where it is everywhere: as one of several labels it is a class.
    return label in rows.features and not set(rows[label]) <= {-1, None, ""}


def _read(rows: Dataset, split: str, columns: Columns, name: str) -> list[Entry | Fault]:
    kind = rows.features[columns.label]
    labels = list(rows[columns.label])
    if isinstance(kind, ClassLabel):
        labels = [kind.int2str(value) if value is not None and value >= 0 else None for value in labels]
    texts = [rows[column] for column in columns.texts]
    found = []
    for number, (label, *text) in enumerate(zip(labels, *texts, strict=True), 1):
        record: Mapping[str, Any] = dict(zip(columns.texts, text, strict=True)) | {columns.label: label}
        if label is not None or not isinstance(kind, ClassLabel):
            one = parse_record(f"--data {name}, {split}", number, record, columns)
            found.append(one._replace(split=split) if isinstance(one, Entry) else one)
    return found


def _add_notes(task: Task, found: DatasetDict, splits: Mapping[str, Dataset], columns: Columns, n_read: int) -> Task:
    notes = [f"text is column {' and column '.join(columns.texts)}, the label is column {columns.label}", *task.notes]
    passed = [str(name) for name, rows in found.items() if not any(rows is taken for taken in splits.values())]
    if passed:
        notes.append(f"splits that were not read: {', '.join(passed)}")
    n_rows = sum(map(len, splits.values()))
    if n_rows > n_read:
        notes.append(f"{n_rows - n_read} rows without a label left out")
    return replace(task, notes=tuple(notes))
