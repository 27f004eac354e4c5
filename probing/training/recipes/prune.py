"""Pruning: fine-tuning with masks on the encoder's matrices and, by option, a teacher's probabilities."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import nextafter
from typing import Any, ClassVar, Literal

from transformers import PreTrainedModel

from probing.digests import digest_json
from probing.encoders.model_facts import compute_digest
from probing.progress import Reporter
from probing.records import InputError
from probing.settings.checks import ABOVE_0, FROM_0, SHARE, Range, flag_of
from probing.settings.training import TrainSettings
from probing.training.contracts import Objective, Transform
from probing.training.data.labelled import Labelled, load_labelled
from probing.training.objectives.distillation import Distillation, load_teacher
from probing.training.plan import ModelPlan, Origin, Recipe, RunPlan, Stage, Start
from probing.training.recipes import finetune
from probing.training.recipes.finetune import freeze, plan_stage
from probing.training.transforms.pruning import Aim, Course, Pruning


@dataclass(frozen=True)
class PruneSettings(TrainSettings):
    """Prune an encoder while it is fine-tuned on one task (Sanh et al. 2020, arXiv 2005.07683)."""

    GROUPS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "pruning": (
            *("method", "sparsity", "penalty", "threshold", "score_learning_rate"),
            *("prune_warmup_share", "prune_cooldown_share", "distill_from", "distill_share", "temperature"),
        ),
        **TrainSettings.GROUPS,
    }
    """Flags that `--help` shows together."""

    recipe: str = "prune"
    """The way of training, such as finetune or prune."""
    method: tuple[Literal["magnitude", "movement", "soft_movement"], ...] = ("soft_movement",)
    """Choice of the weights: magnitude (the largest stay), movement (those of the highest learned scores S stay),
    soft_movement (those whose sigmoid(S) is above a threshold stay, and a penalty keeps it small)."""
    sparsity: tuple[float, ...] = (0.9,)
    """Share of zeros at the end of magnitude and movement in each matrix of the encoder's blocks; one model each.
    With soft_movement it is what --penalty and --threshold make of it."""
    penalty: tuple[float, ...] = (400.0,)
    """Weight of soft_movement's penalty, mean sigmoid(S), at the end; it grows with the threshold. One model each:
    more of it leaves fewer weights."""
    threshold: float = 0.1
    """Value that sigmoid(S) must be above at the end of soft_movement; at first it is 0."""
    weight_decay: float = 0.0
    """Of weight matrices. The paper's: none."""
    score_learning_rate: float = 1e-2
    """Of the scores S, which start at 0 and move by no more than about this in a step. A threshold of .1 on sigmoid(S)
    is one of -2.2 on S: below some 500 steps, soft_movement prunes nothing at the paper's 1e-2. Raise it there."""
    prune_warmup_share: float = 0.1
    """Share of the steps before pruning begins. The paper's: the warm-up of the learning rate."""
    prune_cooldown_share: float = 0.2
    """Share of the steps after it has ended. The paper's: twice the warm-up."""
    freeze_up_to: int = 0
    """Layers that keep their weights, and are not pruned. The paper's: the embeddings."""
    distill_from: str = ""
    """A fine-tuned classifier whose probabilities are learned too: a folder written by finetune; empty: none."""
    distill_share: float = 0.5
    """Share of the loss that the teacher has."""
    temperature: float = 2.0
    """By which teacher's and student's logits are divided."""


RANGES: Mapping[str, Range] = {
    **finetune.RANGES,
    "sparsity": SHARE,
    "penalty": FROM_0,
    "threshold": Range("more than 0 and below 0.5, where sigmoid(S) starts", 0, 0.5, above_low=True),
    "score_learning_rate": ABOVE_0,
    "prune_warmup_share": SHARE,
    "prune_cooldown_share": SHARE,
    "distill_share": Range("a share from 0 to 1", 0, nextafter(1, 2)),
    "temperature": ABOVE_0,
    # Early in the schedule little is pruned yet, and the best dev score would be found there.
    "early_stopping": Range("0: what is pruned by a schedule is trained to its end", 0, 1),
}


_PRINTED = {"method": "{}", "sparsity": "{:.4g}", "penalty": "{:g}"}
"""Formats of amounts in tables and figures, at most: two that look alike there could not be told apart."""


