"""Folders of several encoders that are draws of one procedure: a probing run of each, checked to be alike."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.runs.probing_run import Run, check_folder, load_run, read_json
from analysis.stats.between_runs import check_same_data
from probing.records import InputError

ENCODERS = "encoders"
"""Folder of the encoders' runs, and key of their list in the manifest."""


@dataclass(frozen=True)
class Draws:
    """Runs of encoders that one procedure has made."""

    folder: Path
    runs: Mapping[str, Run]
    """By the encoder's short name, two or more."""
    settings: Mapping[str, Any]
    manifest: Mapping[str, Any]

    @property
    def names(self) -> list[str]:
        """The encoders' short names."""
        return list(self.runs)


def is_draws(folder: Path | str) -> bool:
    """True for a folder of several encoders rather than of one."""
    return (Path(folder) / ENCODERS).is_dir()


def load_draws(folder: Path | str) -> Draws:
    """Read the folder of several encoders.

    Raises:
        InputError: a run is missing or damaged, or they are over different data.
    """
    folder = Path(folder)
    check_folder(folder)
    manifest = read_json(folder / "manifest.json")
    listed = [str(one["name"]) for one in manifest.get(ENCODERS, [])]
    if len(listed) < 2:
        raise InputError(f"{folder}: expected the runs of two or more encoders, got {len(listed)}")
    runs = {name: load_run(folder / ENCODERS / name) for name in listed}
    first, *others = runs.values()
    for other in others:
        check_same_data(first, other)
    return Draws(folder, runs, read_json(folder / "settings.json"), manifest)
