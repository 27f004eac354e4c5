"""Results of one cell: the rows that it adds to each table, or why there are none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from probing.records import Predictions
from probing.tables.amnesia import AmnesicScore
from probing.tables.layers import GradientNorm, LayerSimilarity, LayerWeight
from probing.tables.scores import Score


@dataclass(frozen=True)
class Failure:
    """A cell that could not be computed: which one, and why."""

    task: str
    representation: str
    control: str
    seed: int
    error: str


@dataclass(frozen=True)
class CellResult:
    """All that one finished cell (task, representation, control, seed) leaves in the run folder."""

    scores: Sequence[Score] = ()
    weights: Sequence[LayerWeight] = ()
    predictions: Mapping[str, Predictions] = field(default_factory=dict)
    """By `probing.records.readout_key`."""
    gradients: Sequence[GradientNorm] = ()
    similarities: Sequence[LayerSimilarity] = ()
    machine: Mapping[str, str] = field(default_factory=dict)
    """Host, processor, instruction set and GPU that computed it; empty in cells of before they were noted."""
    amnesia: Sequence[AmnesicScore] = ()
