"""How sure a score is, given how many sentences it was measured on."""

import numpy as np
from jaxtyping import Float, Int

from probing.registry import resolve

_SAMPLES = 1000
_LEVEL = 0.95


def score_with_interval(
    metric: str,
    labels: Int[np.ndarray, " sentences"],
    predicted: Int[np.ndarray, " sentences"],
    rng: np.random.Generator,
) -> Float[np.ndarray, "3"]:
    """The score and the bounds of its 95 % percentile bootstrap interval over sentences (Efron 1979).

    Drawing sentences with replacement is drawing the counts of the distinct (label, prediction) pairs from a
    multinomial distribution, which is how it is done: the same distribution, without touching sentences.
    """
    rule = resolve("metrics", metric)
    pairs, counts = np.unique(np.stack([labels, predicted]), axis=1, return_counts=True)
    drawn = rng.multinomial(len(labels), counts / len(labels), size=_SAMPLES)
    tail = (1 - _LEVEL) / 2
    low, high = np.quantile(rule(pairs[0], pairs[1], drawn), [tail, 1 - tail])
    return np.array([rule(pairs[0], pairs[1], counts[None])[0], low, high])
