"""All texts through the encoder once: the pooled vectors of every layer, kept by content."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int

from probing.contracts.encoder import Encoder
from probing.digests import text_key
from probing.records import Text
from probing.representations.pooling import Pooling
from probing.representations.shard_encoding import Progress, check_finite, encode_in_shards, tokenise
from probing.store.cache import StackCache
from probing.store.shards import StoredStack

_MADE = 2
"""Way of making vectors, counted up where the same encoder gives others than before: 2 pads no text where padding moves
its states, and takes "[SEP]" in a text for text."""


@dataclass(frozen=True)
class Extraction:
    """A layer stack and how it came about."""

    stack: StoredStack
    lengths: Int[np.ndarray, " encoded"]
    """Tokens of each sentence that went through the encoder; the others were in the cache."""
    seconds: float
    """From the first token to the last file; looking through the cache not counted."""
    n_truncated: int
    """Sentences among all that were longer than the encoder's limit and lost their end."""
    damaged: tuple[Path, ...] = ()
    """Files of the cache that could not be trusted, and were made anew."""
    unread: tuple[Path, ...] = ()
    """Files of the cache that could not be read; they were left, and their sentences encoded anew."""
    excess_bytes: int = 0
    """By how much the cache is above its limit, since the rest of it is in use."""

    @property
    def n_encoded(self) -> int:
        """Sentences that went through the encoder."""
        return len(self.lengths)

    @property
    def n_tokens(self) -> int:
        """Tokens that went through the encoder, padding not counted."""
        return int(self.lengths.sum())


class Extractor:
    """Pooled vectors of more and more texts by one encoder, with the cache open all the while.

    Args:
        encoder: that reads the texts.
        pooling: how one vector is made of a text.
        cache: where vectors are looked for and kept.
    """

    is_here = True
    """True where this process encodes."""

    def __init__(self, encoder: Encoder, pooling: Pooling, cache: StackCache):
        self.encoder, self.pooling, self._cache = encoder, pooling, cache
        self._space = cache.space(
            encoder=encoder.digest,
            dtype=encoder.dtype,
            backend=encoder.backend,
            max_length=encoder.max_length,
            pooling=pooling.name,
            special_tokens=pooling.special_tokens,
            made=_MADE,
        )

    def encode(self, texts: Sequence[Text], progress: Progress = lambda done: None) -> Extraction:
        """The vectors of distinct texts, in their order; only texts new to the cache are encoded.

        Raises:
            InputError: one of them is not finite.
        """
        keys = [text_key(text) for text in texts]
        known = self._space.find(keys)
        missing = [row for row, key in enumerate(keys) if key not in known]
        start = time.perf_counter()
        tokens = tokenise(self.encoder, [texts[row] for row in missing])
        excess = self._cache.trim(self._space)
        for rows, values in encode_in_shards(self.encoder, tokens, self.pooling, progress):
            check_finite(values, [texts[missing[row]] for row in rows], self.encoder)
            self._space.add([keys[missing[row]] for row in rows], values, tokens.truncated[rows])
            excess = self._cache.trim(self._space)
        return self._describe(texts, tokens.lengths, time.perf_counter() - start, excess)

    def foresee(self, groups: Iterable[Sequence[Text]]) -> None:
        """Hear which texts will be asked for, group by group; this process encodes them when they are."""

    def stack(self, texts: Sequence[Text]) -> StoredStack:
        """The vectors of texts that have been encoded, in their order.

        Raises:
            KeyError: one of them has not.
        """
        keys = [text_key(text) for text in texts]
        return self._space.stack(keys, self.encoder.layer_names, self.pooling.name)

    def _describe(
        self, texts: Sequence[Text], lengths: Int[np.ndarray, " encoded"], seconds: float, excess: int
    ) -> Extraction:
        stack = self.stack(texts)
        return Extraction(stack, lengths, seconds, int(stack.truncated.sum()), *self._space.take_faults(), excess)


def extract_stack(
    encoder: Encoder,
    texts: Sequence[Text],
    pooling: Pooling,
    cache: StackCache,
    progress: Progress = lambda done: None,
) -> Extraction:
    """The pooled vectors of all layers for distinct texts, in their order; only texts new to the cache are encoded."""
    return Extractor(encoder, pooling, cache).encode(texts, progress)
