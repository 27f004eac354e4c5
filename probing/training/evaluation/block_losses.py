"""Losses of architectures in a supernet on held-out text, block by block or as whole paths."""

from collections.abc import Sequence
from typing import Any

import torch
from accelerate import Accelerator
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from probing.encoders.inner_states import read_inner
from probing.encoders.nas_bert_supernet import NasBertSupernet
from probing.encoders.operations import BlockChoice


class BlockLosses:
    """Distillation losses of any choice of a block, and of any path, over the same held-out texts.

    The texts have no padding and one length, so that the mean over all tokens is that over texts.

    Args:
        model: the supernet, on its device.
        teacher: frozen, in eval mode, on that device.
        borders: the teacher's layers that the blocks begin and end at.
        parts: held-out examples, some at a time, which stay on the device.
        accelerator: precision.
    """

    def __init__(
        self,
        model: NasBertSupernet,
        teacher: PreTrainedModel,
        borders: Sequence[int],
        parts: Sequence[Any],
        accelerator: Accelerator,
    ):
        self.model, self.accelerator = model.eval(), accelerator
        with torch.inference_mode(), accelerator.autocast():
            found = [read_inner(teacher, part.inputs).hidden for part in parts]
        self.parts = [[layers[layer].float() for layer in borders] for layers in found]
        """Teacher's states at each border, part by part."""

    def score_block(self, number: int, choices: Sequence[BlockChoice]) -> list[float]:
        """Mean squared difference of a block's output, for each choice.

        Choices that begin alike share what they begin with: sorted, each goes on from where it leaves the one before.
        """
        order = sorted(range(len(choices)), key=lambda one: choices[one])
        sums, n_tokens = [0.0] * len(choices), 0
        for states in self.parts:
            walk = _Walk(self.model.blocks[number], states[number])
            n_tokens += states[number].shape[0] * states[number].shape[1]
            for one in order:
                with torch.inference_mode(), self.accelerator.autocast():
                    sums[one] += _square(walk.follow(choices[one]), states[number + 1])
        return [total / n_tokens for total in sums]

    @torch.inference_mode()
    def score_path(self, path: Sequence[BlockChoice]) -> float:
        """Mean squared difference of a whole path's output, from the teacher's embeddings to its last border."""
        self.model.take_path(path)
        total, n_tokens = 0.0, 0
        for states in self.parts:
            with self.accelerator.autocast():
                total += _square(self.model.follow(states[0]), states[-1])
            n_tokens += states[0].shape[0] * states[0].shape[1]
        return total / n_tokens


class _Walk:
    """A block's states behind each operation of the choice that was last followed."""

    def __init__(self, block: Any, states: Tensor):
        self.block, self.states = block, states
        self.choice: BlockChoice = ()
        self.behind: list[Tensor] = []

    def follow(self, choice: BlockChoice) -> Tensor:
        shared = 0
        while shared < min(len(choice), len(self.choice)) and choice[shared] == self.choice[shared]:
            shared += 1
        self.behind = self.behind[:shared]
        if not shared:
            self.behind = [self.block.enter[str(choice[0])](self.states)]
        for place in range(max(0, shared - 1), len(choice) - 1):
            operation = self.block.find(choice[0], place, choice[place + 1])
            self.behind.append(operation(self.behind[-1], None))
        self.choice = choice
        return self.block.leave[str(choice[0])](self.behind[-1])


def _square(found: Float[Tensor, "batch tokens border"], aim: Float[Tensor, "batch tokens border"]) -> float:
    """The sum over tokens of the mean squared difference over dimensions, in float32."""
    return (found.float() - aim).square().mean(dim=2).sum().item()
