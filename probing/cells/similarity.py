"""Likeness of an encoder's layers to each other, on the test sentences of a task; no label takes part."""

import numpy as np
from jaxtyping import Float

from probing.catalogue.measures import MEASURES
from probing.contracts.measure import Cell, Encoded, describe
from probing.randomness import stream
from probing.scores.similarity import compare_with_intervals
from probing.settings.run import RunSettings
from probing.tables import CellResult, LayerSimilarity

_MOST = 1_000
"""Sentences, drawn where there are more: the estimate has no bias at any number, and its work grows with the square."""


@describe(MEASURES["similarity"])
def measure_similarity(cell: Cell, encoded: Encoded, settings: RunSettings) -> CellResult:
    """Debiased linear CKA of all pairs of probed layers, with 95 % intervals over sentences.

    On different sentences of test, at most 1,000. A layer that says the same of all of them has no rows: layer 0 with
    [CLS] pooling.
    """
    vectors = draw_sentences(cell, encoded)
    encoder = encoded.encoder
    facts = {"model": settings.model, "checkpoint": encoder.checkpoint, "other_checkpoint": encoder.checkpoint}
    layers = [(layer, encoder.layer_names[layer]) for layer in encoded.layers]
    values = compare_with_intervals(vectors, vectors)
    return CellResult(similarities=list_similarities(values, (layers, layers), facts | {"task": cell.task.name,
                                                     "n": vectors.shape[1]}))  # fmt: skip


def draw_sentences(cell: Cell, encoded: Encoded) -> Float[np.ndarray, "layers sentences hidden"]:
    """Vectors of different test sentences in random order, the same ones for every encoder."""
    first = np.unique(encoded.rows["test"], return_index=True)[1]
    rows = encoded.rows["test"][np.sort(first)]
    chosen = stream(0, "similarity", cell.task.name).permutation(len(rows))[:_MOST]
    return encoded.stack.select(encoded.layers, rows[chosen])


def list_similarities(
    values: Float[np.ndarray, "layers other_layers 3"],
    layers: tuple[list[tuple[int, str]], list[tuple[int, str]]],
    facts: dict,
) -> list[LayerSimilarity]:
    """Rows of every pair of layers that has a value.

    Args:
        values: with their bounds.
        layers: indices and names of the layers of the one and of the other encoder.
        facts: all other columns.
    """
    return [
        LayerSimilarity(
            **facts,
            layer=layer,
            layer_name=name,
            other_layer=other,
            other_layer_name=other_name,
            value=value,
            ci_low=low,
            ci_high=high,
        )
        for (layer, name), row in zip(layers[0], values.tolist(), strict=True)
        for (other, other_name), (value, low, high) in zip(layers[1], row, strict=True)
        if np.isfinite(value)
    ]
