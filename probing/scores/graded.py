"""Scores on a scale as class probabilities, and back (Tai et al. 2015, arXiv 1503.00075, eq. 15; as SentEval does).

A score y between two whole numbers is given to both, the nearer getting more: p(floor y) = floor y - y + 1 and
p(floor y + 1) = y - floor y. What a classifier says of a text is read back as the expected score, sum_k k p(k).
"""

import numpy as np
from jaxtyping import Float


def spread_scores(scores: Float[np.ndarray, " sentences"], n_classes: int) -> Float[np.ndarray, "sentences classes"]:
    """The probability of each class 0 .. classes - 1, given scores in that range; the expectation is the score."""
    distance = np.abs(scores[:, None] - np.arange(n_classes))
    return np.maximum(1 - distance, 0).astype(np.float32)


def expect_scores(log_probabilities: Float[np.ndarray, "sentences classes"]) -> Float[np.ndarray, " sentences"]:
    """The expected score of each text."""
    return np.exp(log_probabilities.astype(float)) @ np.arange(log_probabilities.shape[1])
