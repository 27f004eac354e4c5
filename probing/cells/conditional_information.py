"""Information that a layer adds to a baseline layer (Hewitt et al. 2021, arXiv 2109.09234)."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from probing.catalogue.measures import MEASURES
from probing.cells.fitting import fit_folds
from probing.cells.scoring import Readout, identify, inform, score_samples
from probing.contracts.measure import Cell, Encoded, describe
from probing.records import LayerStack
from probing.scores.uncertainty import means_with_intervals
from probing.settings.run import RunSettings
from probing.tables import CellResult


@describe(MEASURES["conditional_information"])
def measure_conditional_information(cell: Cell, encoded: Encoded, settings: RunSettings) -> CellResult:
    """Bits that each layer adds to what the baseline layer B holds (Hewitt et al. 2021, arXiv 2109.09234, eq. 5).

    I_V(R_l -> Y | B) = H_V(Y | B) - H_V(Y | B, R_l), both by probes: on B alone, and on B and layer l side by side.
    """
    names = encoded.encoder.layer_names
    base = settings.baseline_layer % len(names)
    others = [layer for layer in encoded.layers if layer != base]
    alone = fit_folds(cell, encoded, settings, [base])
    joint = fit_folds(cell, replace(encoded, stack=_Beside(encoded.stack, base)), settings, others)
    facts = identify(cell, encoded, settings) | {"seconds": alone.seconds + joint.seconds}
    known, both = (inform(cell.task, fit.read) for fit in (alone, joint))
    values = means_with_intervals(both - known)
    scores = []
    for layer, row in zip(others, values, strict=True):
        readout = Readout(layer, names[layer], {"baseline_layer": base}, True)
        metric = "conditional_information_bits"
        scores.append(score_samples(cell.task, "test", metric, row, facts | readout.columns()))
    return CellResult(scores)


class _Beside(LayerStack):
    """Every layer of a stack with one and the same layer in front of it."""

    def __init__(self, stack: LayerStack, base: int):
        self._stack, self._base = stack, base
        self.layer_names, self.pooling = stack.layer_names, stack.pooling

    @property
    def hidden_size(self) -> int:
        return 2 * self._stack.hidden_size

    def select(self, layers: Sequence[int], rows: Int[np.ndarray, " rows"]) -> Float[np.ndarray, "chosen rows hidden"]:
        known = np.repeat(self._stack.select([self._base], rows), len(layers), axis=0)
        return np.concatenate([known, self._stack.select(layers, rows)], axis=2)
