"""Choice among several fitted strengths."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float


def choose_strength(dev_scores: Float[np.ndarray, " strengths"], strengths: Sequence[float] | Sequence[int]) -> int:
    """Index of the strength with the best dev score, unrounded; among equals the strongest regularisation."""
    return max(range(len(strengths)), key=lambda index: (dev_scores[index], strengths[index]))
