"""Fine-tuning: a classifier on a labelled task, with the task's own loss and nothing else."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from transformers import PreTrainedModel

from probing.encoders.classifiers import fit_head
from probing.progress import Reporter
from probing.records import Task
from probing.registry import CLASSIFIERS
from probing.settings.checks import ABOVE_0, FROM_0, SHARE, Range
from probing.settings.idle import Need
from probing.settings.training import RecipeSettings, TrainSettings
from probing.training.contracts import Data, Evaluation, Objective, Pace, Transform
from probing.training.data.labelled import Labelled, LabelledData, load_labelled
from probing.training.evaluation.classification import Classification
from probing.training.objectives.supervised import Supervised, compute_loss
from probing.training.optimiser import Rates
from probing.training.plan import ModelPlan, Origin, Recipe, RunPlan, Stage, Start
from probing.training.transforms.freezing import Freezing

RANGES: Mapping[str, Range] = {
    **dict.fromkeys(
        ("max_steps", "limit", "limit_dev", "evaluate_every", "early_stopping", "checkpoint_every"), FROM_0
    ),
    **dict.fromkeys(("weight_decay", "max_grad_norm"), FROM_0),
    **dict.fromkeys(("epochs", "batch_size", "accumulation_steps", "log_every"), ABOVE_0),
    **dict.fromkeys(("learning_rate", "mix_learning_rate"), ABOVE_0),
    **dict.fromkeys(("dropout", "warmup_share"), SHARE),
    "max_length": FROM_0,
    "freeze_up_to": Range("-1 (none), 0 (the embeddings) or a block", -1),
    "threads": Range("0 to 4096", 0, 4097),
}


OF_MIX = Need(("mix_learning_rate",), "without --model bermo", lambda settings: settings.model == "bermo")
"""Need of the rate of what a mix of layers learns."""


def plan(settings: TrainSettings, origin: Origin, reporter: Reporter) -> RunPlan:
    """One model per seed.

    Raises:
        InputError: as `load_labelled`.
    """
    labelled = load_labelled(settings, origin, reporter)
    stages = {seed: plan_stage("finetune", settings, labelled, seed) for seed in settings.seeds}
    return RunPlan([ModelPlan(f"seed-{seed}", seed, (stage,)) for seed, stage in stages.items()], labelled.source)


def plan_stage(name: str, settings: TrainSettings, labelled: Labelled, seed: int) -> Stage:
    """A stage that trains a classifier on the labels of a task."""
    task, splits = labelled.task, labelled.splits
    return make_stage(
        name,
        settings,
        partial(build_classifier, settings, task),
        LabelledData(splits["train"], settings.batch_size, seed),
        Classification(task, splits, compute_loss, seed),
    )


def make_stage(
    name: str,
    settings: Any,
    build: Callable[[Start, torch.Generator], PreTrainedModel],
    data: Data,
    evaluation: Evaluation,
) -> Stage:
    """A stage that learns labels, with the rates, the pace and the frozen layers of a recipe's settings."""
    return Stage(
        name,
        build=build,
        data=lambda start: data,
        objective=_learn_labels,
        evaluation=lambda start: evaluation,
        rates=choose_rates(settings),
        pace=Pace.from_settings(settings),
        transforms=partial(freeze, settings),
    )


def build_classifier(settings: TrainSettings, task: Task, start: Start, generator: torch.Generator) -> PreTrainedModel:
    """The model of the settings with a head for the classes of a task, whose names it bears.

    Raises:
        InputError: the checkpoint cannot be used.
    """
    if task.graded:
        return CLASSIFIERS.load(settings.model)(start.checkpoint, 1, settings.dropout, generator)
    return build_for_classes(settings, task.classes, start, generator)


def build_for_classes(
    settings: RecipeSettings, classes: Sequence[str], start: Start, generator: torch.Generator
) -> PreTrainedModel:
    """The model of the settings with a head for two classes or more, whose names it bears.

    Raises:
        InputError: the checkpoint cannot be used.
    """
    build = CLASSIFIERS.load(settings.model)
    model = build(start.checkpoint, len(classes), settings.dropout, generator)
    fit_head(model, start.checkpoint, classes, generator)
    return model


def choose_rates(settings: Any) -> Rates:
    """The rates that the settings name."""
    return Rates(
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        warmup_share=settings.warmup_share,
        max_grad_norm=settings.max_grad_norm,
        own={"mix": settings.mix_learning_rate},
    )


def freeze(settings: RecipeSettings, start: Start) -> Sequence[Transform]:
    """The layers that the settings freeze."""
    del start
    return (Freezing(settings.freeze_up_to),)


def _learn_labels(start: Start, model: PreTrainedModel) -> Objective:
    del start, model
    return Supervised()


RECIPE = Recipe(TrainSettings, plan, RANGES, needs=(OF_MIX,))
