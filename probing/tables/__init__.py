"""Rows of the tables that runs write, one class per table, and what one finished cell leaves.

Old files still load: a column that came later has a default, and none is ever renamed.
"""

from collections.abc import Mapping
from dataclasses import fields

from probing.tables.amnesia import AmnesicScore
from probing.tables.layers import GradientNorm, LayerChange, LayerSimilarity, LayerWeight
from probing.tables.results import CellResult, Failure
from probing.tables.scores import Score
from probing.tables.sentences import PredictionRow, SentenceRow, SplitRow
from probing.tables.training import TrainedModel, TrainingRow

__all__ = [
    "RECORDS",
    "AmnesicScore",
    "CellResult",
    "Failure",
    "GradientNorm",
    "LayerChange",
    "LayerSimilarity",
    "LayerWeight",
    "PredictionRow",
    "Score",
    "SentenceRow",
    "SplitRow",
    "TrainedModel",
    "TrainingRow",
    "column_names",
]

RECORDS: Mapping[str, type] = {
    "scores": Score,
    "layer_weights": LayerWeight,
    "predictions": PredictionRow,
    "gradient_norms": GradientNorm,
    "layer_similarity": LayerSimilarity,
    "amnesia": AmnesicScore,
    "splits": SplitRow,
    "test_sentences": SentenceRow,
    "trained_models": TrainedModel,
    "training_log": TrainingRow,
    "baselines": TrainedModel,
}
"""Stem of each Parquet file of a run folder -> the record that a row of it is."""


def column_names(record: type) -> list[str]:
    """The columns of a table of such records, in order."""
    return [column.name for column in fields(record)]
