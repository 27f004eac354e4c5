"""All texts through the encoder once: every layer pooled on the fly, and kept by content."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int

from probing.contracts.encoder import BatchingEncoder, Encoder, OverlappingEncoder, PoolingEncoder, Tokens, Wait
from probing.contracts.pooling import TokenShares, find_shares
from probing.digests import text_key
from probing.records import InputError, Text
from probing.registry import POOLINGS
from probing.representations.pooling import choose_positions, choose_tokens
from probing.store.cache import StackCache
from probing.store.shards import StoredStack

Progress = Callable[[int], None]
"""Called with the number of sentences encoded since the last call."""

_BATCH_TOKENS = {"cpu": 8192}
_ACCELERATED_TOKENS = 131072
"""Tokens in a batch, padding counted: large enough for the products, small enough for the caches."""
_FUSED_TOKENS = 16384
"""Tokens for each thread in a batch that is pooled while it is encoded: threads wait for each other once a batch."""
_CLOSE_AT = 8
"""A batch that holds an eighth of the budget takes no shorter sentence in, and so no padding."""
_SHARD_BYTES = 64 * 2**20
"""Size of a cached file: what a killed run loses at most."""
_MADE = 2
"""Way of making vectors, counted up where the same encoder gives others than before: 2 pads no text where padding moves
its states, and takes "[SEP]" in a text for text."""
_TOKENISED = 8192
"""Texts that are tokenised at once."""


@dataclass(frozen=True)
class Pooling:
    """Rule that makes one vector of a sentence's tokens."""

    name: str = "mean"
    special_tokens: bool = True
    """True where [CLS], [SEP] and their like are read too."""


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


def tokenise(encoder: Encoder, texts: Sequence[Text]) -> Tokens:
    """Tokens of all texts, some thousand at a time: what a tokenizer gives back is far larger than what is kept.

    Raises:
        InputError: the tokenizer makes nothing of a text, not even marks, so that there is no state to pool.
    """
    parts = [encoder.tokenize(texts[start : start + _TOKENISED]) for start in range(0, max(1, len(texts)), _TOKENISED)]
    ids, types, special = (
        tuple(chain.from_iterable(getattr(part, name) for part in parts)) for name in ("ids", "types", "special")
    )
    tokens = Tokens(ids, types, special, np.concatenate([part.truncated for part in parts]))
    empty = np.flatnonzero(tokens.lengths == 0)
    if len(empty):
        raise InputError(
            f"checkpoint {encoder.checkpoint}: its tokenizer makes no token of {len(empty)} text(s), such as "
            f"{' '.join(texts[empty[0]])[:60]!r}: it knows none of their characters; leave them out"
        )
    return tokens


def encode_in_shards(
    encoder: Encoder, tokens: Tokens, pooling: Pooling, progress: Progress
) -> Iterator[tuple[Int[np.ndarray, " rows"], Float[np.ndarray, "layers rows hidden"]]]:
    """Encode tokenised texts from long to short; yield rows and their pooled vectors, a shard at a time."""
    for rows in plan_shards(encoder, tokens):
        yield rows, encode_shard(encoder, tokens, rows, pooling, progress)


