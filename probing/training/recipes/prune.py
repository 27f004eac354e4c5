"""Pruning: fine-tuning with masks on the encoder's matrices and, by option, a teacher's probabilities."""

from collections.abc import Sequence
from functools import partial

from probing.records import InputError, Task
from probing.settings.training import PruneSettings
from probing.training.contracts import Transform
from probing.training.objectives.distillation import DistilledLoss, load_teacher
from probing.training.objectives.supervised import Objective, supervised_loss
from probing.training.plan import PlannedModel
from probing.training.transforms.pruning import Aim, Pruning, list_aims

_RANGES = {
    "sparsity": (lambda value: 0 <= value < 1, "0 or more and below 1"),
    "penalty": (lambda value: value >= 0, "0 or more"),
    "threshold": (lambda value: 0 < value < 0.5, "more than 0 and below 0.5, where sigmoid(S) starts"),
    "score_learning_rate": (lambda value: value > 0, "more than 0"),
    "prune_warmup_share": (lambda value: 0 <= value < 1, "0 or more and below 1"),
    "prune_cooldown_share": (lambda value: 0 <= value < 1, "0 or more and below 1"),
    "distill_share": (lambda value: 0 <= value <= 1, "a share from 0 to 1"),
    "temperature": (lambda value: value > 0, "more than 0"),
    # Early in the schedule little is pruned yet, and the best dev score would be found there.
    "early_stopping": (lambda value: value == 0, "0: what is pruned by a schedule is trained to its end"),
}


def plan_models(settings: PruneSettings, task: Task) -> list[PlannedModel]:
    """One model per aim (method by sparsity, or soft movement by penalty) and seed.

    Raises:
        InputError: a setting out of range, or a teacher that cannot teach this task.
    """
    check_pruning(settings)
    objective = choose_objective(settings, task)
    return [
        PlannedModel(
            name=f"{_name(aim)}-seed-{seed}",
            seed=seed,
            objective=objective,
            make_transforms=partial(_make_transforms, aim, settings),
            method=aim.method,
            sparsity=aim.sparsity,
            penalty=aim.penalty,
        )
        for aim in list_aims(settings)
        for seed in settings.seeds
    ]


def check_pruning(settings: PruneSettings) -> None:
    """Refuse early what would fail late.

    Raises:
        InputError: naming the flag, and what it expects.
    """
    for name, (holds, expected) in _RANGES.items():
        value = getattr(settings, name)
        for one in value if isinstance(value, tuple) else (value,):
            if not holds(one):
                raise InputError(f"--{name.replace('_', '-')} {one}: expected {expected}")
    for name in ("method", "sparsity", "penalty"):
        values = getattr(settings, name)
        if not values or len(set(values)) < len(values):
            given = "".join(f" {value}" for value in values)
            raise InputError(f"--{name}{given}: expected one or more different ones")
    both = settings.prune_warmup_share + settings.prune_cooldown_share
    if both > 1:
        raise InputError(f"--prune-warmup-share and --prune-cooldown-share: expected at most 1 together, got {both:g}")


def choose_objective(settings: PruneSettings, task: Task) -> Objective:
    """The task's own loss, or that and a teacher's.

    Raises:
        InputError: as `load_teacher`.
    """
    if not settings.distill_from:
        return supervised_loss
    return DistilledLoss(load_teacher(settings, task), settings.distill_share, settings.temperature)


def _make_transforms(aim: Aim, settings: PruneSettings) -> Sequence[Transform]:
    return (Pruning(aim, settings),)


def _name(aim: Aim) -> str:
    how_far = f"penalty-{aim.penalty:g}" if aim.method == "soft_movement" else f"{aim.sparsity:g}"
    return f"{aim.method}-{how_far}"
