"""Answers of the models of a training run, example by example, where the recipe keeps them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.runs.probing_run import read_table
from analysis.runs.training_run import TrainingRun

TEACHER = "teacher"
"""Name of the model that the others of a run learn from, which tables of models leave out."""
_PLACES: dict[str, object] = {"split": str, "row": int}
_CLASSES: dict[str, object] = {"label": int, "predicted": int}
_LOSSES: dict[str, object] = {"loss": float}
_NAMED = ("arm", "budget", "bits", "in_few_bits", "few_bits")
"""Facts of a model that its name is made of."""


@dataclass(frozen=True)
class Arm:
    """The models of one arm with all seeds."""

    facts: Mapping[str, Any]
    """Such as the arm's name, its bits or its budget."""
    answers: pd.DataFrame
    """Columns `seed split row`, and `label predicted` or `loss`."""

    @property
    def name(self) -> str:
        """The arm's name."""
        return str(self.facts["arm"])


def load_arms(run: TrainingRun) -> list[Arm]:
    """Read the answers of all arms, and of a teacher beside them; an arm some of whose models kept none is left out.

    Raises:
        InputError: a file is not what its name says.
    """
    models = run.models.drop_duplicates(["variant", "seed"])
    found = []
    for variant, own in models.groupby("variant", sort=False):
        facts = json.loads(str(variant))
        paths = [_find_answers(run.folder, facts, row) for row in own.to_dict("records")] if "arm" in facts else []
        if paths and all(path is not None for path in paths):
            frames = [_read(path).assign(seed=seed) for path, seed in zip(paths, own["seed"], strict=True) if path]
            found.append(Arm(facts, pd.concat(frames, ignore_index=True)))
    path = run.folder / "answers" / f"{TEACHER}.parquet"
    return [*found, *([Arm({"arm": TEACHER}, _read(path).assign(seed=0))] if path.is_file() else [])]


def _find_answers(folder: Path, facts: Mapping[str, Any], model: Mapping[Any, Any]) -> Path | None:
    """The file of a model, which of several stages is named after the last one too."""
    parts = [str(facts[name]) for name in _NAMED if name in facts]
    name = "-".join([*parts, "seed", str(model["seed"])])
    files = [f"{name}{end}.parquet" for end in ("", f".{model['stage']}")]
    return next((path for path in (folder / "answers" / file for file in files) if path.is_file()), None)


def _read(path: Path) -> pd.DataFrame:
    columns = read_table(path, _PLACES).columns
    expected = _PLACES | (_LOSSES if "loss" in columns else _CLASSES)
    return read_table(path, expected)[list(expected)]
