"""KDLSQ-BERT (Jin et al. 2021, arXiv 2101.05938): a fine-tuned encoder in few bits, with learned steps and a teacher.

    minmax    steps that clip nothing, and no training             initial   the first steps of the other arms alone
    lsq       steps and weights learn the labels (LSQ)             kdlsq     they learn the teacher: logits, attention,
                                                                             states (and labels, by option)

The teacher is the same encoder in full precision, fine-tuned; every arm starts from its weights. Not carried over from
the authors' code: ranges chosen on dev, the best of many dev scores as the result, and steps that may turn negative.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from probing.encoders.step_size import LEAST_BITS, MOST_BITS
from probing.encoders.tiny_checkpoints import write_bert
from probing.progress import Reporter
from probing.records import InputError
from probing.settings.checks import ABOVE_0, FROM_0, Range, check_repeats
from probing.settings.idle import Need
from probing.settings.training import TrainSettings
from probing.training.data.labelled import load_labelled
from probing.training.plan import ModelPlan, Origin, Recipe, RunPlan
from probing.training.recipes import finetune
from probing.training.recipes.kdlsq_bert_stages import TEACHER, Workshop

ARMS = ("minmax", "initial", "lsq", "kdlsq")
_WEIGHTS = ("logits_weight", "hidden_weight", "attention_weight", "label_weight")


@dataclass(frozen=True)
class KdlsqBertSettings(TrainSettings):
    """Bring a fine-tuned encoder to few bits, and see what that costs."""

    GROUPS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "bits": (
            *("arms", "bits", "activation_bits", "sweep_bits", "per_row", "initial_steps", "calibration_batches"),
            *("gradient_scale", "clip_gradient", "step_learning_rate", "activation_step_learning_rate"),
        ),
        "teacher": (
            *("distill_from", "teacher_epochs", "teacher_steps", "teacher_learning_rate", *_WEIGHTS, "temperature"),
        ),
        **TrainSettings.GROUPS,
    }
    """Flags that `--help` shows together."""

    recipe: str = "kdlsq_bert"
    """The way of training."""
    model: str = "bert"
    """Model that is fine-tuned and quantised: bert (its head reads the last layer) or bermo (the mix of all layers)."""
    arms: tuple[Literal["minmax", "initial", "lsq", "kdlsq"], ...] = ARMS
    """Ways to the bits, one model per way, bits and seed: minmax (no training, steps that clip nothing), initial (no
    training, the first steps of the others), lsq (trained on labels), kdlsq (trained on the teacher)."""
    bits: tuple[int, ...] = (8, 4, 2)
    """Bits of the weights, 2 to 8, embeddings too. Two are ternary. In the file 3 bits take 4, and 5 to 7 take 8."""
    activation_bits: int = 8
    """Bits of what goes into every product, 2 to 8. The paper's: 8."""
    sweep_bits: int = 0
    """Bits that one layer has alone, the others keeping the most of --bits: one model more per layer (embeddings,
    blocks) and seed, by the last of --arms; 0: none."""
    per_row: bool = False
    """True where each row of a matrix has a step of its own. The paper's: one for each matrix."""
    initial_steps: Literal["error", "lsq"] = "error"
    """First steps: error (the least squared error of 50 ranges), lsq (2 mean|x| / sqrt(n)). The authors' code takes
    the range of the least Kullback-Leibler divergence, by a histogram."""
    calibration_batches: int = 8
    """Batches of train on which the first steps of activations are chosen."""
    gradient_scale: bool = True
    """True where the gradient of a step is divided by sqrt(N n), as LSQ has it; the authors' code does not. With AdamW
    it matters for the length that --max-grad-norm cuts alone."""
    clip_gradient: bool = False
    """True where weights beyond their range get no gradient, as in LSQ; in the authors' code they get it."""
    step_learning_rate: float = 1e-3
    """Of the logarithms of weights' steps, at its highest: about the share by which a step moves in an update."""
    activation_step_learning_rate: float = 1e-3
    """Of the logarithms of activations' steps, at its highest."""
    distill_from: str = ""
    """The teacher, a classifier that was fine-tuned on the task: a folder written by finetune. Empty: --checkpoint is
    fine-tuned here first."""
    teacher_epochs: float = 3.0
    """Passes over train of a teacher that is fine-tuned here."""
    teacher_steps: int = 0
    """Steps of a teacher that is fine-tuned here; 0 leaves it to --teacher-epochs."""
    teacher_learning_rate: float = 3e-5
    """Of that teacher, at its highest."""
    logits_weight: float = 1.0
    """Weight of the teacher's probabilities in kdlsq; 0 leaves them out."""
    hidden_weight: float = 1.0
    """Weight of the states' loss, embeddings and all layers, in kdlsq; 0 leaves it out."""
    attention_weight: float = 1.0
    """Weight of the attention scores' loss in kdlsq; 0 leaves it out."""
    label_weight: float = 0.0
    """Weight of the labels in kdlsq. The authors' code has both 0 and 1."""
    temperature: float = 1.0
    """By which teacher's and student's logits are divided."""
    learning_rate: float = 5e-5
    """Of AdamW over weights, at its highest. The authors': 5e-5."""


