"""A student that learns a teacher's layers (Jiao et al. 2020, TinyBERT, arXiv 1909.10351, equations 7 to 11).

    embedding   MSE(E_S W, E_T)
    hidden      sum over m of MSE(H_S,m W, H_T,g(m))
    attention   sum over m of the mean over heads of MSE(A_S,m, A_T,g(m)),   A = q k / sqrt(d), before softmax
    logits      T^2 KL(softmax(z_T / T) || softmax(z_S / T)): the paper's soft cross-entropy but for a constant
    labels      cross-entropy of the labels

W is one map for all layers, as in the authors' code (the paper has one for embeddings, one for states). Each mean is
over what one sentence has, tokens or pairs of them without padding, and then over sentences: so parts of a batch add up
to it, and no padding is learned. In the code, scores of padding are set to 0 and count in the mean.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel

from probing.encoders.blocks import find_backbone, find_blocks
from probing.encoders.inner_states import InnerStates, check_scores, read_inner
from probing.records import InputError
from probing.training.contracts import Objective
from probing.training.objectives.distillation import distillation_loss
from probing.training.objectives.supervised import compute_loss

LOSSES = ("embedding", "hidden", "attention", "logits", "labels")
_STD = 0.02


class LayerDistillation(Objective):
    """The losses of the formulas above.

    Args:
        teacher: frozen, in eval mode, on the device of the batches.
        layer_map: g(m), the teacher's layer for each of the student's from 1 on.
        weights: of the losses by name; one of weight 0, or without a weight, is neither computed nor logged.
        projection: W, on that device; None compares states as they are, of one width.
        temperature: T.
    """

    def __init__(
        self,
        teacher: PreTrainedModel,
        layer_map: Sequence[int],
        weights: Mapping[str, float],
        projection: nn.Linear | None = None,
        temperature: float = 1.0,
    ):
        self.teacher, self.projection, self.temperature = teacher, projection, temperature
        self.layer_map = dict(enumerate(layer_map, 1))
        self.weights = {name: weights[name] for name in LOSSES if weights.get(name)}

    def losses(self, model: Any, batch: Any, generator: torch.Generator) -> dict[str, Float[Tensor, ""]]:
        """The mean losses over a part of a batch: anything with `inputs` and, for the labels' loss, `labels`."""
        del generator
        return {name: loss.mean() for name, loss in self.compute(model, batch).items()}

    def compute(self, model: Any, batch: Any) -> dict[str, Float[Tensor, " batch"]]:
        """Each loss of each sentence."""
        weights, scored = self.weights, "attention" in self.weights
        hidden = bool({"embedding", "hidden"} & weights.keys())
        student = read_inner(model, batch.inputs, hidden=hidden, scored=self.layer_map if scored else ())
        found: dict[str, Tensor] = {}
        if weights.keys() - {"labels"}:
            with torch.no_grad():
                layers = self.layer_map.values() if scored else ()
                teacher = read_inner(self.teacher, batch.inputs, hidden=hidden, scored=layers)
            found = self._compare(student, teacher)
        if "labels" in weights:
            logits: Any = student.logits
            found["labels"] = compute_loss(logits, batch.labels, reduction="none")
        return {name: found[name] for name in weights}

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The map of states, where one of its losses is on; it has no decay."""
        if self.projection is None or not {"embedding", "hidden"} & self.weights.keys():
            return []
        return [{"params": list(self.projection.parameters()), "weight_decay": 0.0}]

    def state_dict(self) -> dict[str, Any]:
        """The map of states."""
        return {} if self.projection is None else self.projection.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> Any:
        """Put it back."""
        return None if self.projection is None else self.projection.load_state_dict(state)

    def _compare(self, student: InnerStates, teacher: InnerStates) -> dict[str, Float[Tensor, " batch"]]:
        found, present, pairs = {}, student.present, self.layer_map.items()
        if "embedding" in self.weights:
            found["embedding"] = self._compare_states(student.hidden[0], teacher.hidden[0], present)
        if "hidden" in self.weights:
            each = [self._compare_states(student.hidden[own], teacher.hidden[its], present) for own, its in pairs]
            found["hidden"] = torch.stack(each).sum(dim=0)
        if "attention" in self.weights:
            each = [score_loss(student.scores[own], teacher.scores[its], present) for own, its in pairs]
            found["attention"] = torch.stack(each).sum(dim=0)
        if "logits" in self.weights:
            learned, taught = cast(Tensor, student.logits), cast(Tensor, teacher.logits)
            found["logits"] = distillation_loss(learned, taught, self.temperature, reduction="none")
        return found

    def _compare_states(self, student: Tensor, teacher: Tensor, present: Tensor) -> Float[Tensor, " batch"]:
        mapped = student if self.projection is None else self.projection(student)
        return state_loss(mapped, teacher, present)


def state_loss(
    student: Float[Tensor, "batch tokens hidden"],
    teacher: Float[Tensor, "batch tokens hidden"],
    present: Bool[Tensor, "batch tokens"],
) -> Float[Tensor, " batch"]:
    """The mean squared difference over each sentence's tokens and all dimensions, in float32."""
    squares = (student.float() - teacher.float()).square().mean(dim=2)
    return (squares * present).sum(dim=1) / present.sum(dim=1)


