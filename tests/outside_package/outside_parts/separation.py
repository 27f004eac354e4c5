"""A measure without a probe: how much of the variance of the test vectors lies between the classes."""

import numpy as np

from probing.catalogue.measures import Measure
from probing.cells.scoring import Readout, identify, score_samples
from probing.contracts.measure import describe
from probing.randomness import stream
from probing.tables import CellResult


@describe(Measure(("layer",), takes_graded=False, takes_seed=False))
def measure_separation(cell, encoded, settings):
    """A share in [0, 1] for each probed layer, with an interval over 200 resamples of the sentences."""
    labels, scores = cell.task.splits["test"].labels, []
    rng = stream(0, "separation", cell.task.name)
    draws = [np.arange(len(labels)), *(rng.integers(0, len(labels), len(labels)) for _ in range(200))]
    for layer in encoded.layers:
        vectors = encoded.stack.select([layer], encoded.rows["test"])[0].astype(np.float64)
        shares = np.array([share_between(vectors[rows], labels[rows]) for rows in draws])
        readout = Readout(layer, encoded.encoder.layer_names[layer], {}, True)
        facts = identify(cell, encoded, settings) | readout.columns() | {"seconds": 0.0}
        interval = [shares[0], *np.quantile(shares[1:], [0.025, 0.975])]
        scores.append(score_samples(cell.task, "test", "separation", np.array(interval), facts))
    return CellResult(scores)


def share_between(vectors, labels):
    """Variance of the class means, weighted by their sizes, over the variance of all; 0 where that is 0."""
    whole = ((vectors - vectors.mean(axis=0)) ** 2).sum()
    within = sum(
        ((vectors[labels == one] - vectors[labels == one].mean(axis=0)) ** 2).sum() for one in np.unique(labels)
    )
    return float((whole - within) / whole) if whole > 0 else 0.0
