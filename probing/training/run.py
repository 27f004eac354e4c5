"""The story of a training run: what a recipe plans is made, one model after the other, and written into tables."""

import re
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from probing.atomic_files import to_csv, write_atomically
from probing.command_line.arguments import expand_paths
from probing.contracts.recipe import Recipe
from probing.digests import digest_json
from probing.progress import Reporter
from probing.records import InputError
from probing.registry import CLASSIFIERS, RECIPES
from probing.settings.checks import ENGINE_RANGES, check_engine, check_ranges, check_seeds
from probing.settings.engine import use_engine
from probing.settings.idle import OF_TRAINING, list_idle
from probing.settings.training import RecipeSettings, effective_settings
from probing.store.environment import describe_environment
from probing.store.folder_lock import check_free, hold_folder
from probing.store.run_folder import RunFolder, check_folder
from probing.tables import TrainedModel, TrainingRow, column_names
from probing.trackers import check_trackers
from probing.training.accelerator import check_training_device, make_accelerator
from probing.training.artifacts import Finished
from probing.training.bench import Bench
from probing.training.chain import make_baseline, make_models
from probing.training.origins import find_origin
from probing.training.plan import Source
from probing.training.units import make_models_by
from probing.work import Engine

RESULTS = Path("data/results")
"""Folder of run folders by default."""


@dataclass(frozen=True)
class Outcome:
    """Places of a training run's models."""

    folder: Path
    n_models: int


def train(settings: RecipeSettings, reporter: Reporter, engine: Engine | None = None) -> Outcome:
    """Train the models that a recipe plans, and leave a run folder.

    Args:
        settings: of the run.
        reporter: who tells how far it is.
        engine: that makes the models, and works on; none given: one is started by the settings, and ended.

    Raises:
        InputError: settings or data that cannot be used, before anything is written; or a run folder in use.
    """
    settings = expand_paths(settings)
    recipe = check_training(settings)
    if settings.output is not None:
        check_free(settings.output)
        check_folder(settings.output, effective_settings(settings), {}, overwrite=settings.overwrite)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    origin = (recipe.origin or find_origin)(settings, reporter.warn)
    for line in list_idle(settings, (*OF_TRAINING, *recipe.needs)):
        reporter.warn(line)
    planned = recipe.plan(settings, origin, reporter)
    accelerator = make_accelerator(settings)
    if settings.engine != "local" and accelerator.num_processes > 1:
        raise InputError(f"--engine {settings.engine}: each model has a worker; start it without `accelerate launch`")
    path = name_folder(settings, planned.source)
    # One of several processes holds the folder for all of them.
    main = accelerator.is_main_process
    with hold_folder(path) if main else nullcontext():
        if not main:
            accelerator.wait_for_everyone()
        folder = RunFolder(path, effective_settings(settings), overwrite=settings.overwrite and main)
        if main:
            accelerator.wait_for_everyone()
        folder.write_splits(planned.source.tasks)
        bench = Bench(settings, origin, planned.source, accelerator, path, reporter)
        with use_engine(settings, engine) as used:
            alone = used.workers == 1
            finished = make_models(bench, planned.models) if alone else make_models_by(used, bench, planned.models)
        write_tables(path, finished)
        if planned.baselines:
            write_baselines(path, [make_baseline(bench, baseline) for baseline in planned.baselines])
        outcome: dict[str, Any] = {"stages": reporter.stages, "warnings": reporter.warnings}
        outcome["finished"] = datetime.now(UTC).isoformat(timespec="seconds")
        folder.write_manifest(describe_environment() | bench.facts() | outcome)
    return Outcome(path, sum(not one.serves for one in planned.models))


def check_training(settings: RecipeSettings) -> Recipe:
    """Refuse early what would fail late; the recipe.

    Raises:
        InputError: naming the flag, and what it expects.
    """
    recipe = RECIPES.load(settings.recipe)
    if recipe.origin is None:
        CLASSIFIERS.check(settings.model)
    check_ranges(settings, recipe.ranges)
    check_ranges(settings, ENGINE_RANGES)
    check_engine(settings)
    recipe.check(settings)
    check_seeds(settings.seeds)
    check_training_device(settings.device)
    check_trackers(settings.trackers)
    return recipe


def name_folder(settings: RecipeSettings, source: Source) -> Path:
    """The run folder: the one asked for, or one named after the settings."""
    if settings.output is not None:
        return settings.output
    parts = (settings.recipe, settings.model, Path(settings.checkpoint).name, source.name)
    slug = "-".join(re.sub(r"[^\w.@-]+", "_", part) for part in parts)
    return RESULTS / f"{slug}-{digest_json([effective_settings(settings), source.digest])[:8]}"


def write_tables(folder: Path, stages: Sequence[Finished]) -> None:
    """Write the log and the scores of all stages of all models."""
    models = pd.DataFrame([asdict(row) for one in stages for row in one.models], columns=column_names(TrainedModel))
    log = pd.DataFrame([asdict(row) for one in stages for row in one.log], columns=column_names(TrainingRow))
    for name, frame in (("trained_models", models), ("training_log", log)):
        write_atomically(folder / f"{name}.parquet", frame.to_parquet(index=False))
    write_atomically(folder / "trained_models.csv", to_csv(models))


def write_baselines(folder: Path, baselines: Sequence[Finished]) -> None:
    """Write the scores of all baselines."""
    rows = pd.DataFrame([asdict(row) for one in baselines for row in one.models], columns=column_names(TrainedModel))
    write_atomically(folder / "baselines.parquet", rows.to_parquet(index=False))
    write_atomically(folder / "baselines.csv", to_csv(rows))
