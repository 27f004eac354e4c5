"""Intrinsic dimension of each layer's vectors on the training sentences of a task; no label."""

import time

import numpy as np

from probing.catalogue.measures import MEASURES
from probing.cells.geometry import list_scores
from probing.cells.scoring import identify
from probing.contracts.measure import Cell, Encoded, describe
from probing.randomness import stream
from probing.scores.intrinsic_dimension import measure_dimension
from probing.settings.run import RunSettings
from probing.tables import CellResult

_MOST = 2_000
"""Sentences, drawn where there are more: distances of all pairs are taken."""


@describe(MEASURES["intrinsic_dimension"])
def measure_intrinsic_dimension(cell: Cell, encoded: Encoded, settings: RunSettings) -> CellResult:
    """Intrinsic dimension of every layer with its 95 % interval, on at most 2,000 different training sentences.

    It grows with the density of sentences, so that only layers on the same sentences compare. A layer in which fewer
    than 20 sentences differ has no row.
    """
    rows = np.unique(encoded.rows["train"])
    chosen, scores = np.sort(stream(0, "dimension", cell.task.name).permutation(rows)[:_MOST]), []
    for layer in encoded.layers:
        start = time.perf_counter()
        found = measure_dimension(encoded.stack.select([layer], chosen)[0])
        if np.isfinite(found).all():
            facts = identify(cell, encoded, settings) | {"seconds": time.perf_counter() - start, "n": len(chosen)}
            scores += list_scores(cell, layer, encoded, {"intrinsic_dimension": found}, facts)
    return CellResult(scores)
