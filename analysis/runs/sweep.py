"""The folder of a sweep -> its finished runs, each with what it has for itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.runs.probing_run import Run, load_run, read_json
from probing.records import InputError

NAME = "sweep.json"
"""File that lists the runs of a sweep."""


@dataclass(frozen=True)
class SweptRun:
    """A finished run of a sweep."""

    name: str
    varied: Mapping[str, str]
    """Values of the settings in which the runs differ, in words."""
    run: Run


@dataclass(frozen=True)
class Sweep:
    """The finished runs of a sweep."""

    folder: Path
    runs: Sequence[SweptRun]
    missing: Sequence[str]
    """Names of the runs that are not finished."""

    @property
    def varied(self) -> list[str]:
        """Names of the settings in which the runs differ."""
        return list(dict.fromkeys(name for run in self.runs for name in run.varied))


def is_sweep(folder: Path) -> bool:
    """True where a folder is that of a sweep."""
    return (folder / NAME).is_file()


def load_sweep(folder: Path) -> Sweep:
    """Read the runs of a sweep.

    Raises:
        InputError: the folder holds no sweep, or none of its runs is finished.
    """
    if not is_sweep(folder):
        raise InputError(f"{folder}: no {NAME}; expected the folder of a sweep")
    listed: Sequence[Mapping[str, Any]] = read_json(folder / NAME)["runs"]
    whole = [one for one in listed if (folder / one["name"] / "manifest.json").is_file()]
    if not whole:
        raise InputError(f"{folder}: none of {len(listed)} runs is finished; give the command of the sweep again")
    runs = [
        SweptRun(
            one["name"],
            {name: write_value(value) for name, value in one["varied"].items()},
            load_run(folder / one["name"]),
        )
        for one in whole
    ]
    names = {run.name for run in runs}
    return Sweep(folder, runs, [one["name"] for one in listed if one["name"] not in names])


def write_value(value: Any) -> str:
    """A value of a setting in words."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return " ".join(map(write_value, value)) if isinstance(value, list) else str(value)
