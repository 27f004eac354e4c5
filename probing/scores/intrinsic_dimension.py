"""Intrinsic dimension of a cloud of vectors, by two nearest neighbours (Facco et al. 2017, arXiv 1803.06992).

With mu_i = r2 / r1, the distances of vector i to its second and to its first neighbour, ln mu_i is exponential with
rate d where density hardly changes within them. Of the N ratios the tenth that is largest counts as censored; with the
k others in order (scikit-dimension, `TwoNN(method="mle")`):

    d = (k - 1) / T,    T = sum_{i <= k} ln mu_(i) + (N - k) ln mu_(k)

and 2 d T has the chi-square law of 2 k degrees, from which the 95 % interval is. Ratios of neighbours depend on each
other somewhat, which it leaves out. Where sentences were made in pairs, such as one with two words exchanged and the
same one without, the nearest neighbour is the twin, and the dimension speaks of how twins differ.
"""

import numpy as np
from jaxtyping import Float
from scipy.stats import chi2

from probing.bootstrap import LEVEL
from probing.registry import import_part

_ESTIMATOR = "skdim.id:TwoNN"
"""Of an extra of the installation; settings that ask for it where it is missing have been refused."""
_DISCARDED = 0.1
_FEWEST = 20
"""Different vectors; of fewer there is no estimate."""


def measure_dimension(vectors: Float[np.ndarray, "sentences hidden"]) -> Float[np.ndarray, "3"]:
    """The dimension with the bounds of its interval; equal vectors count once, and NaN where fewer than 20 are left."""
    different = np.unique(vectors, axis=0).astype(float)
    if len(different) < _FEWEST:
        return np.full(3, np.nan)
    estimate = import_part(_ESTIMATOR)(discard_fraction=_DISCARDED, method="mle").fit(different)
    value, kept = float(estimate.dimension_), len(estimate.x_)
    tail = (1 - LEVEL) / 2
    low, high = chi2.ppf([tail, 1 - tail], 2 * kept) * value / (2 * (kept - 1))
    return np.array([value, low, high])
