"""Text to model inputs: tokens of several lengths, and padded batches of some of them."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor
from transformers import PretrainedConfig, PreTrainedTokenizerBase

from probing.contracts.encoder import Batching, Tokens
from probing.encoders.model_facts import takes_segments
from probing.encoders.segments import Frame, Pieces, find_frame, find_room, join_segments
from probing.encoders.slow_tokenizers import SlowEncoding, open_backend
from probing.records import Text

_PAIR = 2
"""Segments of the longest text that a tokenizer puts together itself."""


class ModelInputs:
    """Inputs of a Hugging Face encoder, made from texts by its tokenizer.

    Args:
        tokenizer: of the encoder.
        config: of the encoder.
        max_length: limit in tokens, special tokens included.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, config: PretrainedConfig, max_length: int):
        self._tokenizer, self._limit = open_backend(tokenizer), max_length
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length)
        # "[SEP]" in a text is text: as a mark it would split the sentence, and no mask would know of it.
        self._tokenizer.encode_special_tokens = True
        self._pad_id = max(
            0, int(getattr(config, "pad_token_id", None) or 0)
        )  # Llama's is -1, of which there is no row
        self.unknown_id: int | None = tokenizer.unk_token_id  # pyright: ignore
        """Number of the token for words that the tokenizer does not know; none where it knows all."""
        self.takes_types = takes_segments(config, tokenizer)
        """True where the model is given segments; else all of its tokens are of segment 0."""

    def tokenize(self, texts: Sequence[Text]) -> Tokens:
        """Tokens of each text, cut to the limit; an empty text keeps its special tokens only."""
        few = [text if len(text) > 1 else "".join(text) for text in texts if len(text) <= _PAIR]
        encodings = iter(self._tokenizer.encode_batch_fast(few))
        return make_tokens([next(encodings) if len(text) <= _PAIR else self._encode(text) for text in texts])

    def split(self, segments: Sequence[str]) -> list[Pieces]:
        """The tokens of each segment without marks, from which `join` makes texts: none is longer than the limit."""
        encodings = self._tokenizer.encode_batch_fast(list(segments), add_special_tokens=False)
        return [np.array(encoding.ids, dtype=np.int64) for encoding in encodings]

    def join(self, segments: Sequence[Pieces]) -> SlowEncoding:
        """One text of segments that `split` gave, for `make_tokens`; as the tokenizer makes a pair, if it has two.

        Raises:
            InputError: the limit has no room for a word of each segment.
        """
        return join_segments(self._frame, segments, self._limit)

    def count_marks(self, n_segments: int) -> int:
        """Number of special tokens of a text of so many segments.

        Raises:
            InputError: the limit has no room for them and a word of each segment.
        """
        return self._limit - find_room(self._frame, n_segments, self._limit)

    def _encode(self, text: Text) -> SlowEncoding:
        return self.join(self.split(text))

    @cached_property
    def _frame(self) -> Frame:
        self._tokenizer.no_truncation()
        try:
            return find_frame(self._tokenizer)
        finally:
            self._tokenizer.enable_truncation(self._limit)

    def collate(self, tokens: Tokens, rows: Int[np.ndarray, " batch"], device: str) -> dict[str, Tensor]:
        """The inputs of some texts, in the order of `rows`, as keywords of the model.

        Texts of one length make a batch without padding and without a mask, which is the fast way.
        """
        ids = [tokens.ids[row] for row in rows]
        mask = pad_rows([np.ones(len(row), dtype=bool) for row in ids], False)
        inputs = {"input_ids": pad_rows(ids, self._pad_id).to(device)}
        if not bool(mask.all()):
            inputs["attention_mask"] = mask.long().to(device)
        if self.takes_types:
            inputs["token_type_ids"] = pad_rows([tokens.types[row] for row in rows], 0).to(device)
        return inputs


def make_tokens(encodings: Sequence[Any]) -> Tokens:
    """Tokens of what a tokenizer gave, as arrays."""
    return Tokens(
        ids=tuple(np.array(encoding.ids, dtype=np.int64) for encoding in encodings),
        types=tuple(np.array(encoding.type_ids, dtype=np.int64) for encoding in encodings),
        special=tuple(np.array(encoding.special_tokens_mask, dtype=bool) for encoding in encodings),
        truncated=np.array([bool(encoding.overflowing) for encoding in encodings], dtype=bool),
    )


def group_rows(lengths: Int[np.ndarray, " batch"], batching: Batching) -> list[Int[np.ndarray, " group"]]:
    """Group the rows of some texts that may be computed together."""
    if batching == "padded":
        return [np.arange(len(lengths))]
    if batching == "single":
        return [np.array([row]) for row in range(len(lengths))]
    return [np.flatnonzero(lengths == length) for length in np.unique(lengths)]


def pad_rows(
    rows: Sequence[np.ndarray], value: int | bool
) -> "Int[Tensor, 'batch tokens'] | Bool[Tensor, 'batch tokens']":
    """Rows of several lengths as one array, filled up with a value."""
    padded = np.full((len(rows), max(map(len, rows))), value, dtype=rows[0].dtype)
    for number, row in enumerate(rows):
        padded[number, : len(row)] = row
    return torch.from_numpy(padded)
