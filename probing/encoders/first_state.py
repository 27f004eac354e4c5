"""Layer 0 of architectures whose hidden states begin behind the first block: Mamba, RWKV and their like.

transformers appends the state behind each block there, and last the normed one: b_1 ... b_n norm(b_n). Elsewhere the
states are b_0 b_1 ... b_(n-1) norm(b_n), where b_0 is what the first block reads, so that each index is one layer.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from probing.encoders.blocks import find_blocks
from probing.encoders.checkpoint_files import MODEL_ERRORS
from probing.records import InputError


class FirstState:
    """Puts what the first block reads in the place of layer 0, and every state in its own.

    Args:
        block: the first one of a model.
    """

    def __init__(self, block: nn.Module):
        self.value: Tensor | None = None
        """Last input of the block."""
        self.handle = block.register_forward_pre_hook(self._keep, with_kwargs=True)

    def put_first(self, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The states of a forward pass that has just ended, each at the index of its layer."""
        first, self.value = self.value, None
        assert first is not None
        return (first, *states[:-2], states[-1])

    def _keep(self, block: nn.Module, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        self.value = args[0] if args else options["hidden_states"]


@torch.inference_mode()
def find_first_state(model: PreTrainedModel, inputs: Mapping[str, Any]) -> FirstState | None:
    """Means of putting the states of a model in their places; none where they stand there, or where its code fails.

    Args:
        model: a bare encoder.
        inputs: of some text, and the flag that asks for hidden states.
    """
    written: list[Tensor] = []
    try:
        _, block, *_ = find_blocks(model)
    except (InputError, ValueError):  # its layers share their weights, or it has none
        return None
    handle = block.register_forward_hook(lambda *call: written.append(_first(call[-1])))
    first = FirstState(block)
    try:
        states = model(**inputs).hidden_states
        read = first.value
        if read is not None and _equal(states[0], written[0]) and not _equal(states[0], read):
            return first
    except MODEL_ERRORS:  # of which the check of the encoder will speak
        pass
    finally:
        handle.remove()
    first.handle.remove()
    return None


def _first(output: Any) -> Any:
    return output[0] if isinstance(output, tuple) else output


def _equal(one: Tensor, other: Any) -> bool:
    return isinstance(other, Tensor) and one.shape == other.shape and torch.equal(one, other)
