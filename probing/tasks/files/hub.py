"""A dataset on the Hugging Face hub as a task: `hub:nyu-mll/glue/sst2`, or a folder that `datasets` can load."""

from pathlib import Path

import datasets
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from probing.catalogue.tasks import SENTEVAL_TASKS, fold_name
from probing.records import InputError, Task, TaskSpec
from probing.tasks.files.entries import Contents, Entry, make_task
from probing.tasks.files.transfer import TRANSFER_TASKS

_LABELS = ("label", "labels")
_SEGMENTS = 2
"""Texts that an encoder takes together."""


def read_hub(name: str) -> Task:
    """The task that a dataset of the hub makes.

    Its first one or two columns of text are the text or the pair, its column `label` the label. A test split without
    labels, as GLUE's, is left out: the published dev set is the test set then, and a tenth of train is dev.

    Args:
        name: `hub:ID` or `hub:ID/CONFIGURATION`, ID being `owner/name` or a local folder.

    Raises:
        InputError: it cannot be reached, or has no text, no label or no split to train on.
    """
    identity, configuration = split_name(name.removeprefix("hub:"))
    datasets.disable_progress_bars()
    try:
        found = datasets.load_dataset(identity, configuration or None)
    except (OSError, ValueError, RuntimeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"--data {name}: cannot be loaded from the Hugging Face hub ({reason})") from None
    if not isinstance(found, DatasetDict) or "train" not in found:
        raise InputError(f"--data {name}: expected a dataset with a split train, got {', '.join(map(str, found))}")
    texts, label = find_columns(found["train"].features, name)
    splits = choose_splits(found, label)
    entries = [entry for split, rows in splits.items() for entry in _read(rows, split, texts, label)]
    return make_task(name_task(configuration or identity), Contents(entries, []), name)


def split_name(name: str) -> tuple[str, str]:
    """Identity and configuration of `owner/name/configuration`; a local folder has none."""
    parts = name.split("/")
    if Path(name).exists() or len(parts) <= 2:
        return name, ""
    return "/".join(parts[:2]), "/".join(parts[2:])


def name_task(name: str) -> TaskSpec:
    """The known task of that name, or one of the user's own."""
    stem = name.rstrip("/").rsplit("/", 1)[-1]
    known = {fold_name(spec.title): spec for spec in (*SENTEVAL_TASKS, *(task.spec for task in TRANSFER_TASKS))}
    return known.get(fold_name(stem)) or TaskSpec("_".join(stem.split()), stem, "own")


def find_columns(features: Features, name: str) -> tuple[list[str], str]:
    """The columns of text, and that of the label.

    Raises:
        InputError: one of them is missing.
    """
    label = next((column for column in _LABELS if column in features), "")
    texts = [column for column, kind in features.items() if kind == Value("string") and column != label]
    if not texts or not label:
        raise InputError(
            f"--data {name}: expected a column of text and a column label, got the columns {', '.join(features)}"
        )
    return texts[:_SEGMENTS], label


def choose_splits(found: DatasetDict, label: str) -> dict[str, Dataset]:
    """Our split -> the dataset's: labelled ones only."""
    train = found["train"]
    dev = next((found[split] for split in found if str(split).startswith(("validation", "dev"))), None)
    test = next(
        (found[split] for split in found if str(split).startswith("test") and _is_labelled(found[split], label)), None
    )
    splits = {"train": train, "dev": dev, "test": test} if test is not None else {"train": train, "test": dev}
    return {split: rows for split, rows in splits.items() if rows is not None}


def _is_labelled(rows: Dataset, label: str) -> bool:
    return len(rows) > 0 and rows[0][label] not in (-1, None, "")


def _read(rows: Dataset, split: str, texts: list[str], label: str) -> list[Entry]:
    kind = rows.features[label]
    names = kind.int2str if isinstance(kind, ClassLabel) else str
    columns = [rows[column] for column in texts]
    pairs = zip(rows[label], *columns, strict=True)
    return [Entry(number, split, str(names(value)), tuple(text)) for number, (value, *text) in enumerate(pairs, 1)]
