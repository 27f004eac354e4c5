"""Shape of each layer's vectors on the training sentences of a task: effective rank and anisotropy; no label."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from probing.catalogue.measures import MEASURES
from probing.cells.scoring import Readout, identify, score_samples
from probing.contracts.measure import Cell, Encoded, describe
from probing.scores.geometry import describe_cloud
from probing.settings.run import RunSettings
from probing.tables import CellResult, Score

_ROWS = 2**12
"""Sentences that are read at a time."""


@describe(MEASURES["geometry"])
def measure_geometry(cell: Cell, encoded: Encoded, settings: RunSettings) -> CellResult:
    """Effective rank and anisotropy of every layer, with 95 % intervals over training sentences, each taken once."""
    rows, scores = np.unique(encoded.rows["train"]), []
    for layer in encoded.layers:
        start = time.perf_counter()
        found = describe_cloud(partial(read_blocks, encoded, layer, rows))
        facts = identify(cell, encoded, settings) | {"seconds": time.perf_counter() - start}
        scores += list_scores(cell, layer, encoded, found, facts | {"n": len(rows)})
    return CellResult(scores)


def read_blocks(
    encoded: Encoded, layer: int, rows: Int[np.ndarray, " rows"]
) -> Iterator[Float[np.ndarray, "block hidden"]]:
    """Vectors of a layer in float64, some sentences at a time."""
    for start in range(0, len(rows), _ROWS):
        yield encoded.stack.select([layer], rows[start : start + _ROWS])[0].astype(float)


def list_scores(
    cell: Cell, layer: int, encoded: Encoded, found: Mapping[str, Float[np.ndarray, "3"]], facts: Mapping[str, Any]
) -> Iterator[Score]:
    """A score for each quantity of a layer; `facts` are the other columns and `n`, the sentences that were taken."""
    columns, n = {name: value for name, value in facts.items() if name != "n"}, facts["n"]
    columns |= Readout(layer, encoded.encoder.layer_names[layer], {}, True).columns()
    for metric, values in found.items():
        yield replace(score_samples(cell.task, "train", metric, values, columns), n=n)
