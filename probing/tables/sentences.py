"""Sentences of the splits, and the answers of probes to those of test: by their places, for no table holds a text."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PredictionRow:
    """One test sentence as one probe answers it: a row of `predictions.parquet`."""

    task: str
    """Key of the task, the stem of its file."""
    representation: str
    """`layer`, `scalar_mix`, `concat` or, of baselines without vectors, what they read or `none`."""
    layer: int
    """Index of the layer; -1 where the representation is not a single layer."""
    layer_name: str
    """Name that the encoder gives the layer."""
    control: str
    """`none`, or the name of the control."""
    seed: int
    """Start of the probe."""
    row: int
    """Place of the sentence in the test split, from 0."""
    label: int
    """Number of its class, in the order of the task's classes; in a graded task, its score."""
    predicted: int
    """Number of the class that the probe took; in a graded task, the score that it expects."""
    log_probability: float
    """Natural logarithm of the probability that the probe gave the label."""


@dataclass(frozen=True)
class SentenceRow:
    """One test sentence, known in all tasks of the run: a row of `test_sentences.parquet`."""

    task: str
    """Key of the task, the stem of its file."""
    row: int
    """Place of the sentence in the test split, from 0."""
    sentence: int
    """Number of the sentence, from 0: the same in all tasks of the run that test on it."""


@dataclass(frozen=True)
class SplitRow:
    """One sentence of a task that was split here: a row of `splits.parquet`."""

    task: str
    """Key of the task, the stem of its file."""
    split: str
    """`train`, `dev` or `test`."""
    row: int
    """Place of the sentence in its split, from 0."""
    line: int
    """Line of the sentence in its file, from 1; 0 where there is no file."""
    fold: int
    """Fold in which it is tested; -1 where there is no cross-validation."""
