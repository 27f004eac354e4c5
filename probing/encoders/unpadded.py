"""Sentences in a row, without padding, through a model of transformers': what an accelerator encodes by.

All sentences of a batch are one row of tokens; every operation but attention takes each token by itself and sees no
difference. Attention is within each sentence: on CUDA, in half precision, by torch's kernel for sequences of several
lengths (FlashAttention's); elsewhere by torch's plain one, for neighbours of one length together. Each layer is pooled
where it was computed, and only pooled vectors leave the device, while the next batch is computed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface, PreTrainedModel

from probing.contracts.encoder import Tokens, Wait
from probing.encoders.checkpoint_files import MODEL_ERRORS
from probing.encoders.inputs import ModelInputs

_NAME = "sentences_in_a_row"
"""Of our attention, among those of transformers; masks of an attention that it does not know it leaves out."""
_TOLERANCES = {"float32": 1e-4, "bfloat16": 0.1}
"""Distance between states of a token, relative to their length, as in the check of an encoder."""
_TRIED = ("a b a", "a", "b a b a b", " ".join("ab" * 100))
"""Texts of several lengths, one longer than a window of local attention."""


@dataclass(frozen=True)
class Row:
    """Sentences one after the other: where each begins."""

    lengths: Int[np.ndarray, " sentences"]
    device: torch.device

    @cached_property
    def runs(self) -> list[tuple[int, int, int]]:
        """Neighbours of one length: their first token, how many sentences, how long each."""
        borders = np.flatnonzero(np.diff(self.lengths, prepend=-1, append=-1))
        starts = np.cumsum([0, *self.lengths])
        pairs = zip(borders[:-1].tolist(), borders[1:].tolist(), strict=True)
        return [(int(starts[first]), last - first, int(self.lengths[first])) for first, last in pairs]

    @cached_property
    def starts(self) -> Int[Tensor, " borders"]:
        """First token of each sentence, and the end, where the kernel wants them."""
        return send(np.cumsum([0, *self.lengths]).astype(np.int32), self.device)


_ROW = ContextVar[Row]("_ROW")
"""The row whose attention is computed now: models do not hand everything on that they are given."""


def attend(
    module: torch.nn.Module,
    query: Float[Tensor, "1 heads tokens width"],
    key: Float[Tensor, "1 heads tokens width"],
    value: Float[Tensor, "1 heads tokens width"],
    attention_mask: Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    position_bias: Tensor | None = None,
    **options: Any,
) -> tuple[Float[Tensor, "1 tokens heads width"], None]:
    """Attention within each sentence of the row, as transformers calls it.

    Raises:
        NotImplementedError: scores are shifted, or there is a mask: neither is of one row.
    """
    if attention_mask is not None or position_bias is not None or getattr(module, "is_causal", False):
        raise NotImplementedError("attention of a row knows no mask, no shift by position and no direction")
    row, reach = _ROW.get(), -1 if sliding_window is None else sliding_window - 1
    if query.is_cuda and query.dtype in (torch.bfloat16, torch.float16):
        asked, keys, values = (part[0].transpose(0, 1) for part in (query, key, value))
        longest = int(row.lengths.max())
        how: Any = {"scale": scaling, "window_size": (reach, reach)}
        attended: Any = varlen_attn(asked, keys, values, row.starts, row.starts, longest, longest, **how)
        return attended[None], None
    parts = [_attend_run(run, query, key, value, scaling, reach) for run in row.runs]
    return torch.cat(parts).unsqueeze(0), None


def _attend_run(
    run: tuple[int, int, int], query: Tensor, key: Tensor, value: Tensor, scaling: float | None, reach: int
) -> Float[Tensor, "tokens heads width"]:
    """Attention of neighbours of one length."""
    start, count, length = run
    sides = (
        part[0, :, start : start + count * length].unflatten(1, (count, length)).transpose(0, 1)
        for part in (query, key, value)
    )
    near = None
    if 0 <= reach < length - 1:
        places = torch.arange(length, device=query.device)
        near = (places[:, None] - places).abs() <= reach
    attended = F.scaled_dot_product_attention(*sides, attn_mask=near, scale=scaling)
    return attended.transpose(1, 2).flatten(0, 1)


AttentionInterface.register(_NAME, attend)


class UnpaddedModel:
    """A frozen model that takes sentences in a row.

    Args:
        model: as it will compute, on its device; it stays usable as it is.
        takes_types: whether it reads segments.
    """

    def __init__(self, model: PreTrainedModel, *, takes_types: bool):
        self._model, self._takes_types = model, takes_types
        self._first_place = find_first_place(model)
        self._copies: Any = None

    @torch.inference_mode()
    def compute(self, tokens: Tokens, rows: Int[np.ndarray, " batch"]) -> tuple[Float[Tensor, "tokens hidden"], ...]:
        """States of every layer, sentence after sentence."""
        device = self._model.device
        row = Row(tokens.lengths[rows], device)
        places = np.concatenate([np.arange(length) for length in row.lengths]) + self._first_place
        inputs = {"input_ids": np.concatenate([tokens.ids[one] for one in rows]), "position_ids": places}
        if self._takes_types:
            inputs["token_type_ids"] = np.concatenate([tokens.types[one] for one in rows])
        with _attending(self._model, row):
            given = {name: send(part, device).unsqueeze(0) for name, part in inputs.items()}
            states = self._model(**given, output_hidden_states=True).hidden_states
        return tuple(layer[0] for layer in states)

    @torch.inference_mode()
    def start_pool(
        self, tokens: Tokens, rows: Int[np.ndarray, " batch"], shares: Float[np.ndarray, " tokens"], largest: bool
    ) -> Wait:
        """Begin to pool as `PoolingEncoder.pool` does; an accelerator goes on by itself until somebody waits."""
        row = Row(tokens.lengths[rows], self._model.device)
        counted = send(shares.astype(np.float32), self._model.device).unsqueeze(1)
        pooled = [pool_row(layer, row, counted, largest) for layer in self.compute(tokens, rows)]
        return self._fetch(torch.stack(pooled))

    def _fetch(self, pooled: Float[Tensor, "layers batch hidden"]) -> Wait:
        if not pooled.is_cuda:
            return lambda: pooled.cpu().numpy()
        # On a stream of their own, copies do not wait for the next batch, which is begun before anyone waits for this.
        self._copies = self._copies or torch.cuda.Stream(pooled.device)
        self._copies.wait_stream(torch.cuda.current_stream(pooled.device))
        with torch.cuda.stream(self._copies):
            here = torch.empty(pooled.shape, dtype=pooled.dtype, pin_memory=True)
            here.copy_(pooled, non_blocking=True)
            pooled.record_stream(self._copies)
            arrived = self._copies.record_event()

        def wait() -> Float[np.ndarray, "layers batch hidden"]:
            arrived.synchronize()
            return here.numpy()

        return wait


def pool_row(
    states: Float[Tensor, "tokens hidden"], row: Row, shares: Float[Tensor, "tokens 1"], largest: bool
) -> Float[Tensor, "sentences hidden"]:
    """The sum of each sentence's states by their shares, in float32; or the largest of those with a share."""
    parts = []
    for start, count, length in row.runs:
        here = slice(start, start + count * length)
        own, counted = (part[here].float().unflatten(0, (count, length)) for part in (states, shares))
        if largest:
            parts.append(own.masked_fill(counted <= 0, -torch.inf).amax(dim=1))
        else:
            parts.append((own * counted).sum(dim=1))
    return torch.cat(parts)


