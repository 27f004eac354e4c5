"""The stages of one model, one starting from what another left.

A killed run goes on at its stage: what is finished is found again if it was made from the same data, encoder and
settings, and if the folder that it left is still what it was.
"""

import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from probing import __version__
from probing.digests import digest_json
from probing.randomness import derived_seed
from probing.settings.training import effective_settings
from probing.training.artifacts import Finished, digest_folder, find_finished, keep_finished
from probing.training.bench import Bench, Place
from probing.training.generate import generate_stage
from probing.training.plan import Baseline, ModelPlan
from probing.training.search import search_stage
from probing.training.train import identify_baseline, train_stage

KINDS: Mapping[str, Callable[[Bench, Place], Finished]] = {
    "train": train_stage,
    "search": search_stage,
    "generate": generate_stage,
}
"""Functions that run the kinds of stages."""


def make_models(bench: Bench, plans: Sequence[ModelPlan]) -> list[Finished]:
    """The rows of all stages of all models.

    Where models are not kept, what the stages leave goes as soon as no later model needs it, but for sentences.
    """
    finished: list[Finished] = []
    for number, plan in enumerate(plans):
        finished += make_model(bench, plan)
        clear_stages(bench, plans, {done.name for done in plans[: number + 1]})
    return finished


def clear_stages(bench: Bench, plans: Sequence[ModelPlan], done: Collection[str]) -> None:
    """Remove what the stages of models that are done have left, where models are not kept and no other needs it."""
    needed = {name for plan in plans if plan.name not in done for name, _ in plan.needs}
    if bench.accelerator.is_main_process and not bench.settings.keep_models:
        for plan in plans:
            if plan.name in done and plan.name not in needed:
                _drop_models(bench, plan)


def make_model(bench: Bench, plan: ModelPlan) -> list[Finished]:
    """The rows of each stage of one model, made now or found in the folder."""
    finished, main = find_stages(bench, plan), bench.accelerator.is_main_process
    while len(finished) < len(plan.stages):
        place = locate(bench, plan, finished)
        n_told = len(bench.reporter.warnings)
        done = KINDS[place.stage.kind](bench, place)
        done = replace(done, warnings=bench.reporter.warnings[n_told:])
        if main:
            keep_finished(place.cell, place.key, done)
            place.state.unlink(missing_ok=True)
        bench.accelerator.wait_for_everyone()
        finished.append(done)
    note_left(bench, plan, finished)
    for line in (line for one in finished for line in one.warnings):
        bench.reporter.warn(line)
    return finished


def note_left(bench: Bench, plan: ModelPlan, finished: Sequence[Finished]) -> None:
    """Note what a model's stages have left, for models that need it."""
    for stage, one in zip(plan.stages, finished, strict=True):
        bench.left[plan.name, stage.name] = one.artifact


def make_baseline(bench: Bench, baseline: Baseline) -> Finished:
    """The rows of a baseline, made now or found in the folder."""
    name = f"{baseline.name}-seed-{baseline.seed}"
    path = bench.folder / "cells" / f"baseline-{name}.json"
    key = digest_json([__version__, effective_settings(bench.settings), bench.source.digest, name])
    found = find_finished(path, key)
    if found is None:
        with bench.reporter.stage(name, 1, "baseline") as advance:
            scores = baseline.score(bench.accelerator)
            advance(1)
        found = Finished(identify_baseline(bench, baseline, scores), [], "")
        if bench.accelerator.is_main_process:
            keep_finished(path, key, found)
        bench.accelerator.wait_for_everyone()
    return found


def find_stages(bench: Bench, plan: ModelPlan) -> list[Finished]:
    """The stages that need not be done again: from the first one on, as far as all is there and as it was left."""
    finished: list[Finished] = []
    folders: list[Path] = []
    while len(finished) < len(plan.stages):
        place = locate(bench, plan, finished)
        found = find_finished(place.cell, place.key)
        if found is None:
            if place.cell.exists():
                bench.reporter.warn(
                    f"{place.cell}: damaged, or of other data or another encoder; this model is trained again"
                )
            break
        finished.append(found)
        folders.append(place.artifact)
    # Of a chain that is done, only models that were to be kept are looked at again.
    if bench.settings.keep_models or len(finished) < len(plan.stages):
        for number, (folder, found) in enumerate(zip(folders, finished, strict=True)):
            if found.artifact and digest_folder(folder) != found.artifact:
                bench.reporter.warn(f"{folder}: is gone, or no longer as it was left; it is made again")
                return finished[:number]
    return finished


def locate(bench: Bench, plan: ModelPlan, finished: Sequence[Finished]) -> Place:
    """Locate the stage that follows the finished ones."""
    number, n_stages = len(finished), len(plan.stages)
    stage, stages, is_last = plan.stages[number], _stages(bench, plan), number == n_stages - 1 and not plan.serves
    name = plan.name if n_stages == 1 else f"{plan.name}.{stage.name}"
    key = [__version__, effective_settings(bench.settings), str(bench.accelerator.mixed_precision)]
    key += [bench.origin.stored, bench.source.digest, *(one.artifact for one in finished)]
    key += [plan.name, plan.seed, plan.variant, stage.name, stage.kind, stage.start]
    key += [bench.left[needed] for needed in plan.needs]
    needed_folders = [(model, needed, bench.folder / "stages" / model / needed) for model, needed in plan.needs]
    others = {name: folder for model, needed, folder in needed_folders for name in (needed, f"{model}/{needed}")}
    return Place(
        plan,
        stage,
        name=name,
        # A chain of one stage draws what it always has.
        seed=plan.seed if number == 0 else derived_seed(plan.seed, stage.name),
        before=others | {one.name: stages / one.name for one in plan.stages[:number]},
        cell=bench.folder / "cells" / f"{name}.json",
        artifact=bench.folder / "models" / plan.name if is_last else stages / stage.name,
        key=digest_json(key),
    )


def _drop_models(bench: Bench, plan: ModelPlan) -> None:
    """Remove what the stages of a model left, but for what was written: a table is small, and others read it."""
    folder = _stages(bench, plan)
    for stage in plan.stages:
        if stage.kind != "generate":
            shutil.rmtree(folder / stage.name, ignore_errors=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _stages(bench: Bench, plan: ModelPlan) -> Path:
    """Folder of the stages before the last one."""
    return bench.folder / "stages" / plan.name
