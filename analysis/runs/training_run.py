"""Folders of training runs -> tidy pandas frames, checked at the border."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.runs.probing_run import check_folder, load_each, name_runs, read_json, read_table, stack_frames, types_of
from probing.records import InputError
from probing.tables import TrainedModel, TrainingRow

LOG = "training_log.parquet"
MODELS = "trained_models.parquet"
BASELINES = "baselines.parquet"

AIM = ("method", "sparsity", "penalty")
"""Columns that tell the models of one seed apart: how weights were pruned, and how many were to be."""

_MODEL = ["model", "checkpoint", "task", *AIM, "variant", "seed", "stage"]
_LOG_KEY = [*_MODEL, "step", "quantity", "layer"]
_MODEL_KEY = [*_MODEL, "split", "metric"]
_ONE = ("recipe", "model", "checkpoint", "task")


@dataclass(frozen=True)
class TrainingRun:
    """Tables that training one model on one task left in its folder: a trained model per seed and way of pruning."""

    folder: Path
    log: pd.DataFrame
    """Of the last stage of each model; columns are the fields of `probing.records.TrainingRow`."""
    models: pd.DataFrame
    """Models in the state that their last stage left; columns are the fields of `probing.records.TrainedModel`, one row
    per split and metric."""
    settings: Mapping[str, Any]
    manifest: Mapping[str, Any]
    baselines: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Scores of answers that read no encoder, with the columns of `models`; no rows where there are none."""

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.folder.resolve().name

    @property
    def recipe(self) -> str:
        """Name of the recipe, such as `finetune` or `prune`."""
        return str(self.models["recipe"].iloc[0])

    @property
    def pruned(self) -> bool:
        """True where weights were pruned."""
        return bool((self.models["method"] != "").any())

    @property
    def model(self) -> str:
        """Name of the model whose head was trained, such as `bert` or `bermo`."""
        return str(self.models["model"].iloc[0])

    @property
    def task(self) -> str:
        """The key of the task."""
        return str(self.models["task"].iloc[0])

    @property
    def examples(self) -> str:
        """The word for what it was trained on: `triples` of a graph, else `sentences`."""
        return "triples" if "check" in self.manifest.get("tasks", {}).get(self.task, {}) else "sentences"

    @property
    def metric(self) -> str:
        """The metric that heads tables and figures: that of the first row."""
        return str(self.models["metric"].iloc[0])

    @property
    def scores(self) -> pd.DataFrame:
        """The rows of `models` of the metric that heads tables and figures."""
        return self.models[self.models["metric"] == self.metric]


def is_training(folder: Path | str) -> bool:
    """True where a folder is of a training run rather than of a probing run."""
    return any((Path(folder) / name).is_file() for name in (LOG, MODELS))


def load_training(folder: Path | str) -> TrainingRun:
    """Read the folder of one training run.

    Raises:
        InputError: the folder is missing, empty or half-written, or a file in it is not what its name says.
    """
    folder = Path(folder)
    check_folder(folder, "train_encoder.py", MODELS)
    return TrainingRun(
        folder,
        log=_read_once(folder / LOG, TrainingRow, _LOG_KEY),
        models=_read_models(folder / MODELS),
        settings=read_json(folder / "settings.json"),
        manifest=read_json(folder / "manifest.json"),
        baselines=_read_once(path, TrainedModel, _MODEL_KEY)
        if (path := folder / BASELINES).is_file()
        else pd.DataFrame(),
    )


def load_trainings(folders: Iterable[Path | str]) -> list[TrainingRun]:
    """Read the folders of several training runs, in the given order.

    Raises:
        InputError: as `load_training`, or no folder was given.
    """
    return load_each(load_training, folders, "folder of a training run")


def stack_logs(runs: Sequence[TrainingRun]) -> pd.DataFrame:
    """The logs of all runs in one frame, with the folder's name as first column `run`.

    The last column, `line`, names what is trained once per seed: the model, the method and aim of pruning, the order
    of its sub-layers, the arm.
    """
    logs = stack_frames([run.folder for run in runs], [run.log for run in runs])
    ways = " " + logs["method"].str.replace("_", " ") + " " + name_aims(logs)
    lines = _lines(logs, runs) + ways.where(logs["method"] != "", "")
    named = name_variants(logs)
    return logs.assign(line=lines.where(named == "", named.str.replace("_", " ")))


