"""The story of a training run: load the task, then train, score and keep one model after the other."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd
import torch

from probing.atomic_files import write_atomically
from probing.digests import digest_json
from probing.progress import Narrator
from probing.records import InputError, Task
from probing.registry import RECIPES
from probing.settings.training import TRAINING_WITHOUT_EFFECT, TrainSettings
from probing.store.run_folder import RunFolder
from probing.tables import TrainedModel, TrainingRow, column_names
from probing.tasks.sources import load_tasks
from probing.tasks.subset import limit_task
from probing.training.cells import TrainedCell
from probing.training.chain import Trainer
from probing.training.checks import check_training

RESULTS = Path("data/results")
"""Where run folders stand by default."""


@dataclass(frozen=True)
class Outcome:
    """Where a training run's models stand."""

    folder: Path
    n_models: int


def train(settings: TrainSettings, narrator: Narrator) -> Outcome:
    """Train the models that a recipe plans, and leave a run folder.

    Raises:
        InputError: settings or data that cannot be used; nothing has been written then.
    """
    check_training(settings)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    task = load_task(settings, narrator)
    planned = RECIPES.load(settings.recipe)(settings, task)
    trainer = Trainer(settings, task, narrator)
    folder = open_folder(settings, task)
    folder.write_splits([task])
    cells = [trainer.make(folder.path, plan) for plan in planned]
    write_tables(folder.path, cells)
    folder.write_manifest(trainer.describe() | {"stages": narrator.stages, "warnings": narrator.warnings})
    return Outcome(folder.path, len(cells))


def load_task(settings: TrainSettings, narrator: Narrator) -> Task:
    """The one task, its splits as large as the settings allow.

    Raises:
        InputError: the source has no such task, or the name stands for several.
    """
    tasks, _ = load_tasks(settings.data, (settings.task,), narrator=narrator)
    if len(tasks) > 1:
        raise InputError(f"--task {settings.task}: stands for {len(tasks)} tasks; name one")
    task = tasks[0]
    if task.folds:
        raise InputError(f"--task {settings.task}: has no fixed splits but {task.folds} folds; choose another task")
    limits = {"train": settings.limit, "dev": settings.limit_dev, "test": settings.limit_dev}
    splits = {
        name: limit_task(task, limit).splits[name] if limit else task.splits[name] for name, limit in limits.items()
    }
    return replace(task, splits=splits)


def open_folder(settings: TrainSettings, task: Task) -> RunFolder:
    """The run folder: the one asked for, or one named after the settings."""
    effective = {name: value for name, value in asdict(settings).items() if name not in TRAINING_WITHOUT_EFFECT}
    path = settings.output
    if path is None:
        parts = (settings.recipe, settings.model, Path(settings.checkpoint).name, task.name)
        slug = "-".join(re.sub(r"[^\w.@-]+", "_", part) for part in parts)
        path = RESULTS / f"{slug}-{digest_json([effective, task.digest])[:8]}"
    return RunFolder(path, effective, overwrite=settings.overwrite)


def write_tables(folder: Path, cells: Sequence[TrainedCell]) -> None:
    """Write the log and the scores of all models."""
    models = pd.DataFrame([asdict(row) for cell in cells for row in cell.models], columns=column_names(TrainedModel))
    log = pd.DataFrame([asdict(row) for cell in cells for row in cell.log], columns=column_names(TrainingRow))
    for name, frame in (("trained_models", models), ("training_log", log)):
        write_atomically(folder / f"{name}.parquet", frame.to_parquet(index=False))
    write_atomically(folder / "trained_models.csv", models.to_csv(index=False).encode())
