"""Encoders by kernels of our own, compiled at installation: whole layers in the cache of a core, pooled on the way.

In bfloat16, weights and the inputs of products are that; sums, the residual stream, norms, softmax and pooling are
float32, so that its vectors are nearer to float32's than those of a model converted to bfloat16. In float32, vectors
are those of torch within 1e-5 of their length. What it cannot do (another architecture, a processor that no engine is
for, a machine without a compiler) goes through torch instead.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, UInt16
from torch import Tensor
from transformers import PreTrainedModel

from probing.contracts.encoder import Tokens
from probing.encoders.kernel_readers import OBSTACLES, READERS
from probing.encoders.kernel_weights import BLOCK, LayerWeights
from probing.encoders.packing import is_packed
from probing.kernels import load_kernels

_CACHE_BYTES = 2 * 2**20
"""Size of the states of a block of sentences at most: the second-level cache of a core."""
_ACTIVATION = ("hidden_act", "activation", "hidden_activation")
_INNER_SIZE = ("intermediate_size", "hidden_dim")
"""Names of a setting in the configurations of architectures."""


class FusedModel:
    """An encoder whose weights are packed for the kernels; obeys none of torch's ways.

    Args:
        model: in float32, of a kind that `find_obstacle` has nothing against.
        engine: as `probing.kernels` lists them.
        takes_types: whether it reads segments; else all tokens are of segment 0.
    """

    def __init__(self, model: PreTrainedModel, engine: str, *, takes_types: bool = True):
        config, self._takes_types = model.config, takes_types
        self._inner_size = _find_setting(config, _INNER_SIZE)
        in_bf16 = dict(load_kernels().list_engines())[engine] == "bfloat16"
        self._pack, number_bytes = (pack_pairs, 2) if in_bf16 else (pack_blocks, 4)
        self._shape = (config.num_hidden_layers + 1, config.hidden_size)
        # Beside the residual stream, one room holds queries, keys, values and attention's output, then the inner
        # states.
        inner = max(4 * config.hidden_size, self._inner_size)
        row_bytes = 4 * config.hidden_size + number_bytes * (config.hidden_size + inner)
        self._rows = max(1, _CACHE_BYTES // row_bytes // BLOCK) * BLOCK
        self._encoder = self._load(model, engine)

    def _load(self, model: PreTrainedModel, engine: str) -> Any:
        kernels, config, weights = load_kernels(), model.config, READERS[model.config.model_type](model)
        tables = dict[int, np.ndarray]()
        return kernels.Encoder(
            engine=engine,
            shape=kernels.Shape(config.num_attention_heads, self._inner_size, weights.epsilon, weights.gated),
            embeddings=[to_array(tensor) for tensor in weights.embeddings],
            widening=[self._pack(weights.widening[0]), to_array(weights.widening[1])] if weights.widening else [],
            layers=[self._load_layer(layer, tables) for layer in weights.layers],
        )

    def _load_layer(self, layer: LayerWeights, tables: dict[int, np.ndarray]) -> Any:
        for table in (layer.rotations, layer.distances):
            if id(table) not in tables:  # layers share them
                tables[id(table)] = to_array(table)
        return load_kernels().LayerWeights(
            matrices=[self._pack(matrix) for matrix in layer.matrices],
            vectors=[to_array(vector) for vector in layer.vectors],
            tables=[tables[id(layer.rotations)], tables[id(layer.distances)]],
            keeps=layer.keeps,
            window=layer.window,
            taps=layer.taps,
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
            IndexError: a token that the encoder has no embedding for, or a text longer than its positions.
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
    if config.model_type not in READERS:
        return f"{config.model_type} is not one of {', '.join(READERS)}"
    if is_packed(model):
        return "its weights are packed in few bits, and what they are multiplied with is rounded"
    activation = _find_setting(config, _ACTIVATION, "gelu")
    if activation != "gelu":
        return f"its activation is {activation}, not gelu"
    if getattr(config, "is_decoder", False) or getattr(config, "position_embedding_type", "absolute") != "absolute":
        return "it attends in another way than BERT"
    sizes = (config.hidden_size, config.hidden_size // config.num_attention_heads, _find_setting(config, _INNER_SIZE))
    sizes = (*sizes, getattr(config, "embedding_size", config.hidden_size))
    if any(size % BLOCK for size in sizes):
        return f"its sizes {sizes} (states, a head's, inner, embeddings) are not all multiples of {BLOCK}"
    find_more = OBSTACLES.get(config.model_type)
    return find_more(model) if find_more else ""


def _find_setting(config: Any, names: tuple[str, ...], usual: Any = None) -> Any:
    return next((getattr(config, name) for name in names if hasattr(config, name)), usual)


def pack_pairs(weights: Float[Tensor, "outputs inputs"]) -> UInt16[np.ndarray, " packed"]:
    """A matrix in bfloat16, in blocks of 32 x 32, each with its inputs in pairs: what a matrix unit reads at once."""
    outputs, inputs = (size // BLOCK for size in weights.shape)
    blocks = weights.detach().reshape(outputs, 2, 16, inputs, 16, 2).permute(0, 3, 1, 4, 2, 5)
    return blocks.to(torch.bfloat16).contiguous().view(torch.int16).numpy().view(np.uint16).reshape(-1)


def pack_blocks(weights: Float[Tensor, "outputs inputs"]) -> Float32[np.ndarray, " packed"]:
    """A matrix in float32, in blocks of 32 x 32, each turned so that an input's 32 weights stand side by side."""
    outputs, inputs = (size // BLOCK for size in weights.shape)
    blocks = weights.detach().reshape(outputs, BLOCK, inputs, BLOCK).permute(0, 2, 3, 1)
    return to_array(blocks).reshape(-1)


def to_array(tensor: Tensor) -> Float[np.ndarray, "..."]:
    """A float32 copy that stays as it is when the model is converted."""
    return tensor.detach().float().clone().contiguous().numpy()
