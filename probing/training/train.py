"""A stage that trains: a model is built, trained and scored, and left for the next stage and for whoever wants it."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from math import nan
from typing import Any

import pandas as pd
import torch
from accelerate.utils import broadcast_object_list

from probing.atomic_files import write_atomically
from probing.encoders.checkpoints import find_checkpoint
from probing.encoders.model_facts import name_layers
from probing.progress import peak_rss
from probing.randomness import derived_seed
from probing.settings.training import effective_settings
from probing.tables import TrainedModel, TrainingRow, column_names
from probing.trackers import EVENTS, track
from probing.training.artifacts import Finished, save_model
from probing.training.bench import Bench, Place
from probing.training.contracts import HasAnswers, SplitScore
from probing.training.loop import Job, Reporter, train_model
from probing.training.plan import Baseline, Start
from probing.training.state import Progress
from probing.training.throughput import share_of_peak

_ORIGIN = ("recipe", "model", "checkpoint", "task", "seed", "stage", "variant")
"""Columns that say how a model was made."""


def train_stage(bench: Bench, place: Place) -> Finished:
    """Train one model, from its start or from where it was stopped.

    Raises:
        InputError: a part of the stage cannot be made from what it starts from.
    """
    job = make_job(bench, place)
    with follow(bench, place), bench.reporter.stage(place.name, job.n_steps, "steps") as advance:
        progress = train_model(
            job, bench.accelerator, Reporter(advance, lambda line: bench.reporter.warn(f"{place.name}: {line}"))
        )
        for transform in job.transforms:
            transform.finish(job.model)
        scores = job.evaluation.score(job.model, bench.accelerator)
    _keep_answers(bench, place, job)
    rate = progress.token_rate
    facts = {"share_of_peak": share_of_peak(job, bench.accelerator, rate)} if place.stage.weighed else {}
    bench.reporter.note(place.name, tokens=progress.n_tokens, tokens_per_s=rate, **facts)
    artifact = _keep_model(bench, place, job)
    measure = place.stage.costs
    costs: dict[str, Any] = dict(measure(job.model, bench.accelerator)) if measure else {}
    facts = {name: value for transform in job.transforms for name, value in transform.facts().items()}
    known: dict[str, Any] = {name: value for name, value in facts.items() if name in column_names(TrainedModel)}
    for name, value in facts.items():
        if name not in known:
            progress.add(name, value)
    columns = identify(bench, place)
    models = _list_models(bench, place, job, progress, scores)
    log = _list_log(columns, progress, name_layers(job.model))
    return Finished([TrainedModel(**(columns | known | costs | row)) for row in models], log, artifact)


@contextmanager
def follow(bench: Bench, place: Place) -> Iterator[None]:
    """Let the trackers that are asked for hear of a stage, under its name and as no other does."""
    names = bench.settings.trackers if bench.accelerator.is_main_process else ()
    settings = effective_settings(bench.settings) | identify(bench, place)
    with track(names, bench.folder / EVENTS / place.name, settings) as bench.accelerator.trackers:
        yield


def make_job(bench: Bench, place: Place) -> Job:
    """The parts of a stage, made from what it starts from."""
    stage = place.stage
    checkpoint = find_checkpoint(str(place.before[stage.start])) if stage.start else bench.origin.checkpoint
    start = Start(checkpoint, place.before)
    with torch.random.fork_rng(devices=[]):
        seed = derived_seed("head", place.seed)
        torch.manual_seed(seed)
        model: Any = stage.build(start, torch.Generator().manual_seed(seed))
    model.to(bench.accelerator.device)
    return Job(
        model=model,
        data=stage.data(start),
        objective=stage.objective(start, model),
        transforms=stage.transforms(start),
        evaluation=stage.evaluation(start),
        rates=stage.rates,
        pace=stage.pace,
        seed=place.seed,
        state=place.state,
        key=place.key,
    )


def identify(bench: Bench, place: Place) -> dict[str, Any]:
    """The columns that all rows of a stage have in common; what a variant has a column for stands there too."""
    variant = place.plan.variant
    facts = {
        "recipe": bench.settings.recipe,
        "model": bench.settings.model,
        "checkpoint": bench.origin.checkpoint.name,
        "task": bench.source.name,
        "seed": place.plan.seed,
        "stage": place.stage.name,
        "variant": json.dumps(variant, sort_keys=True),
    }
    return facts | {name: variant[name] for name in column_names(TrainingRow) if name in variant}


def identify_baseline(bench: Bench, baseline: Baseline, scores: Sequence[SplitScore]) -> list[TrainedModel]:
    """The rows of a baseline in a table like that of the models; what only a training has is 0 or empty."""
    columns: dict[str, Any] = dict.fromkeys(("steps", "best_step"), 0) | {"tokens_per_s": 0.0}
    columns |= {"seconds": bench.reporter.stages[f"{baseline.name}-seed-{baseline.seed}"]["seconds"]}
    columns |= {"recipe": bench.settings.recipe, "model": baseline.name, "checkpoint": "", "revision": "", "folder": ""}
    columns |= {"task": bench.source.name, "seed": baseline.seed, "n_train": baseline.n_train}
    return [TrainedModel(**columns, peak_rss_bytes=peak_rss(), **asdict(score)) for score in scores]


def _keep_answers(bench: Bench, place: Place, job: Job) -> None:
    """Write what the examples were answered, where the evaluation says it."""
    if isinstance(job.evaluation, HasAnswers) and bench.accelerator.is_main_process:
        answers = pd.DataFrame(job.evaluation.list_answers())
        write_atomically(bench.folder / "answers" / f"{place.name}.parquet", answers.to_parquet(index=False))


def _keep_model(bench: Bench, place: Place, job: Job) -> str:
    """Write the model, if it is wanted; the digest of its folder, the same in all processes."""
    digest = [""]
    if bench.accelerator.is_main_process and (bench.settings.keep_models or not place.is_last):
        columns = identify(bench, place)
        origin = {name: columns[name] for name in _ORIGIN}
        digest = [save_model(place.artifact, job.model, bench.origin.tokenizer, origin)]
    return broadcast_object_list(digest)[0]


def _list_models(
    bench: Bench, place: Place, job: Job, progress: Progress, scores: Sequence[SplitScore]
) -> list[dict[str, Any]]:
    facts = {
        "revision": bench.origin.checkpoint.revision,
        "steps": progress.step,
        "best_step": progress.best_step if job.pace.early_stopping else progress.step,
        "n_train": len(job.data),
        "seconds": progress.seconds,
        "tokens_per_s": progress.token_rate,
        "peak_rss_bytes": peak_rss(),
        "until_dev_loss": job.pace.until_dev_loss,
        "dev_loss": progress.dev_loss if job.pace.until_dev_loss else nan,
        "folder": str(place.artifact.relative_to(bench.folder)) if bench.settings.keep_models else "",
    }
    return [facts | asdict(score) for score in scores]


def _list_log(columns: dict[str, Any], progress: Progress, names: Sequence[str]) -> list[TrainingRow]:
    return [
        TrainingRow(**columns, step=step, quantity=quantity, layer=layer, value=value,
                    layer_name=names[layer] if layer >= 0 else "")
        for step, quantity, layer, value in progress.rows
    ]  # fmt: skip
