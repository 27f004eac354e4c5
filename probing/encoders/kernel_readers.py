"""Readers of weights for the kernels, one for each architecture.

An architecture that differs from BERT in names alone has a reader of a few lines here. What else the kernels know:
a map behind the embeddings (ELECTRA), biases of scores by distance (MPNet), rotations, gated inner layers, norms
before a product and local attention (ModernBERT), and layers of one part, a dynamic convolution too (LV-BERT).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from probing.encoders.kernel_weights import (
    BLOCK,
    EVERYWHERE,
    LOG,
    NOTHING,
    LayerWeights,
    Map,
    Weights,
    join_maps,
    read_layer,
    read_map,
    read_norm,
    take_turns,
    turn_heads,
)
from probing.encoders.layer_patterns import CONV


def read_bert(model: Any) -> Weights:
    """BERT's, RoBERTa's and ELECTRA's."""
    tables, layers = model.embeddings, []
    for layer in model.encoder.layer:
        maps, after = layer.attention.self, layer.attention.output
        attention = join_maps(model.config, maps.query, maps.key, maps.value)
        parts = (after.dense, layer.intermediate.dense, layer.output.dense)
        layers.append(read_layer(attention, parts, (after.LayerNorm, layer.output.LayerNorm)))
    widening = getattr(model, "embeddings_project", None)
    return Weights(
        [
            tables.word_embeddings.weight,
            _cut(tables.position_embeddings),
            tables.token_type_embeddings.weight,
            *read_norm(tables.LayerNorm),
        ],
        layers,
        tables.LayerNorm.eps,
        () if widening is None else read_map(widening),
    )


def read_distilbert(model: Any) -> Weights:
    """DistilBERT's: no segments."""
    tables, layers = model.embeddings, []
    for layer in model.transformer.layer:
        maps, inner = layer.attention, layer.ffn
        attention = join_maps(model.config, maps.q_lin, maps.k_lin, maps.v_lin)
        norms = (layer.sa_layer_norm, layer.output_layer_norm)
        layers.append(read_layer(attention, (maps.out_lin, inner.lin1, inner.lin2), norms))
    words = tables.word_embeddings.weight
    embeddings = [words, tables.position_embeddings.weight, _draw_none(words), *read_norm(tables.LayerNorm)]
    return Weights(embeddings, layers, tables.LayerNorm.eps)


def read_mpnet(model: Any) -> Weights:
    """MPNet's (arXiv 2004.09297): no segments, and scores that all layers shift by the distance of their tokens."""
    tables, layers = model.embeddings, []
    words, positions = tables.word_embeddings.weight, _cut(tables.position_embeddings)
    reach = len(positions) + BLOCK
    buckets = model.encoder.relative_position_bucket(torch.arange(-reach, reach + 1))
    distances = (LOG * model.encoder.relative_attention_bias.weight[buckets]).T
    for layer in model.encoder.layer:
        maps = layer.attention.attn
        attention = join_maps(model.config, maps.q, maps.k, maps.v)
        parts, norms = (maps.o, layer.intermediate.dense, layer.output.dense), (layer.attention, layer.output)
        read = read_layer(attention, parts, (norms[0].LayerNorm, norms[1].LayerNorm))
        layers.append(replace(read, distances=distances))
    embeddings = [words, positions, _draw_none(words), *read_norm(tables.LayerNorm)]
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
        inner = take_turns(*read_map(layer.mlp.Wi))
        read = read_layer(
            turn_heads(config, layer.attn.Wqkv), (layer.attn.Wo, inner, layer.mlp.Wo), (layer.mlp_norm, norm)
        )
        window = EVERYWHERE if layer.attention_type == "full_attention" else config.sliding_window
        keeps = (True, norm is not model.final_norm)
        layers.append(replace(read, keeps=keeps, rotations=rotations[layer.attention_type], window=window))
    words = tables.tok_embeddings.weight
    embeddings = [words, _draw_none(words), _draw_none(words), *read_norm(tables.norm)]
    return Weights(embeddings, layers, tables.norm.eps, gated=True)


def read_lv_bert(model: Any) -> Weights:
    """LV-BERT's (arXiv 2106.11740): sub-layers of three kinds, each a layer with the other parts empty."""
    tables, widening = model.embeddings, getattr(model, "embeddings_project", None)
    embeddings = [tables.word_embeddings.weight, tables.position_embeddings.weight, tables.token_type_embeddings.weight]
    return Weights(
        [*embeddings, *read_norm(tables.LayerNorm)],
        [_read_sublayer(model.config, place) for place in model.sublayers],
        tables.LayerNorm.eps,
        () if widening is None else read_map(widening),
    )


def _read_sublayer(config: Any, place: Any) -> LayerWeights:
    nothing = (NOTHING, torch.empty(0))
    if hasattr(place, "inner"):
        maps, norms = [nothing, nothing, read_map(place.inner), read_map(place.output)], (None, place.norm)
    else:
        read = _read_values(place.convolution) if hasattr(place, "convolution") else None
        joined = read or join_maps(config, place.query, place.key, place.value)
        maps, norms = [joined, read_map(place.output), nothing, nothing], (place.norm, None)
    vectors = [bias for _, bias in maps]
    vectors += [vector for norm in norms for vector in (read_norm(norm) if norm else (torch.empty(0),) * 2)]
    layer = LayerWeights([matrix for matrix, _ in maps], vectors)
    if not hasattr(place, "convolution"):
        return layer
    matrix, bias = _read_kernels(place.convolution)
    taps = place.convolution.n_taps
    return replace(layer, matrices=[*layer.matrices, matrix], vectors=[*layer.vectors, bias], taps=taps)


def _read_values(convolution: Any) -> Map:
    """Values and their gates, 32 rows of each in turns."""
    parts = zip(read_map(convolution.linear), read_map(convolution.gate), strict=True)
    matrix, bias = (torch.cat(pair) for pair in parts)
    return take_turns(matrix, bias)


def _read_kernels(convolution: Any) -> Map:
    """The logits of a convolution's kernels, times log2(e), from values tap after tap; rows of zeros fill up blocks."""
    maps, bias = (LOG * part.detach().double() for part in convolution.compose())
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


def _read_rotations(model: Any, kind: str) -> Float[Tensor, "positions head"]:
    positions = torch.arange(model.config.max_position_embeddings)[None]
    cosines, sines = model.rotary_emb(torch.empty(0), positions, kind)
    half = cosines.shape[-1] // 2  # the other half is the same again
    return torch.cat([cosines[0, :, :half], sines[0, :, :half]], dim=1)


def _cut(positions: Any) -> Tensor:
    """The table of positions from the first one on that a token can have."""
    return positions.weight[0 if positions.padding_idx is None else positions.padding_idx + 1 :]


def _draw_none(words: Tensor) -> Tensor:
    """A table of one row of zeros."""
    return words.new_zeros(1, words.shape[1])


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
