"""Texts through the encoder: tokens, then the pooled vectors of all layers, a shard at a time."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import chain

import numpy as np
from jaxtyping import Float, Int

from probing.contracts.encoder import BatchingEncoder, Encoder, Tokens, Wait
from probing.records import InputError, Text
from probing.representations.batches import choose_way
from probing.representations.pooling import Pooling

Progress = Callable[[int], None]
"""Called with the number of sentences encoded since the last call."""

_SHARD_BYTES = 64 * 2**20
"""Size of a cached file: what a killed run loses at most."""
_TOKENISED = 8192
"""Texts that are tokenised at once."""


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