def check(settings: PruneSettings) -> None:
    """Refuse settings that do not go together.

    Raises:
        InputError: naming the flags, and what they expect.
    """
    for name in ("method", "sparsity", "penalty"):
        values = getattr(settings, name)
        printed = {_PRINTED[name].format(value) for value in values}
        if not values or len(printed) < len(values):
            typed = "".join(f" {value}" for value in values)
            raise InputError(f"{flag_of(name)}{typed}: expected one or more different ones, also as they are printed")
    _refuse_idle(settings)
    both = settings.prune_warmup_share + settings.prune_cooldown_share
    if both > 1:
        raise InputError(f"--prune-warmup-share and --prune-cooldown-share: expected at most 1 together, got {both:g}")


def _refuse_idle(settings: PruneSettings) -> None:
    """Refuse what was changed and moves nothing: models would not be those that were asked for."""
    teaching = ("--distill-from, a teacher", bool(settings.distill_from))
    needs = {
        "sparsity": (
            "--method magnitude or movement (soft_movement has --penalty)",
            {*settings.method} != {"soft_movement"},
        ),
        "penalty": ("--method soft_movement (others have --sparsity)", "soft_movement" in settings.method),
        "distill_share": teaching,
        "temperature": teaching,
    }
    needs |= {"threshold": needs["penalty"]}
    needs["score_learning_rate"] = ("--method movement or soft_movement", {*settings.method} != {"magnitude"})
    usual = PruneSettings()
    for name, (need, met) in needs.items():
        if not met and getattr(settings, name) != getattr(usual, name):
            raise InputError(f"{flag_of(name)}: has no effect without {need}")


def plan(settings: PruneSettings, origin: Origin, reporter: Reporter) -> RunPlan:
    """One model per aim (method by sparsity, or soft movement by penalty) and seed.

    Raises:
        InputError: data that cannot be used, no block left to prune, or a teacher that cannot teach this task.
    """
    if settings.freeze_up_to >= origin.n_blocks:
        raise InputError(
            f"--freeze-up-to {settings.freeze_up_to}: leaves no layer to prune; expected less than {origin.n_blocks}"
        )
    labelled = load_labelled(settings, origin, reporter)
    teacher = load_teacher(settings.distill_from, labelled.task, origin) if settings.distill_from else None
    source = labelled.source
    if teacher is not None:
        source = replace(source, digest=digest_json([source.digest, compute_digest(teacher, origin.tokenizer)]))
    models = [
        ModelPlan(
            f"{_name(aim)}-seed-{seed}", seed, (_plan_stage(settings, labelled, seed, aim, teacher),), _describe(aim)
        )
        for aim in list_aims(settings)
        for seed in settings.seeds
    ]
    return RunPlan(models, source)


def list_aims(settings: PruneSettings) -> list[Aim]:
    """One aim for each model of a seed: methods by sparsities, and soft movement by penalties."""
    aims = []
    for method in settings.method:
        if method == "soft_movement":
            aims += [Aim(method, penalty=penalty) for penalty in settings.penalty]
        else:
            aims += [Aim(method, sparsity=sparsity) for sparsity in settings.sparsity]
    return aims


def _plan_stage(
    settings: PruneSettings, labelled: Labelled, seed: int, aim: Aim, teacher: PreTrainedModel | None
) -> Stage:
    course = Course(
        settings.threshold, settings.score_learning_rate, settings.prune_warmup_share, settings.prune_cooldown_share
    )

    def transform(start: Start) -> Sequence[Transform]:
        return (*freeze(settings, start), Pruning(aim, course))

    def teach(start: Start, model: PreTrainedModel) -> Objective:
        del start
        frozen: Any = teacher
        return Distillation(frozen.to(model.device), settings.distill_share, settings.temperature)

    stage = replace(plan_stage("prune", settings, labelled, seed), transforms=transform)
    return stage if teacher is None else replace(stage, objective=teach)


def _describe(aim: Aim) -> dict[str, Any]:
    amount = {"penalty": aim.penalty} if aim.method == "soft_movement" else {"sparsity": aim.sparsity}
    return {"method": aim.method} | amount


def _name(aim: Aim) -> str:
    soft = aim.method == "soft_movement"
    amount = aim.penalty if soft else aim.sparsity
    return f"{aim.method}-{'penalty-' if soft else ''}{amount:g}"


RECIPE = Recipe(
    PruneSettings, plan, RANGES, check, needs=(finetune.OF_MIX,), gentle={"method": ("magnitude",), "sparsity": (0.0,)}
)
