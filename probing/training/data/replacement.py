"""Sentences with some of their tokens replaced: places are drawn, and something says what shall stand there.

    n places = max(tokens // sample_ratio, 1), marks not counted, none twice        (C-BERT, arXiv 1812.06705, 3.3)

A token that begins a word is replaced by one that does, and one that goes on with a word by one that does, so that the
new text has as many tokens as the old one; where it has not (two pieces became a word that the tokenizer knows whole),
the text is left out and counted.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from probing.encoders.masked_lm import predict_at, sample_tokens
from probing.encoders.slow_tokenizers import open_backend
from probing.randomness import stream
from probing.records import InputError, Split
from probing.training.contracts import Written
from probing.training.data.labelled import batches_by_length
from probing.training.data.sentences import Reading, Sentences, make_inputs, pad_tokens
from probing.training.data.vocabulary import Marks, open_plain

_TOKENS = 4096
"""In a batch that is filled at once."""


@dataclass(frozen=True)
class Blanks:
    """Sentences with places that are to be filled."""

    ids: Int[np.ndarray, "batch tokens"]
    lengths: Int[np.ndarray, " batch"]
    hidden: Bool[np.ndarray, "batch tokens"]
    labels: Int[np.ndarray, " batch"]
    noise: Float[np.ndarray, " blanks"]
    """Uniform in [0, 1), one for each place, sentence after sentence: the same whoever fills them."""


Fill = Callable[[Blanks], Int[np.ndarray, " blanks"]]
"""Gives a token for each place."""


@runtime_checkable
class ChoosesPlaces(Protocol):
    """A fill that has nothing to put in at some places, which are then not drawn."""

    def may_fill(self, ids: Int[np.ndarray, " tokens"]) -> Bool[np.ndarray, " tokens"]:
        """True at the places of a sentence that it can fill."""
        ...


@dataclass(frozen=True)
class Sampling:
    """The amount that is replaced."""

    sample_num: int = 1
    """New sentences of each old one."""
    sample_ratio: int = 4
    """Tokens of which one is replaced."""
    seed: int = 0


def find_readable(tokenizer: PreTrainedTokenizerBase, marks: Marks) -> Bool[np.ndarray, " vocab"]:
    """True at tokens that may be put in: no marks, and those that begin a word are what their own text becomes.

    `[unused7]` is none of them: as a text it becomes four tokens.
    """
    backend, words = open_plain(tokenizer), tokenizer.convert_ids_to_tokens(list(range(len(marks.special))))
    readable = ~marks.special & np.array([word is not None for word in words])
    begins = np.flatnonzero(readable & ~marks.continues)
    found = backend.encode_batch_fast([words[number] for number in begins], add_special_tokens=False)
    readable[begins] = [encoding.ids == [number] for encoding, number in zip(found, begins, strict=True)]
    return readable


class MaskedFill:
    """Places filled by a masked language model, all of a sentence at once, by sampling.

    p(token) = softmax(logits / temperature)

    Args:
        model: on its device, in eval mode.
        marks: of its tokens.
        readable: tokens that may be put in.
        temperature: below 1, likely tokens become likelier.
    """

    labelled: bool = False
    """True where the model is given the labels."""
    autocast: Callable[..., Any] = nullcontext
    """Makes what the model computes in: a precision."""

    def __init__(self, model: Any, marks: Marks, readable: Bool[np.ndarray, " vocab"], temperature: float):
        self._model, self._mask, self._temperature = model, marks.mask, temperature
        self._continues = marks.continues
        allowed = np.stack([readable & ~marks.continues, readable & marks.continues])
        if not allowed[1].any():
            allowed[1] = readable
        self._allowed = torch.from_numpy(allowed).to(model.device)

    @torch.inference_mode()
    def __call__(self, blanks: Blanks) -> Int[np.ndarray, " blanks"]:
        """A token for each place, sampled with the noise of the blanks."""
        shown = np.where(blanks.hidden, self._mask, blanks.ids)
        device = str(self._model.device)
        inputs = make_inputs(shown, blanks.lengths, blanks.labels if self.labelled else None, device)
        places = torch.from_numpy(np.flatnonzero(blanks.hidden)).to(device)
        with self.autocast():
            logits = predict_at(self._model, inputs, places).float()
        logits = logits[:, : self._allowed.shape[1]] / self._temperature
        kinds = torch.from_numpy(self._continues[blanks.ids[blanks.hidden]].astype(np.int64)).to(device)
        logits = logits.masked_fill(~self._allowed[kinds], float("-inf"))
        noise: Tensor = torch.from_numpy(blanks.noise.astype(np.float32)).to(device)
        return sample_tokens(logits, noise).cpu().numpy()


class Replacer:
    """Writes the sentences of a split anew, part by part.

    Args:
        split: the sentences.
        reading: how they become tokens.
        tokenizer: which made them.
        sampling: how much is replaced; its seed, row and copy decide places and noise.
        fill: gives the new tokens.

    Raises:
        InputError: the tokenizer does not say where in a text a token is.
    """

    def __init__(
        self, split: Split, reading: Reading, tokenizer: PreTrainedTokenizerBase, sampling: Sampling, fill: Fill
    ):
        self._split, self._reading, self._sampling, self._fill = split, reading, sampling, fill
        self._sentences: Sentences = reading.tokenize(split)
        self._tokenizer = tokenizer
        if not hasattr(open_backend(tokenizer), "encode_batch"):
            raise InputError(
                f"{type(tokenizer).__name__}: says of no token where it is in a text; take a fast tokenizer"
            )

    def write(self, rows: Int[np.ndarray, " rows"]) -> list[Written]:
        """The new sentences of some rows that have a place, as far as they are read as they were meant."""
        found: list[Written] = []
        rows = np.array([row for row in rows if len(self._list_places(int(row)))], dtype=np.int64)
        for copy in range(self._sampling.sample_num):
            lengths = self._sentences.tokens.lengths[rows]
            for batch in batches_by_length(lengths, _TOKENS):
                found += self._write_batch(rows[batch], copy)
        found.sort(key=lambda one: (one.row, one.copy))
        return found

    def _write_batch(self, rows: Int[np.ndarray, " batch"], copy: int) -> list[Written]:
        ids = [self._sentences.tokens.ids[row] for row in rows]
        drawn = [self._draw(int(row), copy) for row in rows]
        lengths = np.array([len(own) for own in ids])
        padded = pad_tokens(ids, self._reading.pad)
        hidden = np.zeros_like(padded, dtype=bool)
        for number, (places, _) in enumerate(drawn):
            hidden[number, places] = True
        labels = self._sentences.labels[rows].astype(np.int64)
        noise = np.concatenate([own for _, own in drawn])
        new = padded.copy()
        new[hidden] = self._fill(Blanks(padded, lengths, hidden, labels, noise))
        return self._spell(rows, copy, [new[number, :length] for number, length in enumerate(lengths)], drawn)

    def _draw(self, row: int, copy: int) -> tuple[Int[np.ndarray, " places"], Float[np.ndarray, " places"]]:
        """Places of a sentence, in order, and the noise of each."""
        generator = stream(self._sampling.seed, "places", row, copy)
        places = self._list_places(row)
        n = min(max(len(self._list_ordinary(row)) // self._sampling.sample_ratio, 1), len(places))
        return np.sort(generator.choice(places, n, replace=False)), generator.random(n)

    def _list_places(self, row: int) -> Int[np.ndarray, " places"]:
        """Places that may be drawn: all ordinary ones, or those of them that can be filled."""
        ordinary = self._list_ordinary(row)
        if not isinstance(self._fill, ChoosesPlaces):
            return ordinary
        return ordinary[self._fill.may_fill(self._sentences.tokens.ids[row])[ordinary]]

    def _list_ordinary(self, row: int) -> Int[np.ndarray, " places"]:
        """Places of the tokens of a sentence that are no marks."""
        return np.flatnonzero(~self._reading.marks.special[self._sentences.tokens.ids[row]])

    def _spell(
        self, rows: Int[np.ndarray, " batch"], copy: int, new: Sequence[np.ndarray], drawn: Sequence[Any]
    ) -> list[Written]:
        backend = open_backend(self._tokenizer)
        texts = [self._split.texts[row][0] for row in rows]
        spans: list[Any] = [one.offsets for one in backend.encode_batch(texts)]
        words: Any = self._tokenizer.convert_ids_to_tokens
        made = []
        for row, text, offsets, own, (places, _) in zip(rows, texts, spans, new, drawn, strict=True):
            old = self._sentences.tokens.ids[row]
            changes = [(offsets[at], bare(words(int(own[at])))) for at in places if own[at] != old[at]]
            made.append(Written(
                int(row), copy, (replace_spans(text, changes),), int(self._split.labels[row]), tuple(places.tolist()),
                tuple(words(old[places].tolist())), tuple(words(own[places].tolist())),
            ))  # fmt: skip
        found = self._reading.inputs.tokenize([one.text for one in made])
        return [one for one, ids, own in zip(made, found.ids, new, strict=True) if np.array_equal(ids, own)]


def replace_spans(text: str, spans: Sequence[tuple[tuple[int, int], str]]) -> str:
    """A text in which something else stands from one character to before another; the rest is as it was."""
    for (start, stop), word in sorted(spans, reverse=True):
        text = text[:start] + word + text[stop:]
    return text


def bare(token: str) -> str:
    """A token as it stands in a text, without WordPiece's sign of going on."""
    return token.removeprefix("##")
