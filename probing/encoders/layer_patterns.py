"""Orders of sub-layers: LV-BERT's codes, the patterns that have names, and the weights that each kind takes."""

from collections import Counter
from collections.abc import Sequence

from probing.records import InputError

KINDS = ("conv", "att", "ffn")
"""By code, as in the authors' code: 0 dynamic convolution, 1 self-attention, 2 feed-forward."""
CONV, ATT, FFN = range(3)
AUTHORS = (0, 0, 1, 2, 2, 1, 0, 2, 2, 1, 0, 0, 1, 2, 0, 2, 1, 0, 2, 0, 1, 1, 2, 1)
"""Order that their search found for the small model, eight of each kind (github.com/yuweihao/LV-BERT, README)."""
NAMED = ("interleaved", "sandwich", "convolution_first", "varied", "authors")
"""Patterns that `build_pattern` knows."""


def check_pattern(pattern: Sequence[int], n_places: int = 0) -> tuple[int, ...]:
    """A pattern as it is kept.

    Args:
        pattern: codes, one for each place.
        n_places: how many there must be; 0 for any number from 1 on.

    Raises:
        InputError: a code that is none, or another number of them.
    """
    unknown = [code for code in pattern if type(code) is not int or not 0 <= code < len(KINDS)]
    if unknown:
        raise InputError(
            f"layer_pattern: {unknown[0]!r} is no code of a sub-layer; expected 0 (convolution), 1 (self-attention) "
            "or 2 (feed-forward)"
        )
    if not pattern or (n_places and len(pattern) != n_places):
        raise InputError(f"layer_pattern: {len(pattern)} code(s); expected {n_places or 'one or more'}")
    return tuple(pattern)


def name_places(pattern: Sequence[int]) -> tuple[str, ...]:
    """The names of the sub-layers' outputs: `1:conv`, `2:att`, ..."""
    return tuple(f"{place}:{KINDS[code]}" for place, code in enumerate(pattern, 1))


def build_pattern(name: str, n_places: int) -> tuple[int, ...]:
    """A pattern that has a name, for a number of sub-layers.

    `interleaved` is BERT's order; `sandwich` (Press et al. 2020, arXiv 1911.03864) begins with half of its attention
    and ends with half of its feed-forward, interleaved between; `convolution_first` is a sandwich whose front is of
    convolutions; `varied` is interleaved with every second attention a convolution; `authors` is what the authors'
    search found.

    Raises:
        InputError: there is no such pattern of that length.
    """
    if name not in NAMED:
        raise InputError(f"unknown pattern {name!r}: expected {', '.join(NAMED)}")
    if name == "authors":
        return check_pattern(AUTHORS, n_places)
    if n_places < 2 or n_places % 2:
        raise InputError(f"pattern {name}: {n_places} sub-layers; expected an even number")
    half = n_places // 2
    if name == "varied":
        return tuple(code for place in range(half) for code in ((CONV, ATT)[place % 2], FFN))
    moved = 0 if name == "interleaved" else half // 2
    front = CONV if name == "convolution_first" else ATT
    return (front,) * moved + (ATT, FFN) * (half - moved) + (FFN,) * moved


def count_weights(pattern: Sequence[int], hidden_size: int, n_heads: int, intermediate_size: int, n_taps: int) -> int:
    """Weights of the products of a stack, biases and norms not counted.

    Attention has 4 H^2, feed-forward 2 H I, a convolution 4 H^2 + taps heads H + taps H.
    """
    square = 4 * hidden_size**2
    convolution = square + n_taps * hidden_size * (n_heads + 1)
    each = (convolution, square, 2 * hidden_size * intermediate_size)
    return sum(each[code] * count for code, count in Counter(pattern).items())
