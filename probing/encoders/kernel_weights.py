"""Weights as the kernels read them: tables, matrices and vectors in one order for all architectures.

What an architecture is made of is brought to that order by a reader (`kernel_readers.py`), of the steps that are here.
"""

from dataclasses import dataclass
from math import e as euler
from math import log2
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

BLOCK = 32
"""Rows and columns of the products that kernels are made of."""
EVERYWHERE = 2**30
"""The window of attention to all tokens."""
NOTHING = torch.empty(0, 0)
"""A matrix that a layer does not have."""
Map = tuple[Tensor, Tensor]
"""Matrix and bias."""
LOG = log2(euler)
"""Processors have a power of two, and none of e: the factor goes into what scores are made of, and costs nothing."""


@dataclass(frozen=True)
class LayerWeights:
    """Weights of one layer."""

    matrices: list[Tensor]
    """Queries, keys and values in one, the queries times log2(e) / sqrt(width of a head); attention's map; the inner
    layer, of a gated one panel by panel of 32 in turns; the map behind it. Empty where a layer has none of them. A
    convolution has values and gates in turns in the place of attention's, and last what makes its kernels."""
    vectors: list[Tensor]
    """Biases of the first four matrices; scale and shift of the norm behind attention's map, and of that behind the
    layer; the bias of what makes a convolution's kernels."""
    keeps: tuple[bool, bool] = (False, False)
    """True for each norm that leaves the states as they are, and norms only what the next product reads."""
    rotations: Float[Tensor, "positions head"] = NOTHING
    """Cosines, then sines, of the angles that numbers of queries and keys are turned by; or nothing."""
    distances: Float[Tensor, "heads distances"] = NOTHING
    """Gain of scores by the distance from query to key, times log2(e), distance 0 in the middle; or nothing."""
    window: int = EVERYWHERE
    """Tokens on either side that a token reads."""
    taps: int = 0
    """Tokens that a convolution's kernel reads, or 0."""


@dataclass(frozen=True)
class Weights:
    """Weights of an encoder."""

    embeddings: list[Tensor]
    """Tables of words, positions (from the first one that a token can have; one row of zeros where there are none) and
    types (the same); scale and shift of the norm."""
    layers: list[LayerWeights]
    epsilon: float
    """Of all norms."""
    widening: Map | tuple[()] = ()
    """The map behind the embeddings."""
    gated: bool = False
    """True where the activated half of an inner layer is multiplied with the other half (GeGLU)."""


def read_layer(attention: Map, parts: tuple[Any, Any, Any], norms: tuple[Any, Any]) -> LayerWeights:
    """A layer of BERT's kind: attention's maps in one, then its map, the inner layer and the map behind it."""
    maps = [attention, *(part if isinstance(part, tuple) else read_map(part) for part in parts)]
    vectors = [bias for _, bias in maps] + [vector for norm in norms for vector in read_norm(norm)]
    return LayerWeights([matrix for matrix, _ in maps], vectors)


def join_maps(config: Any, *maps: Any) -> Map:
    """Queries, keys and values in one product in place of three: the states of a block of texts are read once."""
    matrix, bias = (torch.cat(parts) for parts in zip(*map(read_map, maps), strict=True))
    return scale_queries(config, matrix, bias)


def scale_queries(config: Any, matrix: Tensor, bias: Tensor) -> Map:
    """Queries times log2(e) / sqrt(width of a head), so that a power of two of a score is the softmax's numerator."""
    factors = torch.ones_like(bias)
    factors[: len(bias) // 3] = LOG / _find_head_width(config) ** 0.5
    return factors[:, None] * matrix, factors * bias


def turn_heads(config: Any, joined: Any) -> Map:
    """Queries, keys and values whose numbers that a rotation turns together stand 16 apart.

    Numbers i and i + half a head's width are turned together: their order in a head moves no product of a query and a
    key, for both are in the same.
    """
    matrix, bias = scale_queries(config, *read_map(joined))
    head, half = _find_head_width(config), BLOCK // 2
    order = torch.arange(head).view(2, head // BLOCK, half).transpose(0, 1).reshape(-1)
    rows = torch.arange(len(bias)).view(3, -1, head)
    rows[:2] = rows[:2, :, order]
    return matrix[rows.view(-1)], bias[rows.view(-1)]


def take_turns(matrix: Tensor, bias: Tensor) -> Map:
    """A gated inner layer, 32 rows that are activated and the 32 that they are multiplied with in turns."""
    rows = torch.arange(len(bias)).view(2, -1, BLOCK).transpose(0, 1).reshape(-1)
    return matrix[rows], bias[rows]


def read_map(part: Any) -> Map:
    """Matrix and bias of a linear map, the bias of zeros where it has none."""
    return part.weight, _fill(part.bias, part.weight)


def read_norm(norm: Any) -> Map:
    """Scale and shift of a norm, the shift of zeros where it has none."""
    return norm.weight, _fill(norm.bias, norm.weight)


def _fill(bias: Tensor | None, weight: Tensor) -> Tensor:
    """Zeros where there is no bias."""
    return weight.new_zeros(len(weight)) if bias is None else bias


def _find_head_width(config: Any) -> int:
    return config.hidden_size // config.num_attention_heads
