"""The story of a training run: what a recipe plans is made, one model after the other, and written into tables."""

import re
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from transformers import PreTrainedModel

from probing.atomic_files import to_csv, write_atomically
from probing.command_line.arguments import expand_paths
from probing.contracts.recipe import Recipe
from probing.digests import digest_json
from probing.encoders.blocks import find_backbone, find_blocks
from probing.encoders.checkpoint_check import check_encoder
from probing.encoders.checkpoints import Checkpoint, find_checkpoint, load_model, load_tokenizer
from probing.encoders.classifiers import check_trainable
from probing.encoders.transformer import TransformerEncoder, choose_limit, compute_digest, name_layers
from probing.progress import Reporter
from probing.records import InputError
from probing.registry import CLASSIFIERS, RECIPES
from probing.settings.checks import check_ranges, check_seeds
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
from probing.training.plan import Origin, Source

RESULTS = Path("data/results")
"""Folder of run folders by default."""


@dataclass(frozen=True)
class Outcome:
    """Places of a training run's models."""

    folder: Path
    n_models: int


def train(settings: RecipeSettings, reporter: Reporter) -> Outcome:
    """Train the models that a recipe plans, and leave a run folder.

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
    planned = recipe.plan(settings, origin, reporter)
    accelerator = make_accelerator(settings)
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
        finished = make_models(bench, planned.models)
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
    recipe.check(settings)
    check_seeds(settings.seeds)
    check_training_device(settings.device)
    check_trackers(settings.trackers)
    return recipe


def find_origin(settings: RecipeSettings, warn: Callable[[str], None] = lambda line: None) -> Origin:
    """The encoder that the settings name.

    Args:
        settings: of the run.
        warn: called with each warning about it.

    Raises:
        InputError: a checkpoint that cannot be used, or layers that it does not have.
    """
    checkpoint = find_checkpoint(settings.checkpoint)
    tokenizer, model = load_tokenizer(checkpoint), load_model(checkpoint)
    encoder = find_backbone(model)
    n_blocks = len(find_blocks(encoder)) - 1
    if settings.freeze_up_to > n_blocks:
        raise InputError(f"--freeze-up-to {settings.freeze_up_to}: the encoder has blocks 1 to {n_blocks}")
    origin = Origin(
        checkpoint,
        compute_digest(model, tokenizer),
        tokenizer,
        encoder.config,
        choose_limit(settings.max_length, encoder, tokenizer),
        name_layers(encoder),
    )
    check_reader_of_first_token(encoder, checkpoint, warn)
    return origin


def check_reader_of_first_token(model: PreTrainedModel, checkpoint: Checkpoint, warn: Callable[[str], None]) -> None:
    """Refuse an encoder that no head on its first token can be trained on; `model` is used up by it.

    Raises:
        InputError: it cannot be believed, is a part of another model, or reads from left to right.
    """
    check_trainable(model, checkpoint)
    found = check_encoder(TransformerEncoder(model, checkpoint, dtype="float32", device="cpu", backend="torch"))
    if found.facts["reads"] == "left to right":
        raise InputError(
            f"checkpoint {checkpoint.name}: {type(model).__name__} reads from left to right, so that its first token, "
            "which classifiers read here, knows nothing of the sentence; use an encoder"
        )
    if found.facts["batching"] != "padded":
        warn(
            f"states of {type(model).__name__} depend on the other sentences of a batch, in training too: by "
            f"{found.facts['padded_difference']:.2g} of their length on the sentences of the check"
        )


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
