"""CANINE (arXiv 2103.06874): a deep encoder of molecules, which are some characters each, between two shallow ones.

Each layer gets a state for each character: those of molecules are repeated as the model itself repeats them before its
last block (section 3.3, "Upsampling").
"""

from math import ceil

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import CanineModel, PreTrainedModel


class CharacterStates:
    """Pads what CANINE reads, and gives each of its layers a state for each character.

    The last molecule of a full buffer is cut off (the first one holds [CLS] once more), a text shorter than a molecule
    has none, and the last block's convolution reads what stands behind a character. So molecules of padding are put
    behind every text: published weights were trained on buffers that texts do not fill.

    Args:
        model: a bare CANINE.
    """

    def __init__(self, model: CanineModel):
        self._repeat = model._repeat_molecules
        self._rate = int(model.config.downsampling_rate)
        self.room = self._rate * (1 + ceil(model.config.upsampling_kernel_size / self._rate))
        """Places that a text must leave free: those of the molecule that is cut off, and of those that are read."""
        self._n_blocks = int(model.config.num_hidden_layers)

    def name_layers(self) -> tuple[str, ...]:
        """Names of the layers: of characters, of molecules (0 is what the first deep block reads), of characters."""
        molecules = (f"molecules {block}" for block in range(self._n_blocks + 1))
        return ("embeddings", "characters", *molecules, "upsampled", "last characters")

    def extend(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """The inputs of a model, with padding behind them."""
        ids = inputs["input_ids"]
        mask = inputs.get("attention_mask", torch.ones_like(ids))
        more = -ids.shape[1] % self._rate + self.room
        return {name: pad(values, (0, more)) for name, values in (inputs | {"attention_mask": mask}).items()}

    def align(self, states: tuple[Tensor, ...], length: int) -> tuple[Tensor, ...]:
        """The states of a forward pass, each layer's with one for each of so many characters."""
        longest = max(state.shape[1] for state in states)
        whole = [state if state.shape[1] == longest else self._repeat(state, longest) for state in states]
        return tuple(state[:, :length] for state in whole)


def find_characters(model: PreTrainedModel) -> CharacterStates | None:
    """The way to states of characters, where a model has others."""
    return CharacterStates(model) if isinstance(model, CanineModel) else None
