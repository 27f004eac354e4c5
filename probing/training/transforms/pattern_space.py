"""The patterns that a supernet's paths and a search are drawn from: all, or those of equal size or of equal counts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from probing.encoders.layer_patterns import FFN, KINDS, count_weights
from probing.records import InputError

Constraint = Literal["parameters", "counts", "none"]
_TOLERANCE = 0.02
"""Share by which the weights of two patterns of one size may differ: a convolution has some 5 % more than attention."""
_TRIES = 10_000
"""Draws until one is allowed: under the constraints here, one of twelve places is in ten or so."""

_WIDTH_STEP = 8
"""Inner widths that are chosen are multiples of it."""


@dataclass(frozen=True)
class Sizes:
    """Sizes that a pattern's weights depend on."""

    hidden_size: int
    n_heads: int
    intermediate_size: int
    n_taps: int = 9

    def count(self, pattern: Sequence[int]) -> int:
        """Weights of a stack's products."""
        return count_weights(pattern, self.hidden_size, self.n_heads, self.intermediate_size, self.n_taps)


@dataclass(frozen=True)
class PatternSpace:
    """Patterns of one length, all those that are like a reference in what is held equal."""

    reference: tuple[int, ...]
    """A pattern that is allowed, such as the interleaved one."""
    constraint: Constraint
    """`parameters`: weights within 2 % of the reference's; `counts`: as many of each kind as there; `none`: any."""
    sizes: Sizes

    def allows(self, pattern: Sequence[int]) -> bool:
        """True where a pattern is in the space."""
        if len(pattern) != len(self.reference):
            return False
        if self.constraint == "counts":
            return Counter(pattern) == Counter(self.reference)
        aim = self.sizes.count(self.reference)
        return self.constraint == "none" or abs(self.sizes.count(pattern) - aim) <= _TOLERANCE * aim

    def draw(self, generator: np.random.Generator) -> tuple[int, ...]:
        """One of the space, all equally probable."""
        if self.constraint == "counts":
            return tuple(generator.permutation(self.reference).tolist())
        for _ in range(_TRIES):
            pattern = tuple(generator.integers(len(KINDS), size=len(self.reference)).tolist())
            if self.allows(pattern):
                return pattern
        raise InputError(
            f"--constraint {self.constraint}: no pattern in {_TRIES:,} draws has the weights of {self.reference}; "
            "use --constraint none"
        )

    def mutate(self, parent: tuple[int, ...], rate: float, generator: np.random.Generator) -> tuple[int, ...]:
        """Some places changed, each with probability `rate`: half of them swapped with another, half drawn anew."""
        for _ in range(_TRIES):
            child = list(parent)
            for place in np.flatnonzero(generator.random(len(child)) < rate).tolist():
                other = int(generator.integers(len(child)))
                if generator.random() < 0.5:
                    child[place], child[other] = child[other], child[place]
                else:
                    child[place] = int(generator.integers(len(KINDS)))
            if self.allows(child):
                return tuple(child)
        return parent

    def cross(self, one: tuple[int, ...], other: tuple[int, ...], generator: np.random.Generator) -> tuple[int, ...]:
        """Each place from one parent or from the other; `one` itself where no such child is allowed."""
        for _ in range(_TRIES):
            taken = generator.random(len(one)) < 0.5
            child = tuple(np.where(taken, one, other).tolist())
            if self.allows(child):
                return child
        return one


def fit_intermediate(pattern: Sequence[int], space: PatternSpace) -> int:
    """The inner width of feed-forward, a multiple of 8, that brings a pattern nearest to the reference's weights.

    Raises:
        InputError: the pattern has no feed-forward sub-layer, or is larger without any inner width.
    """
    sizes, counts = space.sizes, Counter(pattern)
    rest = sizes.count([code for code in pattern if code != FFN])
    room = sizes.count(space.reference) - rest
    if not counts[FFN] or room <= 0:
        raise InputError(f"pattern {list(pattern)}: no inner width gives it the weights of {list(space.reference)}")
    return max(_WIDTH_STEP, round(room / (2 * sizes.hidden_size * counts[FFN]) / _WIDTH_STEP) * _WIDTH_STEP)
