"""Weights of each architecture as the kernels read them: tables, matrices and vectors in one order for all.

An architecture that differs from BERT in names alone has a reader of a few lines here. What else the kernels know:
a map behind the embeddings (ELECTRA), biases of scores by distance (MPNet), rotations, gated inner layers, norms
before a product and local attention (ModernBERT), and layers of one part, a dynamic convolution too (LV-BERT).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import e as euler
from math import log2
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from probing.encoders.layer_patterns import CONV

BLOCK = 32
"""Rows and columns of the products that kernels are made of."""
EVERYWHERE = 2**30
"""The window of attention to all tokens."""
_NOTHING = torch.empty(0, 0)
Map = tuple[Tensor, Tensor]
"""Matrix and bias."""
_LOG = log2(euler)
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
    rotations: Float[Tensor, "positions head"] = _NOTHING
    """Cosines, then sines, of the angles that numbers of queries and keys are turned by; or nothing."""
    distances: Float[Tensor, "heads distances"] = _NOTHING
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


def read_bert(model: Any) -> Weights:
    """BERT's, RoBERTa's and ELECTRA's."""
    tables, layers = model.embeddings, []
    for layer in model.encoder.layer:
        maps, after = layer.attention.self, layer.attention.output
        attention = _join_maps(model.config, maps.query, maps.key, maps.value)
        parts = (after.dense, layer.intermediate.dense, layer.output.dense)
        layers.append(_read_layer(attention, parts, (after.LayerNorm, layer.output.LayerNorm)))
    widening = getattr(model, "embeddings_project", None)
    return Weights(
        [
            tables.word_embeddings.weight,
            _cut(tables.position_embeddings),
            tables.token_type_embeddings.weight,
            *_read_norm(tables.LayerNorm),
        ],
        layers,
        tables.LayerNorm.eps,
        () if widening is None else _read_map(widening),
    )


def read_distilbert(model: Any) -> Weights:
    """DistilBERT's: no segments."""
    tables, layers = model.embeddings, []
    for layer in model.transformer.layer:
        maps, inner = layer.attention, layer.ffn
        attention = _join_maps(model.config, maps.q_lin, maps.k_lin, maps.v_lin)
        norms = (layer.sa_layer_norm, layer.output_layer_norm)
        layers.append(_read_layer(attention, (maps.out_lin, inner.lin1, inner.lin2), norms))
    words = tables.word_embeddings.weight
    embeddings = [words, tables.position_embeddings.weight, _draw_none(words), *_read_norm(tables.LayerNorm)]
    return Weights(embeddings, layers, tables.LayerNorm.eps)


def read_mpnet(model: Any) -> Weights:
    """MPNet's (arXiv 2004.09297): no segments, and scores that all layers shift by the distance of their tokens."""
    tables, layers = model.embeddings, []
    words, positions = tables.word_embeddings.weight, _cut(tables.position_embeddings)
    reach = len(positions) + BLOCK
    buckets = model.encoder.relative_position_bucket(torch.arange(-reach, reach + 1))
    distances = (_LOG * model.encoder.relative_attention_bias.weight[buckets]).T
    for layer in model.encoder.layer:
        maps = layer.attention.attn
        attention = _join_maps(model.config, maps.q, maps.k, maps.v)
        parts, norms = (maps.o, layer.intermediate.dense, layer.output.dense), (layer.attention, layer.output)
        read = _read_layer(attention, parts, (norms[0].LayerNorm, norms[1].LayerNorm))
        layers.append(replace(read, distances=distances))
    embeddings = [words, positions, _draw_none(words), *_read_norm(tables.LayerNorm)]
    return Weights(embeddings, layers, tables.LayerNorm.eps)


