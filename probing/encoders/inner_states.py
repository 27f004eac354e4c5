"""States and raw attention scores of every layer of a model, with gradients: what a student learns from a teacher."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from probing.encoders.blocks import find_backbone, find_blocks
from probing.encoders.quantised_attention import compute_attention, is_quantised
from probing.records import InputError

Scores = Float[Tensor, "batch heads tokens tokens"]
"""q k / sqrt(d) before softmax: a row for each token that reads, a column for each that is read."""
_RECORDED = "recorded"
"""Name of our attention function in transformers' registry."""


@dataclass
class _Recording:
    wanted: frozenset[int]
    found: dict[int, Scores]
    n_calls: int = 0


_RECORDINGS: list[_Recording] = []
"""Recordings that are on; the innermost is the last."""


@dataclass(frozen=True)
class InnerStates:
    """All that a layer by layer loss reads of one model and batch."""

    present: Bool[Tensor, "batch tokens"]
    """True at tokens, false at padding."""
    hidden: tuple[Float[Tensor, "batch tokens hidden"], ...]
    """Of each layer, the embeddings first; empty where they were not asked for."""
    scores: Mapping[int, Scores]
    """By layer, from 1 on, of those that were asked for. What stands at padding means nothing."""
    logits: Float[Tensor, "batch labels"] | None
    """None where the model has no head."""


def read_inner(
    model: Any, inputs: Mapping[str, Tensor], *, hidden: bool = True, scored: Iterable[int] = ()
) -> InnerStates:
    """The states and scores of a model, from one forward pass, which keeps the gradient if one is on.

    Args:
        model: with or without a head; several processes may wrap it.
        inputs: its keywords.
        hidden: whether states are read.
        scored: layers whose scores are read, from 1 on. All others compute attention in one piece.
    """
    with record_scores(getattr(model, "module", model), scored) as scores:
        output = model(**inputs, output_hidden_states=hidden)
    mask, ids = inputs.get("attention_mask"), inputs["input_ids"]
    present = torch.ones_like(ids, dtype=torch.bool) if mask is None else mask.bool()
    states = tuple(output.hidden_states) if hidden else ()
    return InnerStates(present, states, scores, getattr(output, "logits", None))


@contextmanager
def record_scores(model: PreTrainedModel, layers: Iterable[int]) -> Iterator[dict[int, Scores]]:
    """While this lasts, a forward pass leaves the scores of some layers, by their numbers from 1 on."""
    recording = _Recording(frozenset(layers), {})
    if not recording.wanted:
        yield recording.found
        return
    modules = find_backbone(model).modules()
    configs: Any = {id(config): config for one in modules if (config := getattr(one, "config", None)) is not None}
    usual = [(config, config._attn_implementation) for config in configs.values()]
    for config in configs.values():
        config._attn_implementation = _RECORDED
    _RECORDINGS.append(recording)
    try:
        yield recording.found
    finally:
        _RECORDINGS.pop()
        for config, name in usual:
            config._attn_implementation = name


@torch.no_grad()
def check_scores(model: PreTrainedModel, name: str) -> None:
    """See that the scores of every block can be read.

    Raises:
        InputError: its attention is not computed by transformers' exchangeable functions.
    """
    n_layers, ids = len(find_blocks(model)) - 1, torch.zeros(1, 2, dtype=torch.long, device=model.device)
    found = read_inner(model, {"input_ids": ids}, scored=range(1, n_layers + 1)).scores
    if len(found) < n_layers:
        raise InputError(
            f"{name}: the attention scores of {model.config.model_type} cannot be read; leave their loss out by "
            "--attention-weight 0, or take BERT"
        )


def _attend(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **others: Any
) -> tuple[Tensor, Tensor | None]:
    """Attention as transformers calls it: in pieces where scores are recorded, else in one."""
    recording = _RECORDINGS[-1]
    recording.n_calls += 1
    if is_quantised(module):
        options = {name: others[name] for name in ("scaling", "dropout") if name in others}
        found = compute_attention(module, (query, key, value), attention_mask, **options)
        if recording.n_calls in recording.wanted:
            recording.found[recording.n_calls] = found.scores
        return found.contexts, None
    if recording.n_calls not in recording.wanted:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **others)
    scaling, dropout = others.get("scaling"), others.get("dropout", 0.0)
    scores = query @ key.transpose(2, 3) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    recording.found[recording.n_calls] = scores
    if attention_mask is not None:
        scores = scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
    shares = torch.dropout(scores.softmax(dim=-1), dropout, train=True)
    return (shares @ value).transpose(1, 2).contiguous(), None


AttentionInterface.register(_RECORDED, _attend)
AttentionMaskInterface.register(_RECORDED, sdpa_mask)