_BITS = Range(f"{LEAST_BITS} to {MOST_BITS} bits", LEAST_BITS, MOST_BITS + 1)
RANGES: Mapping[str, Range] = {
    **finetune.RANGES,
    "bits": _BITS,
    "activation_bits": _BITS,
    **dict.fromkeys((*_WEIGHTS, "teacher_steps"), FROM_0),
    **dict.fromkeys(("step_learning_rate", "activation_step_learning_rate", "teacher_learning_rate"), ABOVE_0),
    **dict.fromkeys(("calibration_batches", "teacher_epochs", "temperature"), ABOVE_0),
}


def _has(*arms: str) -> Callable[[KdlsqBertSettings], bool]:
    return lambda settings: bool({*settings.arms} & {*arms})


NEEDS = (
    Need(
        ("teacher_epochs", "teacher_steps", "teacher_learning_rate"),
        "with --distill-from, a teacher that is fine-tuned already",
        lambda settings: not settings.distill_from,
    ),
    Need(("teacher_epochs",), "with --teacher-steps", lambda settings: not settings.teacher_steps),
    Need((*_WEIGHTS, "temperature"), "without --arms kdlsq", _has("kdlsq")),
    Need(
        (
            *("epochs", "max_steps", "learning_rate", "step_learning_rate", "activation_step_learning_rate"),
            *("gradient_scale", "clip_gradient"),
        ),
        "without --arms lsq or kdlsq, which are trained",
        _has("lsq", "kdlsq"),
    ),
    Need(("initial_steps",), "with --arms minmax alone", _has(*ARMS[1:])),
    finetune.OF_MIX,
)


def check(settings: KdlsqBertSettings) -> None:
    """Refuse settings that do not go together.

    Raises:
        InputError: naming the flags, and what they expect.
    """
    for name, known in (("arms", ARMS), ("bits", range(LEAST_BITS, MOST_BITS + 1))):
        values = getattr(settings, name)
        if not values or not set(values) <= set(known):
            typed = "".join(f" {value}" for value in values)
            raise InputError(f"--{name}{typed}: expected some of {', '.join(map(str, known))}")
    check_repeats(settings, ("arms",))
    if len(set(settings.bits)) < len(settings.bits):
        raise InputError(f"--bits {' '.join(map(str, settings.bits))}: expected different ones")
    if settings.sweep_bits and settings.sweep_bits not in _BITS:
        raise InputError(f"--sweep-bits {settings.sweep_bits}: expected {_BITS.words}, or 0 for no sweep")
    if "kdlsq" in settings.arms and not any(getattr(settings, name) for name in _WEIGHTS):
        raise InputError("--arms kdlsq: its weights are all 0, and nothing is learned; expected one above 0")


def plan(settings: KdlsqBertSettings, origin: Origin, reporter: Reporter) -> RunPlan:
    """The teacher; with each seed, one model per arm and bits, and one per layer of a sweep.

    Raises:
        InputError: data that cannot be used, or a teacher that cannot teach this task.
    """
    shop = Workshop(settings, origin, load_labelled(settings, origin, reporter), reporter)
    models = [ModelPlan(TEACHER, 0, (shop.plan_teacher(),), {"arm": TEACHER}, serves=True)]
    needs = ((TEACHER, TEACHER),)
    most = max(settings.bits)
    for seed in settings.seeds:
        for arm in settings.arms:
            for bits in settings.bits:
                stage = shop.plan_arm(arm, seed, dict.fromkeys(shop.layers, bits))
                about = {"arm": arm, "bits": bits}
                models.append(ModelPlan(f"{arm}-{bits}-seed-{seed}", seed, (stage,), about, needs))
        for layer, name in enumerate(origin.layer_names if settings.sweep_bits else ()):
            arm, few = settings.arms[-1], settings.sweep_bits
            stage = shop.plan_arm(arm, seed, dict.fromkeys(shop.layers, most) | {layer: few})
            about = {"arm": arm, "bits": most, "few_bits": few, "in_few_bits": name}
            models.append(ModelPlan(f"{arm}-{most}-{name}-{few}-seed-{seed}", seed, (stage,), about, needs))
    return RunPlan(models, shop.source)


def try_out(folder: Path) -> Mapping[str, Any]:
    """A tiny encoder and a task of letters in a folder, and the settings for trying the recipe on it."""
    encoder, task = folder / "encoder", folder / "tasks" / "letters"
    encoder.mkdir()
    task.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for split, n in (("train", 96), ("dev", 40), ("test", 40)):
        rows = generator.choice(list("abcdefgh"), (n, 3)).tolist()
        lines = [f"{' '.join(row)}\t{'early' if row[0] < 'e' else 'late'}\n" for row in rows]
        (task / f"{split}.tsv").write_text("sentence\tlabel\n" + "".join(lines), encoding="utf-8")
    return {
        **{"checkpoint": write_bert(encoder), "task": "letters", "data": str(folder / "tasks"), "max_length": 16},
        **{"arms": ("kdlsq",), "bits": (8,), "teacher_steps": 60, "teacher_learning_rate": 3e-2},
        "label_weight": 1.0,
    }


RECIPE = Recipe(KdlsqBertSettings, plan, RANGES, check, NEEDS, gentle={"teacher_steps": 200}, rounds=True, tiny=try_out)
