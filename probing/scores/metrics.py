"""Metrics as functions of weighted (label, prediction) pairs, for many weightings at once.

A weighting says how often each distinct pair occurs: once as observed, and once more for every bootstrap sample.
"""

import numpy as np
from jaxtyping import Float, Int


def accuracy(
    labels: Int[np.ndarray, " pairs"],
    predicted: Int[np.ndarray, " pairs"],
    counts: Int[np.ndarray, "samples pairs"],
) -> Float[np.ndarray, " samples"]:
    """Share of sentences whose class was found, in [0, 1]."""
    return (counts @ (labels == predicted)) / counts.sum(axis=1)
