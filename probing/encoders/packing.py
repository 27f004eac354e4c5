"""Packed weights: codes of 2, 4 or 8 bits, several to a byte, beside their step sizes.

A code c is stored as c + 2^(w - 1), w the width; the first code of a byte stands in its lowest bits. Codes of 3 bits
take 4, those of 5 to 7 take 8. Weights are unpacked where they are used, so that memory is as small as the file.
"""

from functools import cache

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from probing.encoders.step_size import FixedStep

_WIDTHS = (2, 4, 8)


def find_width(bits: int) -> int:
    """Bits that a code of so many bits is stored in."""
    return next(width for width in _WIDTHS if width >= bits)


def pack(codes: Float[Tensor, "rows columns"], width: int) -> UInt8[Tensor, "rows bytes"]:
    """Whole numbers c, -2^(width - 1) < c < 2^(width - 1), in bytes; the last byte of a row may be partly empty."""
    per_byte = 8 // width
    shifted = (codes + 2 ** (width - 1)).to(torch.uint8)
    filled = F.pad(shifted, (0, -codes.shape[1] % per_byte)).unflatten(1, (-1, per_byte))
    shifts = width * torch.arange(per_byte, dtype=torch.uint8, device=codes.device)
    return (filled << shifts).sum(dim=2, dtype=torch.uint8)


def unpack(packed: UInt8[Tensor, "*rows bytes"], width: int, n_columns: int) -> Float[Tensor, "*rows columns"]:
    """The codes as float32 numbers."""
    table = _list_codes(width).to(packed.device)
    return F.embedding(packed.int(), table).flatten(-2)[..., :n_columns]


@cache
def _list_codes(width: int) -> Float[Tensor, "256 codes"]:
    """The codes of every byte."""
    shifts = width * torch.arange(8 // width)
    return ((torch.arange(256)[:, None] >> shifts & (2**width - 1)) - 2 ** (width - 1)).float()


class PackedWeight(nn.Module):
    """A matrix as codes and steps.

    Args:
        shape: rows and columns.
        bits: of a code, 2 to 8.
        per_row: whether each row has a step of its own.
    """

    codes: UInt8[Tensor, "rows bytes"]
    step: Float[Tensor, "steps 1"]

    def __init__(self, shape: tuple[int, int], bits: int, per_row: bool):
        super().__init__()
        n_rows, self.n_columns = shape
        self.width = find_width(bits)
        n_bytes = -(-self.n_columns * self.width // 8)
        self.register_buffer("codes", torch.zeros(n_rows, n_bytes, dtype=torch.uint8))
        self.register_buffer("step", torch.ones(n_rows if per_row else 1, 1))

    def fill(self, codes: Float[Tensor, "rows columns"], step: Float[Tensor, "steps 1"]) -> None:
        """Take over codes and steps."""
        self.codes.copy_(pack(codes, self.width))
        self.step.copy_(step)

    def find_rows(self, rows: Int[Tensor, "..."]) -> Float[Tensor, "... columns"]:
        """Some rows of the matrix, in the number format of the step."""
        step = self.step[rows] if len(self.step) > 1 else self.step[0]
        return self._scale(self.codes[rows], step)

    def forward(self) -> Float[Tensor, "rows columns"]:
        """The whole matrix, in the number format of the step."""
        return self._scale(self.codes, self.step)

    def _scale(self, packed: Tensor, step: Tensor) -> Tensor:
        return (unpack(packed, self.width, self.n_columns) * step.float()).to(step.dtype)


class PackedLinear(nn.Module):
    """A linear map with packed weights, whose inputs are quantised.

    Args:
        plain: the map in whose place it stands; its bias is taken over.
        bits: of the weights.
        per_row: whether each output has a step of its own.
        input_bits: of the inputs.
    """

    def __init__(self, plain: nn.Linear, bits: int, per_row: bool, input_bits: int):
        super().__init__()
        self.in_features, self.out_features = plain.in_features, plain.out_features
        self.packed = PackedWeight((plain.out_features, plain.in_features), bits, per_row)
        self.bias = plain.bias
        self.input_step = FixedStep(input_bits)

    @property
    def weight(self) -> Float[Tensor, "outputs inputs"]:
        """The weights, unpacked."""
        return self.packed()

    def forward(self, inputs: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
        """The map of the quantised inputs."""
        return F.linear(self.input_step(inputs), self.weight, self.bias)


class PackedEmbedding(nn.Module):
    """A table of embeddings with packed rows, of which those that are asked for are unpacked.

    Args:
        plain: the table in whose place it stands.
        bits: of the weights.
        per_row: whether each row has a step of its own.
    """

    def __init__(self, plain: nn.Embedding, bits: int, per_row: bool):
        super().__init__()
        self.num_embeddings, self.embedding_dim = plain.num_embeddings, plain.embedding_dim
        self.padding_idx = plain.padding_idx
        self.packed = PackedWeight((plain.num_embeddings, plain.embedding_dim), bits, per_row)

    @property
    def weight(self) -> Float[Tensor, "rows columns"]:
        """The whole table, unpacked."""
        return self.packed()

    def forward(self, rows: Int[Tensor, "..."]) -> Float[Tensor, "... columns"]:
        """The embeddings of some rows."""
        return self.packed.find_rows(rows)


def count_packed(model: nn.Module) -> int:
    """Number of weights that a model has in packed form."""
    packed = [part for part in model.modules() if isinstance(part, PackedWeight)]
    return sum(len(part.codes) * part.n_columns for part in packed)


def is_packed(model: nn.Module) -> bool:
    """True where a model has packed weights."""
    return any(isinstance(part, PackedWeight) for part in model.modules())
