"""Knock-outs: what the mix still finds when one of its layers says the same of every sentence.

Layer k of the fitted mix sum_l s_l h_l is replaced by its training mean m_k,

    z - s_k (h_k - m_k),

with the weights s, the standardisation and the classifier as they were fitted. Weights and contributions say how much
of a layer there is in the mix; a knock-out, how much of what the mix finds hangs on it. A layer whose information
another one has too costs little, though both may weigh much.

Accuracy lost is that of the mix minus that of the mix without the layer, paired by test sentence; bits lost are those
of `scores.usable_information`, whose blend with the class shares is set on dev for each knock-out anew: a readout that
holds nothing has 0 bits, so that not more can be lost than there was, but for the choice on dev.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from probing.bootstrap import interval_of_differences
from probing.catalogue.measures import MEASURES
from probing.cells.fitting import Fit, fit_folds, join_folds
from probing.cells.plan import choose_layers
from probing.cells.scoring import describe_readouts, identify, inform, score_samples
from probing.contracts.measure import Cell, Encoded, describe
from probing.folds import plan_folds
from probing.probes.stack_blocks import normalise
from probing.records import LayerStack
from probing.scores.uncertainty import means_with_intervals
from probing.settings.run import RunSettings
from probing.tables import CellResult

_ROWS = 2**12
"""Sentences that are read at a time."""


@describe(MEASURES["knockouts"])
def measure_knockouts(cell: Cell, encoded: Encoded, settings: RunSettings) -> CellResult:
    """Accuracy and bits that the mix loses without each layer, with paired 95 % intervals over test sentences."""
    task, layers = cell.task, choose_layers(cell, encoded, settings)
    fit = fit_folds(cell, encoded, settings, layers)
    without = read_without(cell, encoded, fit, layers)
    labels = task.splits["test"].labels
    right, others = (
        np.stack([answers.argmax(axis=1) == labels for answers in read["test"]]).astype(float)
        for read in (fit.read, without)
    )
    lost = right - others
    values = {
        "knockout_accuracy": np.column_stack([lost.mean(axis=1), *interval_of_differences(lost)]),
        "knockout_bits": means_with_intervals(inform(task, fit.read) - inform(task, without)),
    }
    facts = identify(cell, encoded, settings) | {"seconds": fit.seconds}
    whole = next(describe_readouts(cell, fit.probes, layers, encoded.encoder.layer_names))
    scores = []
    for metric, rows in values.items():
        for layer, row in zip(layers, rows, strict=True):
            readout = replace(whole, layer=layer, layer_name=encoded.encoder.layer_names[layer])
            scores.append(score_samples(task, "test", metric, row, facts | readout.columns()))
    return CellResult(scores)


def read_without(
    cell: Cell, encoded: Encoded, fit: Fit, layers: Sequence[int]
) -> dict[str, list[Float[np.ndarray, "_sentences classes"]]]:
    """Log probabilities of dev and test by the mix without each layer; every sentence's from its own fold."""
    task, stack = cell.task, encoded.stack
    parts = {"dev": [], "test": []}
    for probe, fold in zip(fit.probes, plan_folds(task), strict=True):
        means = average(stack, layers, encoded.rows["train"][fold["train"]], probe)
        for split, found in parts.items():
            vectors = stack.select(layers, encoded.rows[split][fold[split]])
            found.append((fold[split], list(probe.read_without(vectors, means))))
    return {split: join_folds(found, len(task.splits[split]), len(task.classes)) for split, found in parts.items()}


def average(
    stack: LayerStack, layers: Sequence[int], rows: Int[np.ndarray, " rows"], probe: Any
) -> Float[np.ndarray, "layers hidden"]:
    """Mean of each layer's vectors, as the probe mixes them."""
    total = np.zeros((len(layers), stack.hidden_size))
    for start in range(0, len(rows), _ROWS):
        block = stack.select(layers, rows[start : start + _ROWS])
        total += (normalise(block) if probe.norm else block).sum(axis=1, dtype=float)
    return (total / len(rows)).astype(np.float32)
