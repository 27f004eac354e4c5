"""Cell after cell: found in the run folder or computed, kept when finished, recorded when it fails."""

from collections.abc import Mapping, Sequence

from probing import __version__
from probing.contracts.measure import Cell, Encoded
from probing.digests import digest_json
from probing.progress import Narrator
from probing.registry import MEASURES
from probing.settings.run import RunSettings
from probing.store.run_folder import RunFolder
from probing.tables import CellResult, Failure

_COSTS_A_CELL = (RuntimeError, ValueError, ArithmeticError, MemoryError)
"""Errors of torch and numpy, and lack of memory: they cost one cell, and the run goes on."""


class CellRunner:
    """Computes the cells that are not there yet, and gathers all.

    Args:
        settings: of the run.
        folder: where finished cells are kept.
        narrator: who tells of them.
    """

    def __init__(self, settings: RunSettings, folder: RunFolder, narrator: Narrator):
        self.settings, self.folder, self.narrator = settings, folder, narrator
        self.results: list[CellResult] = []
        self.failures: list[Failure] = []

    def run(self, stage: str, cells: Sequence[Cell], encoded: Mapping[str, Encoded]) -> None:
        """Compute some cells, as a stage of the run, from the sentences of their tasks."""
        n_known, n_resumed, n_sentences = len(self.results), 0, 0
        with self.narrator.stage(stage, len(cells), "cells") as advance:
            for cell in cells:
                resumed = self._run_one(cell, encoded[cell.task.name])
                n_resumed += resumed
                n_sentences += 0 if resumed else sum(map(len, cell.task.splits.values()))
                advance(1)
        self.narrator.note(stage, cells=len(cells), resumed=n_resumed, **self.narrator.rate(stage, n_sentences))
        warn_unconverged(self.results[n_known:], self.narrator)

    def _run_one(self, cell: Cell, encoded: Encoded) -> bool:
        """Whether the cell was there already."""
        key = identify_inputs(cell, encoded)
        result = self.folder.find_cell(cell.name, key)
        if result is not None:
            self.results.append(result)
            return True
        try:
            result = MEASURES.load(cell.measure)(cell, encoded, self.settings)
            self.folder.keep_cell(cell.name, key, result)
            self.results.append(result)
        except _COSTS_A_CELL as error:
            self.failures.append(fail(cell, error, self.narrator))
        return False


def fail(cell: Cell, error: Exception, narrator: Narrator) -> Failure:
    """Record a cell that could not be computed."""
    narrator.warn(f"{cell.name} failed: {type(error).__name__}: {error}")
    return Failure(cell.task.name, cell.representation, cell.control, cell.seed, f"{type(error).__name__}: {error}")


def warn_unconverged(results: Sequence[CellResult], narrator: Narrator) -> None:
    """Say which probes stopped before their minimum; those of controls are cut off by design."""
    scores = [
        score
        for result in results
        for score in result.scores
        if (score.split, score.control) == ("test", "none") and not score.converged
    ]
    if scores:
        where = ", ".join(dict.fromkeys(f"{score.task} ({score.layer_name})" for score in scores))
        narrator.warn(f"probes did not converge: {where}")


def identify_inputs(cell: Cell, encoded: Encoded) -> str:
    """What the numbers of a cell depend on beside the settings."""
    encoder = encoded.encoder
    identity = [encoder.digest, encoder.dtype, encoder.backend, encoder.max_length, __version__]
    return digest_json([identity, cell.task.digest, encoded.layers])
