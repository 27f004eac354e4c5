"""Hidden tokens of a block, and what stands in their place (Devlin et al. 2019, arXiv 1810.04805, section 3.1)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from probing.training.data.vocabulary import Marks

_MASKED, _RANDOM = 0.8, 0.1
"""Shares of the hidden tokens that a mask and a random token stand for; the rest is left as it is."""


@dataclass(frozen=True)
class Masking:
    """The amount that is hidden."""

    share: float = 0.15
    """Of the tokens of a block, marks not counted."""
    whole_words: bool = False
    """True where all tokens of a word are hidden together."""


def draw_places(
    blocks: Int[np.ndarray, "batch tokens"], masking: Masking, marks: Marks, generator: np.random.Generator
) -> Bool[np.ndarray, "batch tokens"]:
    """The tokens of each block that are hidden, in each as many as its share is, and at least one.

    With whole words, the words of a block come in a drawn order as long as their tokens are no more than that share;
    the first one always does.
    """
    special = marks.special[blocks]
    drawn = generator.random(blocks.shape)
    if masking.whole_words:
        # All tokens of a word get the number drawn for its first.
        first = np.where(marks.continues[blocks], 0, np.arange(blocks.shape[1]))
        drawn = np.take_along_axis(drawn, np.maximum.accumulate(first, axis=1), axis=1)
    drawn[special] = np.inf
    wanted = np.maximum(1, np.rint(masking.share * (~special).sum(axis=1))).astype(int)
    order = np.argsort(drawn, axis=1, kind="stable")
    hidden = np.empty_like(special)
    np.put_along_axis(hidden, order, np.arange(blocks.shape[1]) < wanted[:, None], axis=1)
    if masking.whole_words:
        hidden = _keep_whole(hidden, drawn)
    return hidden & ~special


def draw_inputs(
    blocks: Int[np.ndarray, "batch tokens"],
    hidden: Bool[np.ndarray, "batch tokens"],
    marks: Marks,
    generator: np.random.Generator,
) -> Int[np.ndarray, "batch tokens"]:
    """The blocks with a mask in place of 80 % of the hidden tokens and a random one in place of 10 %."""
    inputs, n = blocks.copy(), int(hidden.sum())
    choice, others = generator.random(n), generator.choice(marks.ordinary, n)
    shown = np.where(choice < _MASKED + _RANDOM, others, blocks[hidden])
    inputs[hidden] = np.where(choice < _MASKED, marks.mask, shown)
    return inputs


def _keep_whole(
    hidden: Bool[np.ndarray, "batch tokens"], drawn: Float[np.ndarray, "batch tokens"]
) -> Bool[np.ndarray, "batch tokens"]:
    """Hidden words that are hidden whole; in a block that has none, the whole of the one that is begun."""
    largest = np.where(hidden, drawn, -np.inf).max(axis=1, keepdims=True)
    smallest = drawn.min(axis=1, keepdims=True)
    cut = ((drawn == largest) & ~hidden).any(axis=1, keepdims=True)
    whole = (drawn < largest) | ((drawn == largest) & ~cut)
    return np.where(cut & (largest == smallest), drawn == smallest, whole)