def stack_models(runs: Sequence[TrainingRun]) -> pd.DataFrame:
    """The scores of the trained models of all runs in one frame, with the folder's name as first column `run`.

    The last column, `line`, names the model.
    """
    models = stack_frames([run.folder for run in runs], [run.scores for run in runs])
    return models.assign(line=_lines(models, runs))


def name_variants(frame: pd.DataFrame) -> pd.Series:
    """The name that tells each row's model from others of its seed (order, arm, budget, bits); empty without one."""
    return frame["variant"].map({variant: _name_variant(json.loads(variant)) for variant in frame["variant"].unique()})


def _name_variant(facts: dict[str, Any]) -> str:
    name = " ".join(str(facts[fact]) for fact in ("order", "arm", "budget") if fact in facts)
    few = f", {facts['in_few_bits']} {facts['few_bits']}" if "few_bits" in facts else ""
    return f"{name} {facts['bits']} bits{few}" if "bits" in facts else name


def name_aims(frame: pd.DataFrame) -> pd.Series:
    """The aim of each row of a log or of trained models, where something was pruned: zeros in percent, or a penalty."""
    zeros = (100 * frame["sparsity"]).map("{:.4g} %".format)
    return zeros.where(frame["method"] != "soft_movement", "penalty " + frame["penalty"].map("{:g}".format))


def label_runs(runs: Sequence[TrainingRun]) -> list[str]:
    """Labels for runs beside each other: the model where that tells them apart, else the folder."""
    models = [run.model for run in runs]
    return models if len(set(models)) == len(models) else name_runs([run.folder for run in runs])


def _lines(frame: pd.DataFrame, runs: Sequence[TrainingRun]) -> pd.Series:
    return frame["run"].map(dict(zip(name_runs([run.folder for run in runs]), label_runs(runs), strict=True)))


def check_same_data(runs: Sequence[TrainingRun]) -> None:
    """Refuse training runs that were not trained and scored on the same sentences.

    Raises:
        InputError: another task, metric or number of sentences, or other data by the manifests' account.
    """
    first = runs[0]
    for run in runs[1:]:
        for name, one, other in _list_facts(first, run):
            if one != other:
                raise InputError(
                    f"{first.folder} and {run.folder} were trained on different data: {name} {one} and {other}; "
                    "compare runs over the same task and sentences"
                )


def _list_facts(first: TrainingRun, second: TrainingRun) -> list[tuple[str, Any, Any]]:
    """List what two runs over the same data must share, as a name and the two values."""
    facts = [("task", first.task, second.task), ("metric", first.metric, second.metric)]
    for split, own in first.scores.groupby("split", sort=False):
        rows = second.scores[second.scores["split"] == split]
        facts += [(f"{split} sentences", own["n"].max(), rows["n"].max())]
    facts += [("training sentences", first.models["n_train"].max(), second.models["n_train"].max())]
    noted = [dict(run.manifest.get("tasks", {}).get(run.task, {})) for run in (first, second)]
    both = [name for name in ("train", "dev", "test", "digest") if name in noted[0] and name in noted[1]]
    return facts + [(name, noted[0][name], noted[1][name]) for name in both]


def _read_models(path: Path) -> pd.DataFrame:
    models = _read_once(path, TrainedModel, _MODEL_KEY)
    for name in _ONE:
        if models[name].nunique() > 1:
            found = ", ".join(map(str, models[name].unique()))
            raise InputError(f"{path}: expected the models of one {name}, got {found}")
    return models


def _read_once(path: Path, record: type, key: list[str]) -> pd.DataFrame:
    """The rows of the last stage in a table that has rows, each but once; an older one may lack some columns."""
    defaults = {column.name: column.default for column in fields(record) if column.default is not MISSING}
    table = read_table(path, types_of(record), defaults)
    if table.empty:
        raise InputError(f"{path}: holds no rows; the run did not finish: start it again to resume it")
    repeated = table.loc[table.duplicated(key)]
    if len(repeated):
        first = repeated.iloc[0]
        described = ", ".join(
            f"{name} {first[name]}" for name in ("seed", "step", "quantity", "split") if name in table
        )
        raise InputError(f"{path}: {len(repeated)} row(s) twice, the first {described}")
    return table[table["stage"] == table["stage"].iloc[-1]].reset_index(drop=True)
