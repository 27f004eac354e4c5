"""BERT by kernels of our own, compiled at installation: whole layers in the cache of a core, pooled on the way.

In bfloat16, weights and the inputs of products are that; sums, the residual stream, norms, softmax and pooling are
float32, so that its vectors are nearer to float32's than those of a model converted to bfloat16. In float32, vectors
are those of torch within 1e-5 of their length. What it cannot do (another architecture, a processor that no engine is
for, a machine without a compiler) goes through torch instead.
"""

from math import e as euler
from math import log2
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, UInt16
from torch import Tensor
from transformers import PreTrainedModel

from probing.contracts.encoder import Tokens
from probing.encoders.packing import is_packed
from probing.kernels import load_kernels

_BLOCK = 32
"""Rows and columns of the products that kernels are made of."""
_CACHE_BYTES = 2 * 2**20
"""Size of the states of a block of sentences at most: the second-level cache of a core."""
_TYPES = ("bert", "roberta", "xlm-roberta", "camembert")
"""Model types that are BERT but for their embeddings' numbering."""


class FusedModel:
    """A BERT whose weights are packed for the kernels; obeys none of torch's ways.

    Args:
        model: in float32, of a kind that `find_obstacle` has nothing against.
        engine: as `probing.kernels` lists them.
        takes_types: whether it reads segments; else all tokens are of segment 0.
    """

    def __init__(self, model: PreTrainedModel, engine: str, *, takes_types: bool = True):
        config, parts, self._takes_types = model.config, cast(Any, model), takes_types
        in_bf16 = dict(load_kernels().list_engines())[engine] == "bfloat16"
        pack, number_bytes = (pack_pairs, 2) if in_bf16 else (pack_blocks, 4)
        # BERT alone comes here (`find_obstacle`), whose states are those of the embeddings and of each block.
        self._shape = (config.num_hidden_layers + 1, config.hidden_size)
        # Beside the residual stream, one room holds queries, keys, values and attention's output, then the inner
        # states.
        inner = max(4 * config.hidden_size, config.intermediate_size)
        row_bytes = 4 * config.hidden_size + number_bytes * (config.hidden_size + inner)
        self._rows = max(1, _CACHE_BYTES // row_bytes // _BLOCK) * _BLOCK
        # Processors have a power of two, and none of e: the factor goes into the queries' weights, and costs nothing.
        scale = log2(euler) / (config.hidden_size / config.num_attention_heads) ** 0.5
        layers = [read_layer(layer, scale) for layer in parts.encoder.layer]
        self._encoder = load_kernels().Encoder(
            engine,
            config.num_attention_heads,
            config.intermediate_size,
            config.layer_norm_eps,
            [to_array(tensor) for tensor in read_embeddings(parts.embeddings)],
            [[pack(matrix) for matrix in matrices] for matrices, _ in layers],
            [[to_array(vector) for vector in vectors] for _, vectors in layers],
        )

    def pool(
        self,
        tokens: Tokens,
        rows: Int[np.ndarray, " batch"],
        shares: Float32[np.ndarray, " tokens"],
        largest: bool,
        threads: int,
    ) -> Float[np.ndarray, "layers batch hidden"]:
        """Pool as `contracts.encoder.PoolingEncoder.pool` does, each thread taking one block of texts after the other.

        Raises:
            IndexError: a token that the encoder has no embedding for.
        """
        ids, types = ([part[row] for row in rows] for part in (tokens.ids, tokens.types))
        starts = np.cumsum([0, *map(len, ids)], dtype=np.int64)
        pooled = np.empty((self._shape[0], len(rows), self._shape[1]), dtype=np.float32)
        numbers = [np.concatenate(part).astype(np.int32) for part in (ids, types)]
        if not self._takes_types:
            numbers[1] = np.zeros_like(numbers[0])
        self._encoder.encode(*numbers, starts, shares, largest, pooled, self._rows, threads)
        return pooled


def find_obstacle(model: PreTrainedModel) -> str:
    """Why the kernels cannot do a model; empty where they can."""
    config: Any = model.config
    if config.model_type not in _TYPES:
        return f"{config.model_type} is not one of {', '.join(_TYPES)}"
    if is_packed(model):
        return "its weights are packed in few bits, and what they are multiplied with is rounded"
    if config.hidden_act != "gelu":
        return f"its activation is {config.hidden_act}, not gelu"
    if getattr(config, "is_decoder", False) or getattr(config, "position_embedding_type", "absolute") != "absolute":
        return "it attends in another way than BERT"
    sizes = (config.hidden_size, config.hidden_size // config.num_attention_heads, config.intermediate_size)
    if any(size % _BLOCK for size in sizes):
        return f"its sizes {sizes} (states, a head's, inner) are not all multiples of {_BLOCK}"
    return ""


def read_embeddings(embeddings: Any) -> list[Tensor]:
    """Tables of words, positions (from the first one that a token can have) and types; scale and shift of the norm."""
    positions, norm = embeddings.position_embeddings, embeddings.LayerNorm
    first = 0 if positions.padding_idx is None else positions.padding_idx + 1
    return [
        embeddings.word_embeddings.weight,
        positions.weight[first:],
        embeddings.token_type_embeddings.weight,
        norm.weight,
        norm.bias,
    ]


def read_layer(layer: Any, scale: float) -> tuple[list[Tensor], list[Tensor]]:
    """Matrices, and biases and norms, in the order that the kernels take them in.

    Queries are multiplied by `scale`, so that a power of two of a score is the softmax's numerator.
    """
    attention, after = layer.attention.self, layer.attention.output
    maps = (attention.query, attention.key, attention.value)
    # One product in place of three: the states of a block of texts are read once.
    matrix = torch.cat([scale * maps[0].weight, maps[1].weight, maps[2].weight])
    bias = torch.cat([scale * maps[0].bias, maps[1].bias, maps[2].bias])
    others = (after.dense, layer.intermediate.dense, layer.output.dense)
    norms = (after.LayerNorm, layer.output.LayerNorm)
    vectors = [bias, *(part.bias for part in others)]
    vectors += [vector for norm in norms for vector in (norm.weight, norm.bias)]
    return [matrix, *(part.weight for part in others)], vectors


def pack_pairs(weights: Float[Tensor, "outputs inputs"]) -> UInt16[np.ndarray, " packed"]:
    """A matrix in bfloat16, in blocks of 32 x 32, each with its inputs in pairs: what a matrix unit reads at once."""
    outputs, inputs = (size // _BLOCK for size in weights.shape)
    blocks = weights.detach().reshape(outputs, 2, 16, inputs, 16, 2).permute(0, 3, 1, 4, 2, 5)
    return blocks.to(torch.bfloat16).contiguous().view(torch.int16).numpy().view(np.uint16).reshape(-1)


def pack_blocks(weights: Float[Tensor, "outputs inputs"]) -> Float32[np.ndarray, " packed"]:
    """A matrix in float32, in blocks of 32 x 32, each turned so that an input's 32 weights stand side by side."""
    outputs, inputs = (size // _BLOCK for size in weights.shape)
    blocks = weights.detach().reshape(outputs, _BLOCK, inputs, _BLOCK).permute(0, 2, 3, 1)
    return to_array(blocks).reshape(-1)


def to_array(tensor: Tensor) -> Float[np.ndarray, "..."]:
    """A float32 copy that stays as it is when the model is converted."""
    return tensor.detach().float().clone().contiguous().numpy()
