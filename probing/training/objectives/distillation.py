"""Learning from a fine-tuned teacher (Hinton et al. 2015, arXiv 1503.02531).

loss = (1 - a) CE(y, student) + a T^2 KL(softmax(z_teacher / T) || softmax(z_student / T))
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedModel

from probing.encoders.checkpoints import find_checkpoint, load_classifier, load_tokenizer
from probing.records import InputError, Task
from probing.training.contracts import Examples, Objective
from probing.training.objectives.supervised import compute_loss
from probing.training.plan import Origin

_SHOWN = 5
"""Classes that an error names."""


class Distillation(Objective):
    """The labels' loss and the teacher's, as in the formula above.

    Args:
        teacher: frozen, in eval mode, on the device of the batches.
        share: a, in [0, 1].
        temperature: T.
    """

    def __init__(self, teacher: PreTrainedModel, share: float, temperature: float):
        self.teacher, self.temperature = teacher, temperature
        self.weights = {"labels": 1 - share, "teacher": share}

    def losses(self, model: Any, batch: Examples, generator: torch.Generator) -> dict[str, Float[Tensor, ""]]:
        """The mean losses over a part of a batch."""
        del generator
        logits = model(**batch.inputs).logits
        with torch.no_grad():
            taught = self.teacher(**batch.inputs).logits
        own = compute_loss(logits, batch.labels)
        return {"labels": own, "teacher": distillation_loss(logits, taught, self.temperature)}


def distillation_loss(
    student: Float[Tensor, "batch labels"],
    teacher: Float[Tensor, "batch labels"],
    temperature: float,
    reduction: str = "mean",
) -> Float[Tensor, "*sentences"]:
    """T^2 KL(p_teacher || p_student) in nats; T^2 keeps its gradient's size whatever T is.

    Args:
        student: logits.
        teacher: logits.
        temperature: T.
        reduction: mean over the sentences, or none, which gives each one's loss.
    """
    learned, taught = ((logits.float() / temperature).log_softmax(dim=1) for logits in (student, teacher))
    if reduction == "none":
        return temperature**2 * F.kl_div(learned, taught, log_target=True, reduction="none").sum(dim=1)
    return temperature**2 * F.kl_div(learned, taught, log_target=True, reduction="batchmean")


def load_teacher(name: str, task: Task, origin: Origin, flag: str = "--checkpoint") -> PreTrainedModel:
    """A fine-tuned classifier, frozen and in eval mode.

    Args:
        name: of its checkpoint, as `--distill-from` has it.
        task: what it must know.
        origin: the encoder of the student, or the one that its tokenizer is of.
        flag: that names this encoder.

    Raises:
        InputError: it is none, knows other classes than the task has, or reads other tokens than the student.
    """
    found, where = find_checkpoint(name), f"--distill-from {name}"
    if task.graded:
        raise InputError(f"{where}: {task.name} has scores and no classes; expected a task with classes")
    try:
        teacher, report = load_classifier(found)
    except InputError as error:
        raise InputError(f"{where}: no classifier ({error})") from error
    if report["missing_keys"]:
        raise InputError(f"{where}: its weights lack {min(report['missing_keys'])}; expected a fine-tuned classifier")
    classes = tuple(name for _, name in sorted((teacher.config.id2label or {}).items()))
    if classes != task.classes:
        known, wanted = (", ".join(names[:_SHOWN]) for names in (classes, task.classes))
        raise InputError(f"{where}: knows the classes {known}; expected those of {task.name}: {wanted}")
    if load_tokenizer(found).get_vocab() != origin.tokenizer.get_vocab():
        raise InputError(f"{where}: has another vocabulary than {flag} {origin.checkpoint.name}; expected the same")
    return teacher.eval().requires_grad_(False)
