"""The help that fits one screen: a line for each flag, with its default; `--help-all` has the whole text."""

import re
import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, fields
from typing import Any, get_args, get_origin, get_type_hints

from probing.command_line.docstrings import list_shown, read_docs
from probing.command_line.entry_points import PROGRAM

SHORT, WHOLE = ("-h", "--help"), "--help-all"
MANY = 16
"""Flags from which on the whole text is longer than a screen."""

_LONGEST_VALUE = 10
"""Letters of a default from which on the kind of the value is shown in its stead."""
_WIDEST = 110
"""Columns from which on lines are hard to follow."""


def wants_short_help(kind: type, arguments: Sequence[str]) -> bool:
    """True where help is asked for, and the whole text would not fit one screen."""
    return any(argument in SHORT for argument in arguments) and len(fields(kind)) >= MANY


def format_short_help(kind: type, description: str, program: str, others: Mapping[str, str]) -> str:
    """The help of a command: what it does, examples, and a line for each flag.

    Args:
        kind: class of its settings; its `GROUPS`, if it has any, maps titles to names of fields, and its `FOLDED` lists
            titles of groups that are not explained here.
        description: what the command does; its lines that begin with `python` are examples.
        program: what the command is called.
        others: flags that are no field, with their help.
    """
    groups: dict[str, tuple[str, ...]] = getattr(kind, "GROUPS", {})
    grouped = {name for names in groups.values() for name in names}
    flags = dict(_list_flags(kind))
    docs = {name: text.removeprefix("True where ") for name, text in {**others, **read_docs(kind)}.items()}
    first = [*others, *(name for name in flags if name not in grouped)]
    flags = {**{name: f"{_name_flag(name)} FILE" for name in others}, **flags}
    width, columns = max(map(len, flags.values())), min(shutil.get_terminal_size().columns, _WIDEST)
    lines = [*_format_description(description, program)]
    for title, names in {"options": tuple(first), **groups}.items():
        if title in getattr(kind, "FOLDED", ()):
            text = f"{title}: {' '.join(map(_name_flag, names))}"
            lines += textwrap.wrap(text, columns - 1, subsequent_indent="  ", break_on_hyphens=False)
            continue
        lines.append(f"{title}:")
        lines += [_cut(f"  {flags[name]:{width}}  {docs.get(name, '')}", columns - 1) for name in names]
    return "\n".join(lines)


def _format_description(description: str, program: str) -> Iterator[str]:
    """The usage, the first sentence, and the examples."""
    yield f"usage: {program} [OPTIONS]     with their defaults; {WHOLE} explains each"
    yield description.strip().partition("\n")[0]
    yield "--no-FLAG switches off what is on; ... stands for more values."
    examples = [line for line in description.splitlines() if re.match(rf"(python|{PROGRAM}) ", line)]
    if examples:
        yield from ("examples:", *(f"  {line}" for line in examples))


def _list_flags(kind: type) -> Iterator[tuple[str, str]]:
    """Each field's name, and its flag beside its default."""
    types, shown = get_type_hints(kind), list_shown(kind)
    for column in (column for column in fields(kind) if column.name in shown):
        yield column.name, f"{_name_flag(column.name)} {_format_default(column, types[column.name])}"


def _name_flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _format_default(column: "Field[Any]", kind: Any) -> str:
    """The default as one types it; the kind of value where there is none, or where it is long."""
    value = column.default if column.default_factory is MISSING else column.default_factory()
    if isinstance(value, bool):
        return "on" if value else "off"
    text = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)  # pyright: ignore
    known = value is not MISSING and value is not None and text
    return text if known and len(text) <= _LONGEST_VALUE else _name_kind(kind)


def _name_kind(kind: Any) -> str:
    """The kind of a value, in capitals: that of a tuple's parts, of a type that may be None."""
    if get_origin(kind) is tuple:
        return f"{_name_kind(get_args(kind)[0])} ..."
    inner = [one for one in get_args(kind) if isinstance(one, type) and one is not type(None)]
    return getattr(inner[0] if inner else kind, "__name__", "value").upper()


def _cut(line: str, columns: int) -> str:
    """The line's first sentence; where that is too long, as many words of it as fit."""
    sentence = re.split(r"(?<=[a-z\])])[.;] (?=[A-Z0-9]|none)", line, maxsplit=1)[0].rstrip(".")
    return sentence if len(sentence) <= columns else f"{sentence[: columns - 3].rsplit(' ', 1)[0].rstrip(' ,;:(')} ..."
