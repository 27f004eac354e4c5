"""A sweep: the runs that a file of settings stands for, in which a list of values makes one run for each."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from probing.command_line.config_files import load_mapping
from probing.records import InputError
from probing.settings.named import check_name, list_choices, make_settings, takes_several
from probing.settings.queue import QueueSettings
from probing.settings.run import RunSettings

ONE_FOR_ALL = (
    *("engine", "engine_address", "workers", "worker_threads", "worker_gpus", "retries"),
    *("unit_timeout", "mixed_hardware"),
    *("output", "cache_dir", "cache_limit", "scratch", "threads", "quiet", "overwrite", "report", "trackers"),
    *(*QueueSettings.OF_QUEUE, "part"),
)
"""Settings that all runs of a sweep have in common."""
_LONGEST_NAME = 100


@dataclass(frozen=True)
class SweptRun:
    """One run of a sweep."""

    name: str
    """Name of its folder within the sweep's, made of what it has for itself."""
    varied: Mapping[str, Any]
    """Values of the settings in which runs differ."""
    settings: RunSettings


def read_sweep(path: Path, folder: Path, **overriding: Any) -> list[SweptRun]:
    """The runs of a sweep, in the order of the file: of two lists, the second changes faster.

    A list is one value of a setting that takes several, such as `tasks` and `seeds`: there, a list of lists makes runs.

    Args:
        path: YAML or JSON, names of settings to values.
        folder: of the sweep, where neither the file nor the command line names one.
        overriding: settings that the command line gives to all runs.

    Raises:
        InputError: the file cannot be read, names what is no setting, gives a value that a setting cannot have, or
            stands for no run.
    """
    try:
        named = {check_name(str(key).replace("-", "_")): value for key, value in load_mapping(path, "").items()}
        named = {name: value for name, value in named.items() if value is not None} | overriding
        choices = {name: list_values(name, value) for name, value in named.items()}
        chosen = [dict(zip(choices, values, strict=True)) for values in product(*choices.values())]
        made = [make_settings(one) for one in chosen]
    except InputError as error:
        line = str(error)
        raise InputError(line if line.startswith(str(path)) else f"{path}: {line}") from None
    varied = [{name: value for name, value in one.items() if len(choices[name]) > 1} for one in chosen]
    names = name_runs(varied)
    return [
        SweptRun(name, values, replace(settings, output=(settings.output or folder) / name))
        for name, values, settings in zip(names, varied, made, strict=True)
    ]


def list_values(name: str, value: Any) -> Sequence[Any]:
    """The values of a setting, one for each run that it makes."""
    several = isinstance(value, list) and (all(isinstance(one, list) for one in value) or not takes_several(name))
    values = [_read_switch(name, one) for one in (value if several else [value])]
    if takes_several(name) and value == []:
        values = [value]
    if not values:
        raise InputError(f"{name}: [] makes no run; expected one value or more")
    if any(values.count(one) > 1 for one in values):
        raise InputError(f"{name}: {value} has a value twice; name each once")
    if len(values) > 1 and name in ONE_FOR_ALL:
        raise InputError(f"{name}: got {len(values)} values; expected one, which all runs of a sweep have in common")
    return values


def name_runs(varied: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of the runs' folders; those that would be alike bear a number, as `a/b` and `c/b`, which are both `b`."""
    words = ["-".join(_write(name, value) for name, value in values.items()) for values in varied]
    names = [re.sub(r"[^\w.@+-]+", "_", word)[:_LONGEST_NAME].strip("_.") or "run" for word in words]
    return [
        f"{name}-{names[:place].count(name) + 1}" if names.count(name) > 1 else name for place, name in enumerate(names)
    ]


def _read_switch(name: str, value: Any) -> Any:
    """A value, where YAML takes `on` and `off` for truth values and the setting does not."""
    word = {True: "on", False: "off"}.get(value, "") if isinstance(value, bool) else ""
    return word if word in list_choices(name) else value


def _write(name: str, value: Any) -> str:
    """A value as a part of a run's name: a word says by itself what it is of, a number or a switch does not."""
    if isinstance(value, bool):
        return name if value else f"no_{name}"
    if isinstance(value, list):
        return "+".join(_write(name, one) for one in value) or f"no_{name}"
    return Path(value).name if isinstance(value, str) else f"{name}_{value}"
