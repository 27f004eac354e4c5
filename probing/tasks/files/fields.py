"""Rules for a text, a label and the columns that hold them, whatever file or dataset they come from."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from decimal import Decimal
from math import isfinite
from typing import Any, NamedTuple

from probing.tasks.files.entries import Entry, Fault

TEXT_COLUMNS = (
    *(("text",), ("sentence",), ("text_a", "text_b"), ("sentence1", "sentence2"), ("text1", "text2")),
    *(("premise", "hypothesis"), ("question1", "question2"), ("question", "sentence"), ("#1 String", "#2 String")),
)
"""Names of the columns of a text or a pair, as published corpora have them; no other is ever taken unasked."""
LABEL_COLUMNS = ("label", "labels", "gold_label", "is_duplicate", "Quality", "score")
"""Names of the column of labels: where there is `label`, that one; of the others, the only one."""
SPLIT_WORDS = {
    **dict.fromkeys(("train", "training", "tr"), "train"),
    **dict.fromkeys(("dev", "development", "valid", "validation", "val", "va"), "dev"),
    **dict.fromkeys(("test", "testing", "te"), "test"),
}
"""Words that a column `split` may say, in any case; the whole words also name files."""

_SEPARATORS = {";": "semicolons", "\t": "tabs", ",": "commas", "|": "bars"}
"""Signs that other programs put between columns."""
_MISSING = {"nan", "<na>", "nat", "#n/a"}
"""Ways in which programs write a label that is missing, in any case."""
_BYTES = re.compile(r"""b(['"]).*\1""", re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")


class Columns(NamedTuple):
    """The names of the columns that are read."""

    texts: tuple[str, ...]
    """One, or two for a pair."""
    label: str
    """Empty where there is none, as in a published test set."""


def find_columns(names: Iterable[str]) -> Columns:
    """The columns that hold the text and the label.

    Raises:
        ValueError: there is no known column of text, or there are several that could be it; or the splits stand in a
            column of another spelling, and would be passed over; says what was expected. A missing label is none: a
            published test set has none.
    """
    present = list(names)
    strays = [name for name in present if is_split(name) and name != "split"]
    if strays:
        raise ValueError(f"the column {strays[0]!r} would not be read; call it split, or give it another name")
    texts, labels = list_texts(present), list_labels(present)
    if not texts:
        shown = ", ".join(map(repr, present)) or "none"
        signs = [name for sign, name in _SEPARATORS.items() if len(present) == 1 and sign in present[0]]
        hint = f"; separate them by commas in .csv, by tabs in .tsv, and not by {signs[0]}" if signs else ""
        raise ValueError(f"expected the columns text (or text_a and text_b) and label, got {shown}{hint}")
    if len(texts) > 1:
        raise ValueError(f"the text could be {' or '.join(map(' and '.join, texts))}; keep one of them")
    if len(labels) > 1:
        raise ValueError(f"the label could be {' or '.join(labels)}; call one of them label")
    return Columns(texts[0], labels[0] if labels else "")


def is_split(name: Any) -> bool:
    """True for `split` in any case, with or without blanks around it; only the plain word is read."""
    return isinstance(name, str) and name.strip().casefold() == "split"


def list_texts(names: Iterable[str]) -> list[tuple[str, ...]]:
    """The columns of known names that could be the text; a pair and not its half."""
    present = set(names)
    fitting = [columns for columns in TEXT_COLUMNS if present.issuperset(columns)]
    return [columns for columns in fitting if not any(set(columns) < set(other) for other in fitting)]


def list_labels(names: Iterable[str]) -> list[str]:
    """The columns of known names that could be the label: `label` alone where there is one."""
    present = set(names)
    return ["label"] if "label" in present else [name for name in LABEL_COLUMNS if name in present]


def find_repeated(names: Iterable[str]) -> str:
    """Describe names that stand twice; empty where none does."""
    seen: set[str] = set()
    twice = {name for name in names if name and (name in seen or seen.add(name))}
    return f"{', '.join(map(repr, sorted(twice)))} stands twice; keep one" if twice else ""


def parse_record(path: Any, line: int, record: Mapping[str, Any], columns: Columns) -> Entry | Fault:
    """The labelled text of a row, or what is wrong with it."""
    for name in columns.texts:
        fault = find_text_fault(record.get(name))
        if fault:
            return Fault(path, line, f"column {name} {fault}", is_blank(record.get(name)))
    label, split = spell_label(record.get(columns.label)), record.get("split")
    fault = find_label_fault(label)
    if fault:
        return Fault(path, line, f"column {columns.label} {fault}")
    mark = SPLIT_WORDS.get(str(split).strip().lower()) if not is_blank(split) else ""
    if mark is None:
        return Fault(path, line, f"unknown split {split!r}; expected train, dev or test")
    return Entry(line, mark, label, tuple(record[name] for name in columns.texts))


def is_blank(value: Any) -> bool:
    """True where nothing of a value can be seen: none, or only spaces, controls and marks without width."""
    return value is None or (isinstance(value, str) and all(unicodedata.category(one)[0] in "ZC" for one in value))


def find_text_fault(text: Any) -> str:
    """Find what is wrong with a text; empty where nothing is."""
    broken = find_bad_character(text)
    if broken:
        return broken
    if is_blank(text):
        return "is empty" if not text or not text.strip() else "holds nothing that can be seen"
    return "" if isinstance(text, str) else f"is {text!r:.40}; expected text"


def find_label_fault(label: Any) -> str:
    """Find what is wrong with a label, spelt by `spell_label`; empty where nothing is."""
    if find_bad_character(label):
        return find_bad_character(label)
    if not isinstance(label, str) or is_blank(label):
        return f"is {label!r:.40}; expected a word or a number"
    if label.casefold() in _MISSING:
        return f"is {label!r}, which stands for a missing value; expected a word or a number"
    return f"is {label!r:.40}, bytes that were written as text; decode them" if _BYTES.fullmatch(label) else ""


def find_bad_character(value: Any) -> str:
    """Describe half a character, which JSON can hold, or NUL, a sign of UTF-16; empty where there is none."""
    if isinstance(value, str) and "\0" in value:
        return "has a NUL character (U+0000); write the file as UTF-8 text"
    found = _SURROGATE.search(value) if isinstance(value, str) else None
    return f"has half a character (U+{ord(found[0]):04X}); write the whole one" if found else ""


def spell_label(value: Any) -> Any:
    """A label as the name of its class: numbers as they are written, whole ones alike; what is no label unchanged."""
    if isinstance(value, float) and isfinite(value) and value.is_integer():
        value = int(value)
    if isinstance(value, (bool, int, float, Decimal)) and (isinstance(value, int) or isfinite(value)):
        return str(value)
    return value.strip() if isinstance(value, str) else value
