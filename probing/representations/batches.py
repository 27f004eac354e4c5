"""Batches of tokenised texts, and the ways in which an encoder makes the pooled vectors of one."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int

from probing.contracts.encoder import Encoder, OverlappingEncoder, PoolingEncoder, Tokens, Wait
from probing.contracts.pooling import TokenShares, find_shares
from probing.registry import POOLINGS
from probing.representations.pooling import Pooling, choose_positions, choose_tokens

_BATCH_TOKENS = {"cpu": 8192}
_ACCELERATED_TOKENS = 131072
"""Tokens in a batch, padding counted: large enough for the products, small enough for the caches."""
_FUSED_TOKENS = 16384
"""Tokens for each thread in a batch that is pooled while it is encoded: threads wait for each other once a batch."""
_CLOSE_AT = 8
"""A batch that holds an eighth of the budget takes no shorter sentence in, and so no padding."""


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
