"""Layers that keep their weights."""

from dataclasses import dataclass

from transformers import PreTrainedModel

from probing.encoders.blocks import find_blocks
from probing.training.contracts import Transform


@dataclass(frozen=True)
class Freezing(Transform):
    """Keeps the weights of layers 0 (the embeddings) to `up_to`; -1 freezes none."""

    up_to: int

    def apply(self, model: PreTrainedModel) -> None:
        """Take the gradient off those layers."""
        for block in find_blocks(model)[: self.up_to + 1]:
            block.requires_grad_(False)
