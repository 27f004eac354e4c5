"""A recipe of two stages: the task is learned, and learned again from there at a tenth of the rate."""

from dataclasses import dataclass, replace

from probing.progress import Reporter
from probing.training.data.labelled import load_labelled
from probing.training.plan import ModelPlan, Origin, Recipe, RunPlan
from probing.training.recipes.finetune import RANGES, TrainSettings, plan_stage


@dataclass(frozen=True)
class TwiceSettings(TrainSettings):
    """Fine-tune twice."""

    recipe: str = "twice"
    """The way of training."""
    slower: float = 0.1
    """By what the rate is multiplied in the second stage."""


def plan(settings: TwiceSettings, origin: Origin, reporter: Reporter) -> RunPlan:
    """One model per seed, in two stages."""
    labelled = load_labelled(settings, origin, reporter)
    calm = replace(settings, learning_rate=settings.slower * settings.learning_rate)
    models = [
        ModelPlan(
            f"twice-{seed}",
            seed,
            (
                plan_stage("fast", settings, labelled, seed),
                replace(plan_stage("slow", calm, labelled, seed), start="fast"),
            ),
            {"slower": settings.slower},
        )
        for seed in settings.seeds
    ]
    return RunPlan(models, labelled.source)


RECIPE = Recipe(TwiceSettings, plan, RANGES)