def read_modernbert(model: Any) -> Weights:
    """ModernBERT's (arXiv 2412.13663): rotations, gated inner layers, and states that only the last norm norms.

    The norm before a layer is here the one behind the layer before it; behind the last layer stands the final norm.
    """
    config, tables = model.config, model.embeddings
    rotations = {kind: _read_rotations(model, kind) for kind in set(config.layer_types)}
    after = [*(layer.attn_norm for layer in model.layers[1:]), model.final_norm]
    layers = []
    for layer, norm in zip(model.layers, after, strict=True):
        inner = _take_turns(*_read_map(layer.mlp.Wi))
        read = _read_layer(
            _turn_heads(config, layer.attn.Wqkv), (layer.attn.Wo, inner, layer.mlp.Wo), (layer.mlp_norm, norm)
        )
        window = EVERYWHERE if layer.attention_type == "full_attention" else config.sliding_window
        keeps = (True, norm is not model.final_norm)
        layers.append(replace(read, keeps=keeps, rotations=rotations[layer.attention_type], window=window))
    words = tables.tok_embeddings.weight
    embeddings = [words, _draw_none(words), _draw_none(words), *_read_norm(tables.norm)]
    return Weights(embeddings, layers, tables.norm.eps, gated=True)


def read_lv_bert(model: Any) -> Weights:
    """LV-BERT's (arXiv 2106.11740): sub-layers of three kinds, each a layer with the other parts empty."""
    tables, widening = model.embeddings, getattr(model, "embeddings_project", None)
    embeddings = [tables.word_embeddings.weight, tables.position_embeddings.weight, tables.token_type_embeddings.weight]
    return Weights(
        [*embeddings, *_read_norm(tables.LayerNorm)],
        [_read_sublayer(model.config, place) for place in model.sublayers],
        tables.LayerNorm.eps,
        () if widening is None else _read_map(widening),
    )


def _read_sublayer(config: Any, place: Any) -> LayerWeights:
    nothing = (_NOTHING, torch.empty(0))
    if hasattr(place, "inner"):
        maps, norms = [nothing, nothing, _read_map(place.inner), _read_map(place.output)], (None, place.norm)
    else:
        read = _read_values(place.convolution) if hasattr(place, "convolution") else None
        joined = read or _join_maps(config, place.query, place.key, place.value)
        maps, norms = [joined, _read_map(place.output), nothing, nothing], (place.norm, None)
    vectors = [bias for _, bias in maps]
    vectors += [vector for norm in norms for vector in (_read_norm(norm) if norm else (torch.empty(0),) * 2)]
    layer = LayerWeights([matrix for matrix, _ in maps], vectors)
    if not hasattr(place, "convolution"):
        return layer
    matrix, bias = _read_kernels(place.convolution)
    taps = place.convolution.n_taps
    return replace(layer, matrices=[*layer.matrices, matrix], vectors=[*layer.vectors, bias], taps=taps)


def _read_values(convolution: Any) -> Map:
    """Values and their gates, 32 rows of each in turns."""
    parts = zip(_read_map(convolution.linear), _read_map(convolution.gate), strict=True)
    matrix, bias = (torch.cat(pair) for pair in parts)
    return _take_turns(matrix, bias)


def _read_kernels(convolution: Any) -> Map:
    """The logits of a convolution's kernels, times log2(e), from values tap after tap; rows of zeros fill up blocks."""
    maps, bias = (_LOG * part.detach().double() for part in convolution.compose())
    matrix = torch.cat([maps[:, :, tap] for tap in range(convolution.n_taps)], dim=1)
    behind = -len(bias) % BLOCK
    return F.pad(matrix, (0, 0, 0, behind)).float(), F.pad(bias, (0, behind)).float()


def find_lv_obstacle(model: Any) -> str:
    """Why the kernels cannot do an LV-BERT; empty where they can."""
    if model.config.supernet:
        return "it is a supernet, whose path may change"
    reads_padding = model.config.convolution_sees_padding and CONV in model.config.layer_pattern
    return "its convolutions read padding" if reads_padding else ""


def find_modern_obstacle(model: Any) -> str:
    """Why the kernels cannot do a ModernBERT; empty where they can."""
    kinds = {part["rope_type"] for part in model.config.rope_parameters.values() if part}
    return "" if kinds <= {"default"} else f"its positions are rotations of the kinds {', '.join(sorted(kinds))}"


