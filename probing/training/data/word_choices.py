"""Words of sentences and others that may stand in their place (TinyBERT, arXiv 1909.10351, algorithm 1).

A word of one piece: the likeliest words of a masked language model, to which the sentence is shown without it. (The
authors' model is shown the whole sentence behind the masked one, and can copy.) A word of several pieces: its nearest
words (`near_words.py`).
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from probing.encoders.inputs import pad_rows
from probing.encoders.masked_lm import predict_at
from probing.records import InputError, Text
from probing.training.data.labelled import batches_by_length
from probing.training.data.near_words import Neighbours, find_whole_words, list_spellings
from probing.training.data.vocabulary import Marks, open_plain

_TOKENS = 4096
"""In a batch of a masked language model."""
LEFT_ALONE = ENGLISH_STOP_WORDS | set("dmnst") | {"ll", "ve", "wo", "ca"}
"""Stop words, and what contractions are cut into."""


@dataclass(frozen=True)
class Word:
    """A word of a text that another may stand for: one of letters alone that is no stop word."""

    place: int
    """Number of it among all words of the text, over all segments."""
    segment: int
    start: int
    """Its first character in the segment."""
    stop: int
    spelling: str
    tokens: tuple[int, ...]
    """Places of its tokens in the input."""


@dataclass(frozen=True)
class Words:
    """The words of one text."""

    ids: Int[np.ndarray, " tokens"]
    types: Int[np.ndarray, " tokens"]
    words: Sequence[Word]


class WordFinder:
    """Finds the words of texts of one segment or two.

    Args:
        tokenizer: of the encoder.
        limit: longest input in tokens; words behind it are left alone.

    Raises:
        InputError: the tokenizer does not say where in a text a token is.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, limit: int):
        self._backend = open_plain(tokenizer)
        if not hasattr(self._backend, "encode_batch"):
            raise InputError(
                f"{type(tokenizer).__name__}: says of no token where it is in a text; take a fast tokenizer"
            )
        self._backend.enable_truncation(limit)

    def find(self, texts: Sequence[Text]) -> list[Words]:
        """The words of each text."""
        encodings = self._backend.encode_batch([text if len(text) > 1 else "".join(text) for text in texts])
        return [_read_words(text, encoding) for text, encoding in zip(texts, encodings, strict=True)]


class Choices:
    """Words that may stand in a word's place.

    Args:
        model: a masked language model, on its device, in eval mode.
        tokenizer: of its vocabulary.
        marks: of its tokens.
        near: neighbours of words of several pieces.
        n: words to choose among.
    """

    autocast: Callable[..., Any] = nullcontext
    """Makes what the model computes in: a precision."""

    def __init__(self, model: Any, tokenizer: PreTrainedTokenizerBase, marks: Marks, near: Neighbours, n: int):
        self._model, self._marks, self._near, self._n = model, marks, near, n
        self._spellings = list_spellings(tokenizer, marks)
        self._whole = torch.from_numpy(find_whole_words(self._spellings, marks)).to(model.device)

    @torch.inference_mode()
    def list_for(self, texts: Sequence[Words], wanted: Sequence[Collection[int]]) -> list[dict[int, list[str]]]:
        """For the wanted words of each text, by number, the words that may stand in their place, the best first."""
        found: list[dict[int, list[str]]] = [{} for _ in texts]
        single = []
        for row, (text, numbers) in enumerate(zip(texts, wanted, strict=True)):
            for number in sorted(numbers):
                word = text.words[number]
                if len(word.tokens) == 1:
                    single.append((row, number))
                else:
                    found[row][number] = self._near.find(word.spelling, text.ids[list(word.tokens)])
        lengths = np.array([len(texts[row].ids) for row, _ in single])
        for batch in batches_by_length(lengths, _TOKENS) if single else ():
            chosen = [single[number] for number in batch]
            for (row, number), words in zip(chosen, self._predict(texts, chosen), strict=True):
                found[row][number] = words
        return found

    def _predict(self, texts: Sequence[Words], chosen: Sequence[tuple[int, int]]) -> list[list[str]]:
        """The likeliest words at one masked place of each text."""
        ids, places, own = [], [], []
        for row, number in chosen:
            text = texts[row]
            at = text.words[number].tokens[0]
            masked = text.ids.copy()
            own.append(int(masked[at]))
            masked[at] = self._marks.mask
            ids.append(masked)
            places.append(at)
        inputs = self._pad(ids, [texts[row].types for row, _ in chosen])
        width = inputs["input_ids"].shape[1]
        flat = torch.tensor([number * width + at for number, at in enumerate(places)], device=self._model.device)
        with self.autocast():
            logits = predict_at(self._model, inputs, flat)[:, : len(self._whole)].float()
        return self._take_best(logits, own)

    def _take_best(self, scores: Float[Tensor, "places vocab"], own: Sequence[int]) -> list[list[str]]:
        """The whole words of the highest scores, the word itself left out."""
        scores = scores.masked_fill(~self._whole, float("-inf"))
        scores[range(len(own)), own] = float("-inf")
        best = scores.topk(min(self._n, scores.shape[1]), dim=1)
        pairs = zip(best.values.isfinite().tolist(), best.indices.tolist(), strict=True)
        return [[self._spellings[at] for there, at in zip(*row, strict=True) if there] for row in pairs]

    def _pad(self, ids: Sequence[np.ndarray], types: Sequence[np.ndarray]) -> dict[str, Tensor]:
        device, config = self._model.device, self._model.config
        padded = {"input_ids": pad_rows(ids, max(0, int(config.pad_token_id or 0)))}
        padded["attention_mask"] = pad_rows([np.ones(len(row), dtype=np.int64) for row in ids], 0)
        if getattr(config, "type_vocab_size", 0) > 1:
            padded["token_type_ids"] = pad_rows(types, 0)
        return {name: tensor.to(device) for name, tensor in padded.items()}


def _read_words(text: Text, encoding: Any) -> Words:
    tokens: dict[tuple[int, int], list[int]] = {}
    for at, (segment, word) in enumerate(zip(encoding.sequence_ids, encoding.word_ids, strict=True)):
        if segment is not None and word is not None:
            tokens.setdefault((segment, word), []).append(at)
    found = []
    for place, ((segment, _), own) in enumerate(tokens.items()):
        start, stop = encoding.offsets[own[0]][0], encoding.offsets[own[-1]][1]
        spelling = text[segment][start:stop]
        if spelling.isalpha() and spelling.lower() not in LEFT_ALONE:
            found.append(Word(place, segment, start, stop, spelling, tuple(own)))
    ids, types = (np.array(part, dtype=np.int64) for part in (encoding.ids, encoding.type_ids))
    return Words(ids, types, found)
