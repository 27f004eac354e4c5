"""Columns of a dataset of the hub that are the text and the label: never guessed where that is not sure."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from datasets import ClassLabel, Dataset

from probing.records import InputError
from probing.tasks.files.fields import Columns, list_labels, list_texts

_TEXT_TYPES = {"string", "large_string", "string_view"}
_REPEATED = 2
"""Times that each value of a column occurs on average, from which it may be a name of the label."""


class Address(NamedTuple):
    """Address of a dataset, as the user wrote it."""

    identity: str
    """`owner/name`, a name alone or a local folder."""
    configuration: str = ""
    texts: tuple[str, ...] = ()
    """Columns of text that were named; none where they are to be found."""
    label: str = ""


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
    """List what could be the text: columns of known names, else those that are neither ids nor names of labels."""
    known = list_texts(textual)
    others = [column for column in textual if not _is_side_column(column)]
    left = [column for column in others if not tells_label(rows[column], rows[label], alone=False)]
    return known or [(column,) for column in left]


def _is_side_column(name: str) -> bool:
    """True where a column's name says that it holds no text to read: an id, a name of the label, an address."""
    parts = re.split(r"[^a-z]+", name.lower())
    return not {"id", "idx", "uid", "guid", "index", "label", "labels", "url", "split", "source"}.isdisjoint(parts)


def tells_label(values: Sequence[Any], labels: Sequence[Any], *, alone: bool) -> bool:
    """True where a column is another name of the label: its values come again and again, each with one label only.

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
