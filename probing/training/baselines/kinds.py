"""Ways of scoring a triple by the vectors of its parts.

    TransE (Bordes et al. 2013):             score(h, r, t) = -||h + r - t||_1
    DistMult (Yang et al. 2015, 1412.6575):  score(h, r, t) = sum_i h_i r_i t_i
    RotatE (Sun et al. 2019, 1902.10197):    score(h, r, t) = -sum_i |h_i exp(i r_i) - t_i|

RotatE's entities are complex, the real parts in the first half of a vector and the imaginary ones in the second; its
relations are angles, half as many. The sum is over moduli, as in the authors' code.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import Tensor

_FLOOR = 1e-12
"""Least square of a distance."""


@dataclass(frozen=True)
class Kind:
    """A way of scoring, and what it is trained with."""

    score: Callable[[Tensor, Tensor, Tensor], Tensor]
    """Vectors of heads, relations and tails -> scores; the last axis falls away."""
    margin: float
    """Added to each score, before its sigmoid is taken."""
    learning_rate: float
    decay: float = 0.0
    """Weight of the squared length of the vectors of a batch."""
    share: int = 1
    """Numbers of an entity's vector for each of a relation's."""
    relation_start: float = 0.1
    """Standard deviation of the numbers of relations before training; that of entities is 0.1."""


def score_rotation(
    heads: Float[Tensor, "*batch size"], angles: Float[Tensor, "*batch half"], tails: Float[Tensor, "*batch size"]
) -> Float[Tensor, "*batch"]:
    """RotatE: less the sum of the distances of each head, turned by its relation's angles, to the tail."""
    (real, imaginary), (real_to, imaginary_to) = heads.chunk(2, dim=-1), tails.chunk(2, dim=-1)
    cosine, sine = angles.cos(), angles.sin()
    across, up = real * cosine - imaginary * sine - real_to, real * sine + imaginary * cosine - imaginary_to
    # A root has no slope at 0, where a head is turned onto its tail: below this floor there is none to follow.
    return -(across * across + up * up).clamp_min(_FLOOR).sqrt().sum(-1)


KINDS: Mapping[str, Kind] = {
    "transe": Kind(lambda h, r, t: -(h + r - t).abs().sum(-1), margin=9.0, learning_rate=1e-2),
    "distmult": Kind(lambda h, r, t: (h * r * t).sum(-1), margin=0.0, learning_rate=1e-2, decay=1e-3),
    # Angles start all around the circle, with the deviation of a uniform draw from -pi to pi. Of the margins 6, 9 and
    # 12, 6 (the paper's on WN18RR) had the best ranks on dev of UMLS.
    "rotate": Kind(score_rotation, margin=6.0, learning_rate=1e-2, share=2, relation_start=np.pi / 3**0.5),
}
"""Name, as in `--baselines`, -> way of scoring."""
