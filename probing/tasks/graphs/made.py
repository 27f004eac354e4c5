"""A small graph made by rules: places and what lies where, with names that tell some of it and not all.

Twelve valleys of ten places each. A place's name begins with its valley's, so that a reader of texts can tell what an
embedding has to be shown triple by triple; who trades with whom no name tells. `north of` and `south of` are each
other's reverse, of which a graph's check has to speak.
"""

from itertools import pairwise

import numpy as np

from probing.records import SPLITS

_VALLEYS = (
    *("amber", "birch", "cedar", "dover", "elder", "flint"),
    *("grove", "hazel", "linden", "marsh", "oak", "raven"),
)
_KINDS = ("abbey", "bridge", "castle", "farm", "forest", "harbour", "inn", "mill", "quarry", "school")
_TRADES = 3
"""Places that each place trades with."""
_SHARES = (0.8, 0.1, 0.1)
_SEED = 0

Named = tuple[str, ...]
"""The ids of head, relation and tail."""


def list_triples() -> list[Named]:
    """All that is true, each triple once."""
    places = [f"{valley}_{kind}" for valley in _VALLEYS for kind in _KINDS]
    triples: list[Named] = [(place, "lies_in", f"{place.split('_')[0]}_valley") for place in places]
    triples += [(place, "is_a", place.split("_")[1]) for place in places]
    for north, south in pairwise(_VALLEYS):
        for kind in _KINDS:
            triples.append((f"{north}_{kind}", "north_of", f"{south}_{kind}"))
            triples.append((f"{south}_{kind}", "south_of", f"{north}_{kind}"))
    for valley in _VALLEYS:
        own = [f"{valley}_{kind}" for kind in _KINDS]
        triples += [(one, "near", other) for one in own for other in own if one != other]
    generator = np.random.default_rng(_SEED)
    for place in places:
        others = [other for other in places if other != place]
        triples += [(place, "trades_with", str(one)) for one in generator.choice(others, _TRADES, replace=False)]
    return triples


def split_triples(triples: list[Named]) -> dict[str, list[Named]]:
    """Eight tenths train, one dev, one test, drawn."""
    order = np.random.default_rng(_SEED).permutation(len(triples))
    borders = np.cumsum([0, *(round(share * len(triples)) for share in _SHARES[:-1]), len(triples)])
    borders[-1] = len(triples)
    return {
        split: [triples[row] for row in sorted(order[start:stop])]
        for split, start, stop in zip(SPLITS, borders, borders[1:], strict=False)
    }
