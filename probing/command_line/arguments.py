"""The command line -> settings: flags are read, paths are written out in full."""

import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import fields, replace
from io import StringIO
from pathlib import Path
from typing import Any, TypeVar

from probing.command_line.config_files import CONFIG_HELP, read_config, take_config
from probing.command_line.entry_points import name_examples, name_program
from probing.command_line.flags import read_flags
from probing.command_line.short_help import WHOLE, format_short_help, wants_short_help
from probing.records import InputError

Settings = TypeVar("Settings")

_NAMES_OR_PATHS = ("data", "checkpoint", "check", "distill_from")
"""Settings that name either a folder or something else; whoever opens the folder expands its `~`."""
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_RULES = set("─-╰╯")
"""Lines within and below what tyro says of a mistake, with or without letters beyond ASCII."""


def read_settings(kind: type[Settings], *, config: bool = False, **options: Any) -> Settings:
    """The settings that the command line gives.

    Args:
        kind: their class, one field for each flag.
        config: whether `--config FILE` gives settings too, which flags override.
        options: of `read_flags`, such as a description.

    Raises:
        InputError: a flag that is not there, or a value that it cannot have; a path that is empty, no text, or in the
            home of a user who is not there; a negative seed.
    """
    described = name_examples(options.get("description", ""))
    others = {"config": CONFIG_HELP} if config else {}
    if wants_short_help(kind, sys.argv[1:]):
        sys.stdout.write(format_short_help(kind, described, name_program() or sys.argv[0], others) + "\n")
        raise SystemExit(0)
    path, arguments = take_config(sys.argv[1:]) if config else (None, sys.argv[1:])
    options |= {"description": described, "prog": name_program(options.get("prog"))}
    options |= {"config_help": others.get("config", "")}
    if path is not None:
        flags = read_config(path, [column.name for column in fields(kind)])  # pyright: ignore
        _parse_file(kind, path, flags, options)
        arguments = [*flags, *arguments]
    arguments = ["--help" if argument == WHOLE else argument for argument in arguments]
    _check_empty(kind, arguments)
    settings = expand_paths(_parse(kind, arguments, options))
    seed = getattr(settings, "seed", 0)
    if seed < 0:
        raise InputError(f"--seed {seed}: expected 0 or more")
    return settings


def expand_paths(settings: Settings) -> Settings:
    """The same settings with `~` written out in each path: no shell does that behind a `=`.

    Raises:
        InputError: there is no such user, or a path is no text.
    """
    names = [column.name for column in fields(settings)]  # pyright: ignore
    found = {name: getattr(settings, name) for name in names}
    changed = {name: _expand(name, value) for name, value in found.items()}
    for name in _NAMES_OR_PATHS:
        _expand(name, Path(str(found.get(name, ""))))
    return replace(settings, **changed)  # pyright: ignore


def _parse_file(kind: type, path: Path, flags: list[str], options: dict[str, Any]) -> None:
    """Refuse a value in a file of settings, naming the file."""
    try:
        _check_empty(kind, flags)
        _parse(kind, flags, options)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _parse(kind: type[Settings], arguments: Sequence[str], options: dict[str, Any]) -> Settings:
    """Read settings by tyro, its refusals in a line; `--help` ends the program as usual."""
    box, arguments = StringIO(), share_values(arguments, getattr(kind, "FURTHER", {}))
    try:
        with redirect_stderr(box):
            return read_flags(kind, arguments, **options)
    except SystemExit as stop:
        if not stop.code:
            raise
        raise InputError(_format_box(box.getvalue())) from None


def share_values(arguments: Sequence[str], further: Mapping[str, str]) -> list[str]:
    """Arguments in which a flag of one value has one, its further values being those of another flag.

    Args:
        arguments: as the shell gives them.
        further: setting of one value -> setting of its further values.
    """
    flags = {f"--{name}".replace("_", "-"): f"--{other}".replace("_", "-") for name, other in further.items()}
    shared: list[str] = []
    other, n_values = "", 0
    for argument in arguments:
        if argument.startswith("--"):
            other, n_values = flags.get(argument, ""), 0
        else:
            n_values += 1
            if other and n_values == 2:
                shared.append(other)
        shared.append(argument)
    return shared


def _format_box(box: str) -> str:
    """The message of a box of tyro's, with the flag that it takes to be meant, or the values that a flag takes."""
    lines = [line.strip(" │") for line in _COLOUR.sub("", box).splitlines()[1:]]
    parts = "\n".join("\0" if set(line) <= _RULES else line for line in lines).split("\0")
    message, *others = filter(None, map(str.strip, parts))
    sentences = [" ".join(message.split()).rstrip(".")]
    for part in others:
        flags = re.findall(r"^(?:-\w, )?(--.+)", part, re.MULTILINE)
        if part.startswith("Perhaps you meant") and flags:
            sentences.append(f"perhaps you meant {' or '.join(dict.fromkeys(flag.split()[0] for flag in flags))}")
        elif part.startswith("Argument helptext") and flags:
            sentences.append(f"expected {flags[0]}")
    return "; ".join([*sentences, "--help lists the flags and their values"])


def _expand(name: str, value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_expand(name, part) for part in value)
    if not isinstance(value, Path):
        return value
    flag = f"--{name.replace('_', '-')} {value}"
    try:
        # Neither tables nor pages nor weights can bear a name that is no text.
        str(value).encode()
        return value.expanduser()
    except UnicodeEncodeError:
        raise InputError(f"{flag}: this name is not in UTF-8; rename it") from None
    except RuntimeError:
        raise InputError(f"{flag}: no such user has a home here; write the path out") from None


def _check_empty(kind: type, arguments: Sequence[str]) -> None:
    """Refuse an empty path, which Python takes for the working directory."""
    flags = {f"--{column.name}" for column in fields(kind) if "Path" in str(column.type)}
    flag = ""
    for argument in arguments:
        name, sign, value = argument.partition("=")
        if argument.startswith("--"):
            flag = name.replace("-", "_").replace("__", "--", 1)
        empty = value == "" if sign and argument.startswith("--") else argument == ""
        if empty and flag in flags:
            raise InputError(f"{flag.replace('_', '-')} '': expected a path, got an empty one")
