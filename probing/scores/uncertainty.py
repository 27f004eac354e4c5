"""How sure a score is, given how many sentences it was measured on."""

import numpy as np
from jaxtyping import Float, Int

from probing.bootstrap import N_ROW, draw_counts, percentile_interval, resample_counts
from probing.registry import METRICS


def score_with_interval(
    metric: str,
    labels: Int[np.ndarray, " sentences"] | Float[np.ndarray, " sentences"],
    predicted: Int[np.ndarray, " sentences"] | Float[np.ndarray, " sentences"],
    rng: np.random.Generator,
) -> Float[np.ndarray, "3"]:
    """The score and the bounds of its 95 % percentile bootstrap interval over sentences.

    Sentences with the same label and prediction are of one kind, and drawn as such.
    """
    rule = METRICS.load(metric)
    pairs, counts = np.unique(np.stack([labels, predicted]), axis=1, return_counts=True)
    low, high = percentile_interval(rule(pairs[0], pairs[1], draw_counts(counts, rng, N_ROW)))
    return np.array([rule(pairs[0], pairs[1], counts[None])[0], low, high])


def means_with_intervals(
    values: Float[np.ndarray, "readouts sentences"], rng: np.random.Generator
) -> Float[np.ndarray, "readouts 3"]:
    """The mean of each row and the bounds of its 95 % percentile bootstrap interval over sentences.

    All rows are resampled alike.
    """
    counts = resample_counts(values.shape[1], rng)
    means = values @ counts.T / values.shape[1]
    return np.column_stack([values.mean(axis=1), *percentile_interval(means)])
