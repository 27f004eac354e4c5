"""Run folders -> tidy pandas frames, checked at the border."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from hashlib import file_digest
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from pandas.api.types import is_numeric_dtype

from probing.catalogue.controls import DIFFERENCES
from probing.catalogue.measures import QUANTITIES
from probing.records import InputError
from probing.sealed_json import DamageError, unseal_json
from probing.tables import (
    AmnesicScore,
    GradientNorm,
    LayerSimilarity,
    LayerWeight,
    PredictionRow,
    Score,
    SentenceRow,
    column_names,
)

Loaded = TypeVar("Loaded")

_KINDS = {"scores.parquet": "probing", "trained_models.parquet": "training", "training_log.parquet": "training"}
"""Kinds of runs by the tables that are theirs alone."""
_IF_MEASURED = {"gradients": ("gradient_norms", GradientNorm), "similarities": ("layer_similarity", LayerSimilarity)}
_IF_MEASURED |= {"amnesia": ("amnesia", AmnesicScore)}
"""Table of `Run` -> the stem of its file, which is there where it was measured, and the record of its rows."""
_AGAIN = "start the run again"
_PREDICTION_KEY = ["task", "representation", "layer", "control", "seed", "row"]
_KINDS_OF_MEMBERS: Mapping[str, Mapping[str, tuple[type, type]]] = {
    "manifest.json": {
        **dict.fromkeys(("tasks", "stages"), (dict, dict)),
        **dict.fromkeys(("encoder", "versions", "machine", "code", "kernels", "check"), (dict, object)),
        **dict.fromkeys(("warnings",), (list, str)),
        **dict.fromkeys(("failures", "machines"), (list, dict)),
    },
    "settings.json": dict.fromkeys(("controls", "measures", "metrics"), (list, str)),
}
"""File -> member -> what it is and what it holds, where it is there: tables and pages rely on it."""
_SCORE_KEY = ["model", "checkpoint", "task", "representation", "layer", "pooling", "probe", "protocol"]
_SCORE_KEY += ["control", "seed", "split", "metric", "erased"]


@dataclass(frozen=True)
class Run:
    """Tables that one run left in its folder."""

    folder: Path
    scores: pd.DataFrame
    """Columns are the fields of `probing.tables.Score`; values in the metric's own range, not times 100."""
    weights: pd.DataFrame
    """Columns are the fields of `probing.tables.LayerWeight`; no rows where the model has no mix."""
    predictions: pd.DataFrame
    """Columns are the fields of `probing.tables.PredictionRow`."""
    settings: Mapping[str, Any]
    manifest: Mapping[str, Any]
    gradients: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=column_names(GradientNorm)))
    """Columns are the fields of `probing.tables.GradientNorm`; no rows where none were measured."""
    amnesia: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=column_names(AmnesicScore)))
    """Columns are the fields of `probing.tables.AmnesicScore`; no rows where nothing was erased inside the encoder."""
    similarities: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=column_names(LayerSimilarity)))
    """Columns are the fields of `probing.tables.LayerSimilarity`; no rows where none were measured."""
    sentences: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=column_names(SentenceRow)))
    """Columns are the fields of `probing.tables.SentenceRow`; no rows where an older version wrote the run."""

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.folder.resolve().name


def load_run(folder: Path | str) -> Run:
    """Read one run folder.

    Raises:
        InputError: the folder is missing, empty or half-written, or a file in it is not what its name says.
    """
    folder = Path(folder)
    check_folder(folder)
    splits = folder / "splits.parquet"
    if splits.name in _read_digests(splits):
        _check_file(splits)
        _check_whole(splits)
    optional = {name: (stem, types_of(record)) for name, (stem, record) in _IF_MEASURED.items()}
    optional |= {"sentences": ("test_sentences", types_of(SentenceRow))}
    paths = {name: folder / f"{stem}.parquet" for name, (stem, _) in optional.items()}
    known = [name for name, path in paths.items() if path.is_file() or path.name in _read_digests(path)]
    return Run(
        folder,
        scores=_read_scores(folder / "scores.parquet"),
        weights=read_table(folder / "layer_weights.parquet", types_of(LayerWeight)),
        predictions=_read_predictions(folder / "predictions.parquet"),
        settings=read_json(folder / "settings.json"),
        manifest=read_json(folder / "manifest.json"),
        **{name: read_table(paths[name], optional[name][1]) for name in known},
    )


def load_runs(folders: Iterable[Path | str]) -> list[Run]:
    """Read several run folders, in the given order.

    Raises:
        InputError: as `load_run`, or no folder was given.
    """
    return load_each(load_run, folders, "run folder")


def load_each(load: Callable[[Path | str], Loaded], folders: Iterable[Path | str], what: str) -> list[Loaded]:
    """Load what a function reads from each of some folders, at least one; `what` says of what kind they are."""
    loaded = [load(folder) for folder in folders]
    if not loaded:
        raise InputError(f"expected at least one {what}, got none")
    return loaded


def check_different(first: Path, second: Path) -> None:
    """Refuse a run held against itself: nothing would be found, and a gate would be passed.

    Raises:
        InputError: both are one folder.
    """
    if first.resolve() == second.resolve():
        raise InputError(f"{first} and {second}: one run folder, which is equal to itself; expected two")


def name_runs(folders: Sequence[Path]) -> list[str]:
    """The names of several run folders: their own, or their paths where two have the same."""
    names = [folder.resolve().name for folder in folders]
    return names if len(set(names)) == len(names) else [str(folder) for folder in folders]


