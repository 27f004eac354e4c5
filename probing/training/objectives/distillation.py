"""Learning from a fine-tuned teacher (Hinton et al. 2015, arXiv 1503.02531), as pruning does by option.

loss = (1 - a) CE(y, student) + a T^2 KL(softmax(z_teacher / T) || softmax(z_student / T))
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoModelForSequenceClassification, PreTrainedModel

import probing.encoders.bermo  # noqa: F401  teaches transformers BERMo's classes
from probing.encoders.checkpoints import find_checkpoint, load_tokenizer, silence_transformers
from probing.records import InputError, Task
from probing.settings.training import PruneSettings
from probing.training.data.labelled import Batch
from probing.training.objectives.supervised import compute_loss

_SHOWN = 5
"""Classes that an error names."""


@dataclass(frozen=True)
class DistilledLoss:
    """The labels' loss and the teacher's, as in the formula above; an `Objective`."""

    teacher: PreTrainedModel
    """Frozen, in eval mode; it follows the batches to their device."""
    share: float
    """a, in [0, 1]."""
    temperature: float
    """T."""

    def __call__(self, model: Any, batch: Batch) -> Float[Tensor, ""]:
        """The mean loss over a batch."""
        logits = model(**batch.inputs).logits
        with torch.no_grad():
            teacher = self.teacher.to(batch.labels.device)  # pyright: ignore
            taught = teacher(**batch.inputs).logits
        own = compute_loss(logits, batch.labels)
        return (1 - self.share) * own + self.share * distillation_loss(logits, taught, self.temperature)


def distillation_loss(
    student: Float[Tensor, "batch labels"], teacher: Float[Tensor, "batch labels"], temperature: float
) -> Float[Tensor, ""]:
    """T^2 KL(p_teacher || p_student) in nats, mean over the batch; T^2 keeps its gradient's size whatever T is."""
    learned, taught = ((logits.float() / temperature).log_softmax(dim=1) for logits in (student, teacher))
    return temperature**2 * F.kl_div(learned, taught, log_target=True, reduction="batchmean")


def load_teacher(settings: PruneSettings, task: Task) -> PreTrainedModel:
    """The classifier of `--distill-from`, frozen and in eval mode.

    Raises:
        InputError: it is none, knows other classes than the task has, or reads other tokens than the student.
    """
    found = find_checkpoint(settings.distill_from)
    where = f"--distill-from {settings.distill_from}"
    if task.graded:
        raise InputError(f"{where}: {task.name} has scores and no classes; expected a task with classes")
    silence_transformers()
    try:
        teacher, report = AutoModelForSequenceClassification.from_pretrained(
            found.folder, dtype=torch.float32, output_loading_info=True
        )
    except (ValueError, KeyError, OSError, RuntimeError, SafetensorError) as error:
        raise InputError(f"{where}: no classifier ({str(error).strip().splitlines()[0]})") from None
    if report["missing_keys"]:
        raise InputError(f"{where}: its weights lack {min(report['missing_keys'])}; expected a fine-tuned classifier")
    classes = tuple(name for _, name in sorted(teacher.config.id2label.items()))
    if classes != task.classes:
        known, wanted = (", ".join(names[:_SHOWN]) for names in (classes, task.classes))
        raise InputError(f"{where}: knows the classes {known}; expected those of {task.name}: {wanted}")
    vocabularies = [load_tokenizer(one).get_vocab() for one in (found, find_checkpoint(settings.checkpoint))]
    if vocabularies[0] != vocabularies[1]:
        raise InputError(f"{where}: has another vocabulary than --checkpoint {settings.checkpoint}; expected the same")
    return teacher.eval().requires_grad_(False)
