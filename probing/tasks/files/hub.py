"""A dataset on the Hugging Face hub as a task: `hub:nyu-mll/glue/sst2`, or a folder that `datasets` can load.

Columns of other names than `fields` knows are named: `hub:owner/name@text=question,answer@label=target`.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import datasets
from datasets import ClassLabel, Dataset, DatasetDict

from probing.catalogue.tasks import SENTEVAL_TASKS, fold_name
from probing.records import InputError, Task, TaskSpec
from probing.tasks.files.entries import Contents, Entry, Fault, make_task
from probing.tasks.files.fields import SPLIT_WORDS, Columns, list_labels, list_texts, parse_record
from probing.tasks.files.transfer import name_transfer

_IDENTITY = re.compile(r"[\w][\w.-]{0,95}(/[\w][\w.-]{0,95}){0,3}", re.ASCII)
"""Owner and name, or a name alone, with a configuration behind it."""
_TEXT_TYPES = {"string", "large_string", "string_view"}
_DATA_SUFFIXES = {".csv", ".tsv", ".json", ".jsonl", ".parquet", ".arrow", ".txt", ".gz", ".zip"}
_MOST_PATHS = 2_000
"""A folder with more than that in it is no dataset: it is not walked to its end."""
_REPEATED = 2
"""Times that each value of a column occurs on average, from which it may be a name of the label."""


class Address(NamedTuple):
    """What the user asked for."""

    identity: str
    """`owner/name`, a name alone or a local folder."""
    configuration: str = ""
    texts: tuple[str, ...] = ()
    """Columns of text that were named; none where they are to be found."""
    label: str = ""


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
    try:
        found = datasets.load_dataset(address.identity, address.configuration or None)
    except Exception as error:  # noqa: BLE001 - it throws what pandas, pyarrow, fsspec and the network throw
        cause = error.__cause__ or error
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
        return path
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


def choose_columns(rows: Dataset, address: Address, name: str) -> Columns:
    """The columns of text and that of the label: those that were named, else those of known names, else the only one.

    Raises:
        InputError: a column is missing or no text, several could be meant, or one tells the label by itself.
    """
    names = list(rows.features)
    textual = [column for column, kind in rows.features.items() if _is_textual(kind)]
    labels = [address.label] if address.label else list_labels(names)
    if len(labels) != 1:
        found = f"the label could be {' or '.join(labels)}" if labels else "expected a column of text and one of labels"
        raise _ask(name, names, found)
    label = labels[0]
    texts = [address.texts] if address.texts else _list_texts(rows, [each for each in textual if each != label], label)
    if len(texts) != 1:
        shown = " or ".join(" and ".join(columns) for columns in texts)
        raise _ask(name, names, f"the text could be {shown}" if texts else "expected a column of text of a known name")
    for column in (*texts[0], label):
        if column not in (names if column == label else textual):
            raise _ask(name, names, f"no column {column}{'' if column == label else ' of text'}")
    for column in texts[0]:
        if column == label or tells_label(rows[column], rows[label], alone=len(texts[0]) == 1):
            raise _ask(name, names, f"column {column} tells {label}, each of its values has one label")
    return Columns(texts[0], label)


def _ask(name: str, columns: Sequence[str], problem: str) -> InputError:
    example = f"{name.split('@', maxsplit=1)[0]}@text=COLUMN,COLUMN@label=COLUMN"
    return InputError(f"--data {name}: {problem}, got the columns {', '.join(columns)}; name them, as in {example}")


def _is_textual(kind: Any) -> bool:
    return getattr(kind, "dtype", "") in _TEXT_TYPES and not isinstance(kind, ClassLabel)


def _list_texts(rows: Dataset, textual: Sequence[str], label: str) -> list[tuple[str, ...]]:
    """What could be the text: columns of known names, else those that are neither ids nor names of labels."""
    known = list_texts(textual)
    others = [column for column in textual if not _is_side_column(column)]
    left = [column for column in others if not tells_label(rows[column], rows[label], alone=False)]
    return known or [(column,) for column in left]


def _is_side_column(name: str) -> bool:
    """Whether a column's name says that it holds no text to read: an id, a name of the label, an address."""
    parts = re.split(r"[^a-z]+", name.lower())
    return not {"id", "idx", "uid", "guid", "index", "label", "labels", "url", "split", "source"}.isdisjoint(parts)


def tells_label(values: Sequence[Any], labels: Sequence[Any], *, alone: bool) -> bool:
    """Whether a column is another name of the label: its values come again and again, each with one label only.

    Args:
        values: of the column.
        labels: of the same rows.
        alone: whether it is the only text, which may be repeated with its label; it is refused only where it has no
            more values than there are classes.
    """
    pairs = set(zip(map(str, values), map(str, labels), strict=True))
    counts = Counter(value for value, _ in pairs)
    if not counts or len(counts) != len(pairs):
        return False
    few = len(counts) <= len(set(map(str, labels))) if alone else _REPEATED * len(counts) <= len(values)
    return few and len(counts) < len(values)


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
