"""Settings of a run by their names, as keywords of a call or the entries of a file give them."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from probing.records import InputError
from probing.settings.run import RunSettings
from probing.suggestions import suggest

_TYPES = get_type_hints(RunSettings)


def takes_several(name: str) -> bool:
    """True where a setting is a list of values."""
    return get_origin(_TYPES[name]) is tuple


def list_choices(name: str) -> tuple[Any, ...]:
    """The values that a setting may have; empty where they are not listed."""
    return get_args(_TYPES[name]) if get_origin(_TYPES[name]) is Literal else ()


def check_name(name: str) -> str:
    """The name itself, if there is such a setting.

    Raises:
        InputError: there is none; the message offers the nearest ones.
    """
    known = [column.name for column in fields(RunSettings)]
    if name not in known:
        raise InputError(f"there is no setting {name}; {suggest(name, known)}")
    return name


def make_settings(named: Mapping[str, Any]) -> RunSettings:
    """The settings that some keywords stand for.

    Raises:
        InputError: a name that is no setting, or a value of another type than the setting has.
    """
    return RunSettings(**{name: _fit(check_name(name), value) for name, value in named.items()})


def _fit(name: str, value: Any) -> Any:
    """A value in the type of its setting."""
    kind = _TYPES[name]
    if takes_several(name):
        several = tuple(value) if isinstance(value, list | tuple | range) else (value,)
        return tuple(_check(name, part, get_args(kind)[0]) for part in several)
    if kind in (Path, Path | None) and isinstance(value, str | Path):
        return Path(value)
    return _check(name, value, kind)


def _check(name: str, value: Any, kind: Any) -> Any:
    """The value, if it is one of those, or of the type, that the setting takes."""
    choices = list_choices(name)
    fits = value in choices if choices else isinstance(value, int | float if kind is float else kind)
    if not fits or (isinstance(value, bool) and kind in (int, float)):
        expected = " or ".join(map(str, choices)) or getattr(kind, "__name__", str(kind))
        raise InputError(f"{name}={value!r:.80}: expected {expected}")
    return value
