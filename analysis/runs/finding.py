"""Runs that a notebook opens: those named in the environment, else one's own, the newest first, else stored ones."""

import os
import shlex
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

from analysis.runs.probing_run import read_json
from analysis.runs.training_run import BASELINES, MODELS, is_training
from probing.records import InputError

ONE, SEVERAL = "PROBING_RUN", "PROBING_RUNS"
"""Environment variables: the path of one run folder; the paths of several, as a shell splits words."""

RESULTS = Path("data/results")
"""Folder of runs of one's own, with folders of runs in it."""

MOST = 12
"""Own runs opened, from the newest on."""

_PROBING = ("scores.parquet", "layer_weights.parquet", "predictions.parquet", "settings.json", "manifest.json")
_TRAINING = (MODELS, "settings.json", "manifest.json")


def find_runs(*stored: str, least: int = 1, training: bool = False, recipe: str = "") -> list[Path]:
    """Folders of whole runs, never fewer than `least`.

    A relative path is looked for where Jupyter was started, then in the notebook's folder and those above it.

    Args:
        stored: what to open where there are too few named ones and too few of one's own, as paths from the root of the
            project.
        least: runs that the notebook needs.
        training: whether training runs are wanted rather than probing runs; named ones of the other kind do not count.
        recipe: of the training runs that are wanted; empty: any.

    Raises:
        InputError: a named folder, or a stored one that is needed, is nowhere; or both variables are set.
    """
    named = [folder for folder in _named() if is_training(folder) == training and _is_of(folder, recipe)]
    if len(named) >= least:
        return named
    own = [folder for folder in _own(training) if _is_of(folder, recipe)]
    return own if len(own) >= least else [_locate(path) for path in stored]


def find_beside_baselines(stored: str) -> Path:
    """The folder of a training run that was held against baselines: a named one, the newest of one's own, or `stored`.

    Raises:
        InputError: as `find_runs`.
    """
    found = [folder for folder in (*_named(), *_own(training=True)) if (folder / BASELINES).is_file()]
    return found[0] if found else _locate(stored)


def find_pair(bert: str, bermo: str) -> list[Path]:
    """Folders of two training runs, BERT's first.

    They are the first two named ones, else the newest of one's own that differ in the model alone.

    Args:
        bert: what to open where there is no such pair, as a path from the root of the project.
        bermo: likewise.

    Raises:
        InputError: as `find_runs`.
    """
    named = [folder for folder in _named() if is_training(folder)]
    if len(named) > 1:
        return named[:2]
    settings = {folder: dict(read_json(folder / "settings.json")) for folder in _own(training=True)}
    for one, other in permutations(settings, 2):
        models = (settings[one].get("model"), settings[other].get("model"))
        alike = settings[one] | {"model": ""} == settings[other] | {"model": ""}
        if models == ("bert", "bermo") and alike and settings[one].get("recipe") != "prune":
            return [one, other]
    return [_locate(bert), _locate(bermo)]


def _is_of(folder: Path, recipe: str) -> bool:
    return not recipe or read_json(folder / "settings.json").get("recipe") == recipe


def _named() -> list[Path]:
    one, several = os.environ.get(ONE, ""), os.environ.get(SEVERAL, "")
    if one and several:
        raise InputError(f"expected one of {ONE} and {SEVERAL}, got both: unset one of them")
    return [_locate(path) for path in ([one] if one else shlex.split(several))]


def _own(training: bool) -> list[Path]:
    """Own runs that are whole, the newest first."""
    files = _TRAINING if training else _PROBING
    folders = [found.parent for place in _places() for found in (place / RESULTS).glob(f"**/{files[0]}")]
    whole = {folder for folder in folders if all((folder / name).is_file() for name in files)}
    return sorted(whole, key=lambda folder: (folder / "manifest.json").stat().st_mtime, reverse=True)[:MOST]


def _locate(path: str) -> Path:
    looked = [place / Path(path).expanduser() for place in _places()]
    for folder in looked:
        if folder.is_dir():
            return folder
    raise InputError(f"{path}: no such run folder; looked for {', '.join(map(str, dict.fromkeys(looked)))}")


def _places() -> Iterator[Path]:
    """Folders to look in: where Jupyter was started, as the shell says; where the kernel runs; the folders above."""
    here = Path.cwd()
    started = os.environ.get("PWD", "")
    return iter(dict.fromkeys([Path(started) if started else here, here, *here.parents]))