def _read_layer(attention: Map, parts: tuple[Any, Any, Any], norms: tuple[Any, Any]) -> LayerWeights:
    """A layer of BERT's kind: attention's maps in one, then its map, the inner layer and the map behind it."""
    maps = [attention, *(part if isinstance(part, tuple) else _read_map(part) for part in parts)]
    vectors = [bias for _, bias in maps] + [vector for norm in norms for vector in _read_norm(norm)]
    return LayerWeights([matrix for matrix, _ in maps], vectors)


def _join_maps(config: Any, *maps: Any) -> Map:
    """Queries, keys and values in one product in place of three: the states of a block of texts are read once."""
    matrix, bias = (torch.cat(parts) for parts in zip(*map(_read_map, maps), strict=True))
    return _scale_queries(config, matrix, bias)


def _scale_queries(config: Any, matrix: Tensor, bias: Tensor) -> Map:
    """Queries times log2(e) / sqrt(width of a head), so that a power of two of a score is the softmax's numerator."""
    factors = torch.ones_like(bias)
    factors[: len(bias) // 3] = _LOG / _find_head_width(config) ** 0.5
    return factors[:, None] * matrix, factors * bias


def _turn_heads(config: Any, joined: Any) -> Map:
    """Queries, keys and values whose numbers that a rotation turns together stand 16 apart.

    Numbers i and i + half a head's width are turned together: their order in a head moves no product of a query and a
    key, for both are in the same.
    """
    matrix, bias = _scale_queries(config, *_read_map(joined))
    head, half = _find_head_width(config), BLOCK // 2
    order = torch.arange(head).view(2, head // BLOCK, half).transpose(0, 1).reshape(-1)
    rows = torch.arange(len(bias)).view(3, -1, head)
    rows[:2] = rows[:2, :, order]
    return matrix[rows.view(-1)], bias[rows.view(-1)]


def _take_turns(matrix: Tensor, bias: Tensor) -> Map:
    """A gated inner layer, 32 rows that are activated and the 32 that they are multiplied with in turns."""
    rows = torch.arange(len(bias)).view(2, -1, BLOCK).transpose(0, 1).reshape(-1)
    return matrix[rows], bias[rows]


def _read_rotations(model: Any, kind: str) -> Float[Tensor, "positions head"]:
    positions = torch.arange(model.config.max_position_embeddings)[None]
    cosines, sines = model.rotary_emb(torch.empty(0), positions, kind)
    half = cosines.shape[-1] // 2  # the other half is the same again
    return torch.cat([cosines[0, :, :half], sines[0, :, :half]], dim=1)


def _read_map(part: Any) -> Map:
    return part.weight, _fill(part.bias, part.weight)


def _read_norm(norm: Any) -> Map:
    return norm.weight, _fill(norm.bias, norm.weight)


def _fill(bias: Tensor | None, weight: Tensor) -> Tensor:
    """Zeros where there is no bias."""
    return weight.new_zeros(len(weight)) if bias is None else bias


def _cut(positions: Any) -> Tensor:
    """The table of positions from the first one on that a token can have."""
    return positions.weight[0 if positions.padding_idx is None else positions.padding_idx + 1 :]


def _draw_none(words: Tensor) -> Tensor:
    """A table of one row of zeros."""
    return words.new_zeros(1, words.shape[1])


def _find_head_width(config: Any) -> int:
    return config.hidden_size // config.num_attention_heads


READERS: dict[str, Callable[[Any], Weights]] = {
    "bert": read_bert,
    "roberta": read_bert,
    "xlm-roberta": read_bert,
    "camembert": read_bert,
    "electra": read_bert,
    "distilbert": read_distilbert,
    "mpnet": read_mpnet,
    "modernbert": read_modernbert,
    "lv_bert": read_lv_bert,
}
"""Model types and how their weights are read."""
OBSTACLES: dict[str, Callable[[Any], str]] = {"modernbert": find_modern_obstacle, "lv_bert": find_lv_obstacle}
"""Functions that say what the kernels cannot do of a model, for types with more to be asked than others."""