def score_loss(
    student: Float[Tensor, "batch heads tokens tokens"],
    teacher: Float[Tensor, "batch heads tokens tokens"],
    present: Bool[Tensor, "batch tokens"],
) -> Float[Tensor, " batch"]:
    """The mean squared difference over each sentence's pairs of tokens and all heads, in float32."""
    squares = (student.float() - teacher.float()).square().mean(dim=1)
    pairs = present[:, :, None] & present[:, None, :]
    return (squares * pairs).sum(dim=(1, 2)) / pairs.sum(dim=(1, 2))


def map_layers(n_student: int, n_teacher: int, given: Sequence[int] = ()) -> tuple[int, ...]:
    """g(m) for m = 1 to M: evenly spaced, g(m) = m N / M (rounded up where that is no number), or as given.

    Raises:
        InputError: the student has more layers than the teacher, or the layers given are not so many, rising and there.
    """
    if n_student > n_teacher:
        raise InputError(f"--layers {n_student}: the teacher has {n_teacher}; expected no more than that")
    if not given:
        return tuple(-(-layer * n_teacher // n_student) for layer in range(1, n_student + 1))
    rising = all(one < other for one, other in pairwise(given))
    if len(given) != n_student or not rising or given[0] < 1 or given[-1] > n_teacher:
        typed = " ".join(map(str, given))
        raise InputError(f"--layer-map {typed}: expected {n_student} rising layers of the teacher's 1 to {n_teacher}")
    return tuple(given)


def draw_projection(student: int, teacher: int, device: torch.device | str) -> nn.Linear:
    """W from the student's width to the teacher's, drawn by torch's own generator as BERT's matrices are."""
    projection = nn.Linear(student, teacher)
    nn.init.normal_(projection.weight, std=_STD)
    nn.init.zeros_(projection.bias)
    return projection.to(device)


def check_pair(student: PretrainedConfig, teacher: PreTrainedModel, weights: Mapping[str, float], name: str) -> None:
    """See that a student's attention can be compared with a teacher's, where that is asked for.

    Raises:
        InputError: they have unequally many heads, or the teacher's scores cannot be read.
    """
    find_blocks(teacher)  # refuses one whose layers share weights
    if not weights.get("attention"):
        return
    own, its = (int(one.num_attention_heads) for one in (student, find_backbone(teacher).config))  # pyright: ignore
    if own != its:
        raise InputError(
            f"{name}: has {its} heads and the student {own}; expected as many (--heads {its}), or none to be compared "
            "(--attention-weight 0)"
        )
    check_scores(teacher, name)
