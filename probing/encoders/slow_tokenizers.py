"""Tokenizers that exist in Python alone (PhoBERT, BERTweet, ESM, Japanese BERT), with the manners of the fast ones."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast


@dataclass(frozen=True)
class SlowEncoding:
    """The tokens of one text, under the names that the library tokenizers has for them."""

    ids: list[int]
    type_ids: list[int]
    special_tokens_mask: list[int]
    overflowing: list[int]
    """Ids that were cut off."""


class SlowTokenizer:
    """Stand-in for what is used of a fast tokenizer's backend, made by a slow one: some hundred times slower.

    Args:
        tokenizer: whose way of making tokens is in Python.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase):
        self._tokenizer = tokenizer
        self._limit: int | None = None
        self.encode_special_tokens = False
        """True where marks typed in a text are split as text."""

    def no_padding(self) -> None:
        """It never pads."""

    def enable_truncation(self, max_length: int) -> None:
        """Cut texts to a number of tokens."""
        self._limit = max_length

    def no_truncation(self) -> None:
        """Cut nothing."""
        self._limit = None

    def num_special_tokens_to_add(self, is_pair: bool) -> int:
        """Marks that a text gets."""
        return self._tokenizer.num_special_tokens_to_add(pair=is_pair)

    def encode_batch_fast(
        self, texts: Sequence[str | tuple[str, ...]], add_special_tokens: bool = True
    ) -> list[SlowEncoding]:
        """Tokens of each text, which has one segment or two, with marks or without."""
        pairs = [(text,) if isinstance(text, str) else text for text in texts]
        return [self._encode(text, add_special_tokens=add_special_tokens) for text in pairs]

    def _encode(self, text: tuple[str, ...], **marks: bool) -> SlowEncoding:
        whole = self._call(text, **marks)
        ids, lost = whole["input_ids"], []
        if self._limit is not None and len(ids) > self._limit:
            # Of pairs, transformers cannot say what it cut off.
            whole = self._call(text, truncation=True, max_length=self._limit, **marks)
            ids, lost = whole["input_ids"], ids[len(whole["input_ids"]) :]
        types, special = whole.get("token_type_ids", [0] * len(ids)), whole["special_tokens_mask"]
        if self.encode_special_tokens:
            ids = self._replace_marks(ids, special)
        return SlowEncoding(list(ids), list(types), list(special), list(lost))

    def _replace_marks(self, ids: Sequence[int], special: Sequence[int]) -> list[int]:
        """Unknown words in place of marks that the tokenizer has as words of its vocabulary (ESM's)."""
        unknown: Any = self._tokenizer.unk_token_id
        marks = set(self._tokenizer.all_special_ids) - {unknown}
        typed = [not mark and number in marks for number, mark in zip(ids, special, strict=True)]
        return [unknown if found and unknown is not None else number for number, found in zip(ids, typed, strict=True)]

    def _call(self, text: tuple[str, ...], **how: Any) -> Any:
        return self._tokenizer(
            text[0],
            text[1] if len(text) > 1 else None,
            return_special_tokens_mask=True,
            return_token_type_ids=True,
            return_attention_mask=False,
            split_special_tokens=self.encode_special_tokens,
            **how,
        )

    def to_str(self) -> str:
        """Everything that its tokens depend on, as JSON: its class, settings and files."""
        tokenizer, folder = self._tokenizer, str(self._tokenizer.name_or_path)
        paths = [Path(folder) / file for file in sorted(set(tokenizer.vocab_files_names.values()))]
        files = {path.name: sha256(path.read_bytes()).hexdigest() for path in paths if path.is_file()}
        settings = {name: str(value) for name, value in tokenizer.init_kwargs.items() if folder not in str(value)}
        # Without files, its words are what its class makes of characters or bytes: CANINE's are all of Unicode.
        known = tokenizer.get_vocab() if tokenizer.vocab_files_names else tokenizer.get_added_vocab()  # pyright: ignore
        words = sorted(known.items(), key=str)
        return json.dumps([type(tokenizer).__name__, files, settings, words], sort_keys=True)


def open_backend(tokenizer: PreTrainedTokenizerBase) -> Any:
    """Open what makes the tokens: the compiled backend of a fast tokenizer, or a slow one in its manners."""
    if isinstance(tokenizer, PreTrainedTokenizerFast):
        return tokenizer.backend_tokenizer
    return SlowTokenizer(tokenizer)
