"""Blocks of a supernet that learn a teacher's, each by itself (NAS-BERT, arXiv 2105.14444, equation 1).

    L_n = || f(Y_{n-1}) - Y_n ||^2      f: the block on the path, Y_n: the teacher's states at the n-th border

The square is a mean over a text's tokens and dimensions, and then over texts.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from probing.encoders.inner_states import read_inner
from probing.training.contracts import Objective
from probing.training.objectives.layer_distillation import state_loss


class BlockDistillation(Objective):
    """The blocks' losses, as in the formula above.

    Args:
        teacher: frozen, in eval mode, on the device of the batches.
        borders: the teacher's layers that the blocks begin and end at, the embeddings (0) first.
    """

    def __init__(self, teacher: PreTrainedModel, borders: Sequence[int]):
        self.teacher, self.borders = teacher, borders
        self.weights: Mapping[str, float] = {f"block_{number}": 1.0 for number in range(1, len(borders))}

    def losses(self, model: Any, batch: Any, generator: torch.Generator) -> dict[str, Float[Tensor, ""]]:
        """The mean losses over a part of a batch: anything with `inputs`."""
        del generator
        return {name: loss.mean() for name, loss in self.compute(model, batch).items()}

    def compute(self, model: Any, batch: Any) -> dict[str, Float[Tensor, " batch"]]:
        """Each block's loss of each text."""
        with torch.no_grad():
            found = read_inner(self.teacher, batch.inputs)
        aims = [found.hidden[layer] for layer in self.borders]
        pairs = zip(model(aims[:-1]), aims[1:], strict=True)
        return dict(zip(self.weights, (state_loss(*pair, found.present) for pair in pairs), strict=True))