def plan_shards(encoder: Encoder, tokens: Tokens) -> list[Int[np.ndarray, " rows"]]:
    """The rows of each shard: tokenised texts from long to short, cut where a file is large enough."""
    sentence_bytes = 4 * len(encoder.layer_names) * encoder.hidden_size
    size = max(1, _SHARD_BYTES // sentence_bytes)
    order = np.argsort(-tokens.lengths, kind="stable")
    return [order[start : start + size] for start in range(0, len(order), size)]


def encode_shard(
    encoder: Encoder,
    tokens: Tokens,
    rows: Int[np.ndarray, " rows"],
    pooling: Pooling,
    progress: Progress = lambda done: None,
) -> Float[np.ndarray, "layers rows hidden"]:
    """The pooled vectors of some tokenised texts that are sorted from long to short, batch by batch."""
    encode, plan = choose_way(encoder, pooling)
    window = encoder.pads_to if isinstance(encoder, BatchingEncoder) else 1
    values = np.empty((len(encoder.layer_names), len(rows), encoder.hidden_size), dtype=np.float32)
    begun = deque[tuple[Int[np.ndarray, " batch"], Wait]]()

    def fetch() -> None:
        batch, wait = begun.popleft()
        values[:, batch] = wait()
        progress(len(batch))

    # An accelerator computes one batch while the vectors of the one before are on their way.
    for batch in plan(-(-tokens.lengths[rows] // window) * window):
        begun.append((batch, encode(tokens, rows[batch])))
        if len(begun) > 1 or encoder.backend != "unpadded":
            fetch()
    while begun:
        fetch()
    return values


def check_finite(values: Float[np.ndarray, "layers rows hidden"], texts: Sequence[Text], encoder: Encoder) -> None:
    """Refuse vectors that no probe can be fitted on, and that would stay in the cache.

    Raises:
        InputError: naming the first layer and the first text, and how many there are.
    """
    # A sum is not finite where one of its numbers is not, and takes no array of booleans.
    finite = np.isfinite(values.sum(axis=2, dtype=np.float64))
    if not finite.all():
        layer, spoilt = int(np.flatnonzero(~finite.all(axis=1))[0]), np.flatnonzero(~finite.all(axis=0))
        start = " ".join(texts[spoilt[0]])[:60]
        raise InputError(
            f"checkpoint {encoder.checkpoint}: layer {encoder.layer_names[layer]} gives NaN or infinity in "
            f"{encoder.dtype} for {len(spoilt)} sentence(s), such as {start!r}; try --dtype float32 or leave them out"
        )


def choose_way(
    encoder: Encoder, pooling: Pooling
) -> tuple[
    Callable[[Tokens, Int[np.ndarray, " batch"]], Wait],
    Callable[[Int[np.ndarray, " sentences"]], list[Int[np.ndarray, " batch"]]],
]:
    """Choose the function that begins a batch's pooled vectors, and the one that cuts sentences into batches for it."""
    shares = find_shares(POOLINGS.load(pooling.name))
    budget = _BATCH_TOKENS.get(encoder.device.partition(":")[0], _ACCELERATED_TOKENS)
    if encoder.backend == "unpadded" and isinstance(encoder, OverlappingEncoder) and shares:
        start = partial(start_unpadded, encoder, shares, special_tokens=pooling.special_tokens)
        return start, partial(plan_batches, budget=budget, pads=False)
    if encoder.backend == "fused" and isinstance(encoder, PoolingEncoder) and shares:
        together = _FUSED_TOKENS * torch.get_num_threads()
        pool = partial(pool_fused, encoder, shares, special_tokens=pooling.special_tokens)
        return partial(partial, pool), partial(plan_batches, budget=together, pads=False)
    return partial(partial, partial(pool_batch, encoder, pooling)), partial(plan_batches, budget=budget)


def plan_batches(
    lengths: Int[np.ndarray, " sentences"], budget: int, *, pads: bool = True
) -> list[Int[np.ndarray, " batch"]]:
    """Cut sentences that are sorted from long to short into batches of at most `budget` tokens, padding counted.

    Where batches are padded, one holds sentences of one length, and so no padding, unless it would be too small to be
    worth a pass. A sentence longer than the budget makes a batch of its own.
    """
    batches, start = [], 0
    for end in range(1, len(lengths) + 1):
        longest = int(lengths[start])
        if end < len(lengths):
            full = (end - start + 1) * longest > budget
            would_pad = pads and lengths[end] < longest and (end - start) * longest * _CLOSE_AT >= budget
            if not full and not would_pad:
                continue
        batches.append(np.arange(start, end))
        start = end
    return batches


def pool_batch(
    encoder: Encoder, pooling: Pooling, tokens: Tokens, rows: Int[np.ndarray, " batch"]
) -> Float[np.ndarray, "layers batch hidden"]:
    """Encode one batch and pool every layer of it."""
    states = encoder.encode(tokens, rows)
    positions = choose_positions(states, special_tokens=pooling.special_tokens)
    pool = POOLINGS.load(pooling.name)
    return torch.stack([pool(layer, positions) for layer in states.layers]).cpu().numpy()


def pool_fused(
    encoder: PoolingEncoder,
    shares: TokenShares,
    tokens: Tokens,
    rows: Int[np.ndarray, " batch"],
    *,
    special_tokens: bool,
) -> Float[np.ndarray, "layers batch hidden"]:
    """The same by an encoder that pools by itself."""
    special, lengths = np.concatenate([tokens.special[row] for row in rows]), tokens.lengths[rows]
    read = choose_tokens(special, lengths, special_tokens=special_tokens)
    return encoder.pool(tokens, rows, shares.share(read, lengths), shares.largest)


def start_unpadded(
    encoder: OverlappingEncoder,
    shares: TokenShares,
    tokens: Tokens,
    rows: Int[np.ndarray, " batch"],
    *,
    special_tokens: bool,
) -> Wait:
    """Begin the same by an encoder that takes sentences in a row."""
    special, lengths = np.concatenate([tokens.special[row] for row in rows]), tokens.lengths[rows]
    read = choose_tokens(special, lengths, special_tokens=special_tokens)
    return encoder.start_pool(tokens, rows, shares.share(read, lengths), shares.largest)