def send(array: np.ndarray, device: torch.device) -> Tensor:
    """An array on a device; on CUDA without waiting for it."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


@contextmanager
def _attending(model: PreTrainedModel, row: Row) -> Iterator[None]:
    """Let a model attend within each sentence of a row, while the context is open."""
    configs: list[Any] = [part.config for part in model.modules() if hasattr(part, "config")]
    before, token = [config._attn_implementation for config in configs], _ROW.set(row)
    try:
        for config in configs:
            config._attn_implementation = _NAME
        yield
    finally:
        # Parts share a configuration: what was noted of it first is what it was.
        for config, name in zip(configs[::-1], before[::-1], strict=True):
            config._attn_implementation = name
        _ROW.reset(token)


def find_first_place(model: PreTrainedModel) -> int:
    """The number of a text's first position: RoBERTa counts on from its padding."""
    tables = (part for name, part in model.named_modules() if name.endswith("embeddings.position_embeddings"))
    padding = next((getattr(table, "padding_idx", None) for table in tables), None)
    return 0 if padding is None else padding + 1


def find_obstacle(model: PreTrainedModel, inputs: ModelInputs, dtype: str) -> str:
    """Find by trying what keeps a model from taking sentences in a row; empty where nothing does.

    Args:
        model: on the device, and in the number format, that it is tried in.
        inputs: of the model.
        dtype: that number format.
    """
    tokens = inputs.tokenize([(text,) for text in _TRIED])
    try:
        unpadded = UnpaddedModel(model, takes_types=inputs.takes_types)
        together = torch.stack(unpadded.compute(tokens, np.arange(len(_TRIED)))).float()
        apart = torch.cat([_compute_alone(model, inputs, tokens, one) for one in range(len(_TRIED))], dim=1)
    except MODEL_ERRORS as error:
        return f"{type(model).__name__} does not take sentences in a row ({type(error).__name__}: {error})"
    difference = float(((together - apart).norm(dim=-1) / apart.norm(dim=-1).clamp_min(1e-12)).max())
    if difference <= _TOLERANCES[dtype]:
        return ""
    return f"states of sentences in a row are not those of each alone: {difference:.1e} apart in {dtype}"


@torch.inference_mode()
def _compute_alone(
    model: PreTrainedModel, inputs: ModelInputs, tokens: Tokens, number: int
) -> Float[Tensor, "layers tokens hidden"]:
    given = inputs.collate(tokens, np.array([number]), str(model.device))
    return torch.cat(model(**given, output_hidden_states=True).hidden_states).float()
