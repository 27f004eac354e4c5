"""Models of a run as units of work: each is made by one worker, which plans the run again and takes its model out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from probing.progress import Reporter
from probing.records import InputError
from probing.registry import RECIPES
from probing.settings.training import RecipeSettings
from probing.store.shared_folders import mark_folders
from probing.training.accelerator import make_accelerator
from probing.training.artifacts import Finished
from probing.training.bench import Bench
from probing.training.chain import clear_stages, find_stages, make_model, note_left
from probing.training.origins import find_origin
from probing.training.plan import ModelPlan, Origin, RunPlan
from probing.work import Engine, Lost, Unit


@dataclass(frozen=True)
class ModelOrder:
    """A model of a run."""

    name: str
    left: Mapping[tuple[str, str], str]
    """Digests of the folders that earlier models have left, by model and stage."""


@dataclass(frozen=True)
class Made:
    """A model that was made: its rows, and what was told meanwhile."""

    finished: Sequence[Finished]
    stages: Mapping[str, Mapping[str, Any]]
    warnings: Sequence[str]


@dataclass(frozen=True)
class Workshop:
    """Settings and places that all models of a run share."""

    settings: RecipeSettings
    folder: Path
    identity: tuple[str, ...]
    """Facts of the run that its models' numbers depend on; a worker must find the same ones."""
    seen: Any
    """The `SharedFolders` of the run."""


def make_models_by(engine: Engine, bench: Bench, plans: Sequence[ModelPlan]) -> list[Finished]:
    """The rows of all stages of all models, which workers make; a model waits for those that it needs.

    Raises:
        InputError: a model cannot be made.
    """
    made: dict[str, Sequence[Finished]] = {}
    stage = bench.reporter.plan_stage("models", len(plans), "models", at_once=engine.workers)
    with mark_folders([bench.folder]) as seen:
        shared = engine.share(Workshop(bench.settings, bench.folder.resolve(), identify_run(bench), seen))
        while waiting := [plan for plan in plans if plan.name not in made]:
            ready = [plan for plan in waiting if all(model in made for model, _ in plan.needs)]
            missing = []
            for plan in ready:
                finished = find_stages(bench, plan)
                if len(finished) == len(plan.stages):
                    made[plan.name] = finished
                    for line in (line for one in finished for line in one.warnings):
                        bench.reporter.warn(line)
                    stage.advance(1, found=True)
                else:
                    missing.append(plan)
            gpus = 1.0 if bench.accelerator.device.type == "cuda" else 0.0
            units = [Unit(plan.name, 1.0, ModelOrder(plan.name, dict(bench.left)), shared, gpus) for plan in missing]
            with bench.reporter.visit(stage):
                for outcome in engine.run(make_unit, units):
                    if outcome.unit.name not in made:
                        made[outcome.unit.name] = _take(bench, outcome)
                        stage.advance(1)
            if lost := [plan.name for plan in missing if plan.name not in made]:
                raise InputError(f"{', '.join(lost)}: not made: the engine gave no answer")
            for plan in ready:
                note_left(bench, plan, made[plan.name])
            clear_stages(bench, plans, made)
    return [one for plan in plans for one in made[plan.name]]


def identify_run(bench: Bench) -> tuple[str, ...]:
    """Facts that a worker must share with whoever sends it models."""
    return bench.origin.stored, bench.source.digest, str(bench.accelerator.mixed_precision)


def make_unit(order: ModelOrder, workshop: Workshop) -> Made:
    """Make one model, from its start or from where it was stopped.

    Raises:
        InputError: the run's folder is not seen here, or data, encoder or number format are others here.
    """
    workshop.seen.check()
    origin, planned = _plan(workshop.settings)
    reporter, accelerator = Reporter(quiet=True), make_accelerator(workshop.settings)
    settings, left = workshop.settings, dict(order.left)
    bench = Bench(settings, origin, planned.source, accelerator, workshop.folder, reporter, left)
    names = ("encoder", "data", "number format")
    for name, here, wanted in zip(names, identify_run(bench), workshop.identity, strict=True):
        if here != wanted:
            raise InputError(f"{name}: other than where the run was begun ({here[:12]}, not {wanted[:12]})")
    plan = next(plan for plan in planned.models if plan.name == order.name)
    return Made(make_model(bench, plan), reporter.stages, reporter.warnings)


@lru_cache(maxsize=1)
def _plan(settings: RecipeSettings) -> tuple[Origin, RunPlan]:
    """Plan the run again; kept, for the next model is likely of it too."""
    recipe = RECIPES.load(settings.recipe)
    origin = (recipe.origin or find_origin)(settings, lambda line: None)
    return origin, recipe.plan(settings, origin, Reporter(quiet=True))


def _take(bench: Bench, outcome: Any) -> Sequence[Finished]:
    if isinstance(outcome, Lost):
        times = f" ({outcome.attempts} attempts)" if outcome.attempts > 1 else ""
        raise InputError(
            f"{outcome.unit.name} could not be trained: {outcome.reason}{times}; what is finished is kept, and the "
            "same command goes on there"
        )
    bench.reporter.stages.update({name: dict(facts) for name, facts in outcome.result.stages.items()})
    for line in outcome.result.warnings:
        bench.reporter.warn(line)
    return outcome.result.finished
