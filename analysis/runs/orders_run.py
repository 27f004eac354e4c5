"""Orders of sub-layers beside one another: the training run that made them, and a probing run of each."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.runs.probing_run import Run, load_run
from analysis.runs.training_run import TrainingRun, load_training
from analysis.stats.between_runs import check_same_data
from probing.records import InputError


@dataclass(frozen=True)
class ProbedOrder:
    """One trained stack and the probes on its sub-layers."""

    name: str
    """Order and, where the training has several, seed."""
    pattern: str
    """Codes of its sub-layers."""
    rows: pd.DataFrame
    """Rows of the table of trained models that are of it: a row for each split and metric."""
    run: Run
    """Probes on it."""


def load_orders(training: Path, probed: Sequence[Path]) -> list[ProbedOrder]:
    """The stacks of a training run that were probed, in the order in which they were trained.

    Raises:
        InputError: a folder that cannot be read; a probing run of another encoder, or two of one; runs over different
            data; or nothing to show.
    """
    trained, found = load_training(training), {}
    for folder in probed:
        run = load_run(folder)
        place = _find_model(trained, run)
        if place in found:
            raise InputError(f"{folder} and {found[place].folder} probe one model, {place}; name one of them")
        found[place] = run
    if not found:
        raise InputError(f"{training}: expected the probing runs of its models too, got none")
    runs = list(found.values())
    for other in runs[1:]:
        check_same_data(runs[0], other)
    models = trained.models.drop_duplicates("folder")
    several = models["seed"].nunique() > 1
    return [
        _describe(trained, row, found[row["folder"]], several)
        for row in models.to_dict("records")
        if row["folder"] in found
    ]


def _find_model(trained: TrainingRun, run: Run) -> str:
    """Folder, within the training run, of the model that a probing run reads."""
    checkpoint = Path(str(run.manifest.get("encoder", {}).get("checkpoint", "")))
    for name in trained.models["folder"].unique():
        if name and (trained.folder / name).resolve() == checkpoint.resolve():
            return str(name)
    raise InputError(
        f"{run.folder}: probes {checkpoint}, which is no kept model of {trained.folder}; "
        f"expected run_senteval.py --checkpoint {trained.folder}/models/NAME"
    )


def _describe(trained: TrainingRun, row: dict[Any, Any], run: Run, several: bool) -> ProbedOrder:
    facts = json.loads(row["variant"])
    if "pattern" not in facts:
        raise InputError(f"{trained.folder}: its models have no order; expected those of --layer-pattern")
    name = facts["order"] + (f" (seed {row['seed']})" if several else "")
    rows = trained.models[trained.models["folder"] == row["folder"]]
    return ProbedOrder(name.replace("_", " "), facts["pattern"], rows, run)
