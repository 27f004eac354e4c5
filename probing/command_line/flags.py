"""A class of settings -> the flags of a command, in groups: a field is a flag, and its docstring the flag's help."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, Field, field, fields, make_dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import tyro

from probing.command_line.docstrings import list_shown, read_docs
from probing.command_line.entry_points import PROGRAM

Settings = TypeVar("Settings")


def read_flags(
    kind: type[Settings],
    arguments: Sequence[str],
    *,
    description: str = "",
    prog: str | None = None,
    config_help: str = "",
) -> Settings:
    """The settings that the command line gives.

    Args:
        arguments: of the command line, `--config` taken out.
        kind: their class. Its `GROUPS`, if it has any, maps titles to names of fields; other fields stand in front.
        description: what the command does; its lines that begin with `python` are examples, and stay lines.
        prog: what the command is called.
        config_help: the help of `--config`, which whoever calls has read; empty where there is no such flag.
    """
    groups: dict[str, tuple[str, ...]] = getattr(kind, "GROUPS", {})
    grouped = {name for names in groups.values() for name in names}
    hidden, arguments = _take_hidden(kind, arguments)
    shown = list_shown(kind)
    flags = {name: flag for name, flag in _annotate(kind).items() if name in shown}
    first = [flag for name, flag in flags.items() if name not in grouped]
    nested = {
        f"group_{n}": _nest(title, [flags[name] for name in names]) for n, (title, names) in enumerate(groups.items())
    }
    if config_help:
        first.append(("config", Annotated[Path | None, tyro.conf.arg(help=config_help)], field(default=None)))
    whole = make_dataclass(kind.__name__, [*first, *((name, *one) for name, one in nested.items())])
    read = tyro.cli(
        whole,
        args=list(arguments),
        description=_keep_examples(description),
        prog=prog,
        config=(tyro.conf.OmitArgPrefixes,),
    )
    typed = {name: value for name, value in vars(read).items() if name != "config" or not config_help}
    values = {name: value for name, value in typed.items() if name not in nested}
    for name in nested:
        values |= vars(typed[name])
    return kind(**values, **hidden)


def _take_hidden(kind: type, arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The values of flags that programs set, which tyro would not know, and the arguments without them."""
    shown = list_shown(kind)
    names = {f"--{column.name}": column.name for column in fields(kind) if column.name not in shown}
    values, others, left = dict[str, str](), list[str](), iter(arguments)
    for argument in left:
        flag, sign, value = argument.partition("=")
        if flag in names:
            values[names[flag]] = value if sign else next(left, "")
        else:
            others.append(argument)
    return values, others


def _nest(title: str, flags: Iterable[Any]) -> tuple[Any, Any]:
    """A group of flags as type and default of a field; its box is headed `TITLE options`.

    Its help is none; where it is not given, tyro looks for it in the source of every module that the class might be of.
    """
    group = make_dataclass("Group", flags)
    return Annotated[group, tyro.conf.arg(name=title, help="")], field(default_factory=group)


def _annotate(kind: type) -> dict[str, tuple[str, Any, Any]]:
    """Name, type with help, and default of each field, by its name."""
    types, docs = get_type_hints(kind, include_extras=True), read_docs(kind)
    return {
        column.name: (
            column.name,
            Annotated[types[column.name], tyro.conf.arg(help=docs.get(column.name, ""))],
            _copy_default(column),
        )
        for column in fields(kind)
    }


def _copy_default(column: "Field[Any]") -> Any:
    if column.default_factory is not MISSING:
        return field(default_factory=column.default_factory)
    return field() if column.default is MISSING else field(default=column.default)


def _keep_examples(description: str) -> str:
    """The text with each example as a paragraph of its own: lines of one paragraph would be run together."""
    return re.sub(rf"\n+(?=(?:python|{PROGRAM}) )", "\n\n", description.strip())