def stack_frames(folders: Sequence[Path], frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The frames of several run folders in one, with the folder's name as first column `run`."""
    named = [frame.assign(run=name) for name, frame in zip(name_runs(folders), frames, strict=True)]
    whole = pd.concat([frame for frame in named if len(frame)] or named[:1], ignore_index=True)
    return whole[["run", *whole.columns.drop("run")]]


def check_folder(folder: Path, script: str = "run_senteval.py", table: str = "scores.parquet") -> None:
    """Refuse a folder that is missing or empty, naming the script that would have filled it and its first table."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected a run folder, such as {script} writes")
    if not any(folder.iterdir()):
        raise InputError(f"{folder}: the folder is empty; expected {table}, manifest.json and their neighbours")


def _read_scores(path: Path) -> pd.DataFrame:
    scores = read_table(path, types_of(Score), {"erased": ""})
    if scores.empty:
        raise InputError(f"{path}: holds no scores; see the failures in {path.with_name('manifest.json')}")
    # Older files have an accuracy there.
    scores["majority"] = scores["majority"].where(~scores["metric"].isin([*QUANTITIES, *DIFFERENCES]))
    repeated = scores.loc[scores.duplicated(_SCORE_KEY)]
    if len(repeated):
        first = repeated.iloc[0]
        raise InputError(f"{path}: {len(repeated)} score(s) twice, the first {first.task}, {first.layer_name}")
    return scores


def _read_predictions(path: Path) -> pd.DataFrame:
    predictions = read_table(path, types_of(PredictionRow))
    n_repeated = int(predictions.duplicated(_PREDICTION_KEY).sum())
    if n_repeated:
        raise InputError(f"{path}: {n_repeated} predictions twice, which would count as more sentences; {_AGAIN}")
    return predictions


def read_table(
    path: Path, types: Mapping[str, object], defaults: Mapping[str, str | float] | None = None
) -> pd.DataFrame:
    """The parquet table of a run, with at least the columns of `types`; those of `defaults` need not be in the file.

    Raises:
        InputError: the file is missing or no such table.
    """
    _check_file(path)
    _check_whole(path)
    try:
        table = pd.read_parquet(path)
    # What pandas and pyarrow make of a damaged table that no manifest tells of.
    except (OSError, ValueError, KeyError, TypeError, AttributeError, NotImplementedError) as error:
        raise InputError(f"{path}: not a parquet table ({_first_line(error)})") from None
    table = table.assign(**{name: value for name, value in (defaults or {}).items() if name not in table.columns})
    missing = [name for name in types if name not in table.columns]
    if missing:
        raise InputError(f"{path}: expected the columns {', '.join(missing)}, which are missing")
    for name, kind in types.items():
        if kind in (int, float) and len(table) and not is_numeric_dtype(table[name]):
            raise InputError(f"{path}: column {name} should hold numbers, got {table[name].dtype}")
    return table


def read_json(path: Path) -> Mapping[str, Any]:
    """The JSON object of a run, such as its settings.

    Raises:
        InputError: the file is missing, no JSON object, or its checksum does not fit; older files have none.
    """
    _check_file(path)
    try:
        content = unseal_json(path.read_bytes())
    except DamageError:
        again = "start the run again with --overwrite" if path.name == "settings.json" else _AGAIN
        raise InputError(
            f"{path}: damaged, or changed since it was written: its checksum does not fit; {again}"
        ) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({_first_line(error)})") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a JSON object, got {type(content).__name__}")
    for name, (outer, inner) in _KINDS_OF_MEMBERS.get(path.name, {}).items():
        value = content.get(name, outer())
        held = value.values() if isinstance(value, dict) else value
        if not isinstance(value, outer) or not all(isinstance(one, inner) for one in held):
            raise InputError(f"{path}: {name} is {value!r:.80}, which no version wrote there; {_AGAIN}")
    return content


def _check_file(path: Path) -> None:
    if path.is_file():
        return
    wanted = _KINDS.get(path.name)
    found = {kind for name, kind in _KINDS.items() if (path.parent / name).is_file()}
    if wanted and found and wanted not in found:
        raise InputError(f"{path.parent}: a {found.pop()} run; expected a {wanted} run")
    if (path.parent / "encoders").is_dir():
        raise InputError(
            f"{path.parent}: holds several encoders; expected the folder of one, in {path.parent}/encoders"
        )
    if not (path.parent / "settings.json").is_file():
        others = "" if path.name == "settings.json" else ", and so is settings.json"
        raise InputError(f"{path.parent}: no run folder; {path.name} is missing{others}")
    raise InputError(f"{path.parent}: {path.name} is missing; the run did not finish: start it again to resume it")


def _check_whole(path: Path) -> None:
    """Refuse a table that is not the one whose digest the manifest beside it has; older manifests have none."""
    known = _read_digests(path).get(path.name)
    if known is None:
        return
    with path.open("rb") as file:
        found = file_digest(file, "sha256").hexdigest()
    if found != known:
        raise InputError(
            f"{path}: damaged, or changed since it was written: its digest is not the one in manifest.json; "
            "start the run again to write both anew"
        )


def _read_digests(table: Path) -> Mapping[str, str]:
    """The digests of a run's tables, by the names of their files, as the manifest beside a table has them."""
    manifest = table.with_name("manifest.json")
    digests = read_json(manifest).get("files", {}) if manifest.is_file() else {}
    return digests if isinstance(digests, dict) else {}


def types_of(record: type) -> dict[str, object]:
    """The columns of a table of such records and their types, for `read_table`."""
    return {column.name: column.type for column in fields(record)}


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
