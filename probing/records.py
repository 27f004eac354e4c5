"""What travels between the stages, in the order of the flow: text, layer stack, predictions, scores.

Everything here is plain data on numpy arrays: reading a record needs neither torch nor an encoder.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from probing.digests import digest_json, text_key

SPLITS = ("train", "dev", "test")
GROUPS = ("surface", "syntactic", "semantic", "transfer", "own", "control")

Text = tuple[str, ...]
"""One text to encode: one segment, or two for a sentence pair."""


class InputError(ValueError):
    """A mistake that the user can mend. Scripts print it as one line and exit with code 2."""


@dataclass(frozen=True)
class TaskSpec:
    """What a task is, apart from its sentences."""

    name: str
    """Key, file stem and flag value, such as `tree_depth`."""
    title: str
    """The name that papers print, such as `TreeDepth`."""
    group: str
    """One of `GROUPS`."""
    aliases: tuple[str, ...] = ()
    """Other names that users may type; compared without case, hyphens and underscores."""
    metrics: tuple[str, ...] = ("accuracy",)
    """Keys of the metrics that the literature reports for this task; the first one heads tables and figures."""
    reference: str = ""
    """Where the task is defined, as an arXiv id."""

    @property
    def metric(self) -> str:
        """The metric that heads tables and figures."""
        return self.metrics[0]


@dataclass(frozen=True)
class Split:
    """The texts of one split and their labels, in file order."""

    texts: tuple[Text, ...]
    labels: Int[np.ndarray, " sentences"]
    """Index of each text's class in `Task.classes`; in a graded task, of the class nearest to its score."""
    lines: Int[np.ndarray, " sentences"] | None = None
    """Where each text stands in its file, counted from 1 as editors do; none where there is no file."""
    targets: Float[np.ndarray, " sentences"] | None = None
    """The scores of a graded task, in [0, classes - 1]; none where labels are classes and nothing more."""

    def __len__(self) -> int:
        return len(self.texts)

    def select(self, rows: Int[np.ndarray, " rows"]) -> "Split":
        """Some of the texts, in the order of `rows`."""
        lines = None if self.lines is None else self.lines[rows]
        targets = None if self.targets is None else self.targets[rows]
        return Split(tuple(self.texts[row] for row in rows), self.labels[rows], lines, targets)


@dataclass(frozen=True)
class Task:
    """A labelled task with its three splits."""

    spec: TaskSpec
    classes: tuple[str, ...]
    """Class names as written in the source, sorted."""
    splits: Mapping[str, Split]
    """Keys are `SPLITS`."""
    origin: str = ""
    """The file or generator that the task came from."""
    folds: int = 0
    """Number of parts of a cross-validation, where each split is the whole task; 0 where the splits are fixed."""
    division: str = ""
    """How the splits were made, where the source had none; empty where they are the source's own."""

    @property
    def graded(self) -> bool:
        """Whether labels are scores on a scale, such as the likeness of two sentences."""
        return self.splits["test"].targets is not None

    @property
    def name(self) -> str:
        """The key of the task."""
        return self.spec.name

    @property
    def chance(self) -> float:
        """Accuracy of a uniform guess, in [0, 1]."""
        return 1 / len(self.classes)

    @cached_property
    def digest(self) -> str:
        """The identity of sentences and labels, computed once."""
        return digest_json(
            [self.name, self.classes]
            + [[text_key(text).hex() for text in self.splits[split].texts] for split in SPLITS]
            + [self.splits[split].labels.tolist() for split in SPLITS]
            + [self.folds, self.spec.metrics]
            + [targets.tolist() for split in SPLITS if (targets := self.splits[split].targets) is not None]
        )


class LayerStack:
    """One pooled vector per layer and sentence, the only view of an encoder that a probe ever gets.

    This one stands in memory; `probing.store.shards.StoredStack` leaves the vectors on disk.

    Args:
        values: the vectors.
        layer_names: as named by the encoder; layer 0 is the embedding layer wherever the encoder has one.
        pooling: key of the pooling that made the vectors.
    """

    def __init__(
        self, values: Float[np.ndarray, "layers sentences hidden"], layer_names: tuple[str, ...], pooling: str
    ):
        self._values, self.layer_names, self.pooling = values, layer_names, pooling

    @property
    def values(self) -> Float[np.ndarray, "layers sentences hidden"]:
        """All vectors; where they are on disk, `select` takes less memory."""
        return self._values

    @property
    def hidden_size(self) -> int:
        """Width of a vector."""
        return self.values.shape[2]

    def select(self, layers: Sequence[int], rows: Int[np.ndarray, " rows"]) -> Float[np.ndarray, "chosen rows hidden"]:
        """The vectors of some sentences in some layers: a copy, which may be changed."""
        return self.values[np.array(layers)[:, None], rows]


@dataclass(frozen=True)
class Predictions:
    """What one fitted probe said of the test sentences, kept for paired comparisons."""

    labels: Int[np.ndarray, " sentences"] | Float[np.ndarray, " sentences"]
    """Class indices; in a graded task, the scores."""
    predicted: Int[np.ndarray, " sentences"] | Float[np.ndarray, " sentences"]
    """Likewise; in a graded task, the score expected under the class probabilities."""
    log_probability: Float[np.ndarray, " sentences"]
    """Natural logarithm of the probability given to the true class; in a graded task, the mean over the two classes
    that the score lies between."""


@dataclass(frozen=True)
class Score:
    """One number with its interval and everything needed to know what it is: a row of `scores.parquet`."""

    model: str
    checkpoint: str
    revision: str
    task: str
    group: str
    representation: str
    """`layer`, `scalar_mix`, `concat` or, for baselines that read no vectors, `none`."""
    layer: int
    """Index of the layer; -1 where the representation is not a single layer."""
    layer_name: str
    pooling: str
    probe: str
    protocol: str
    control: str
    """`none`, or the name of the control."""
    seed: int
    split: str
    metric: str
    value: float
    """In the metric's own range ([0, 1] for accuracy, [-1, 1] for correlations); times 100 only in tables."""
    ci_low: float
    ci_high: float
    """Bounds of the 95 % interval over test sentences."""
    n: int
    """Number of sentences scored."""
    n_classes: int
    majority: float
    """What this row's metric gives to always answering the most frequent training class."""
    hyperparameters: str
    """JSON object of what was chosen on dev."""
    converged: bool
    seconds: float
    """Fitting time of the batch of probes that this one was fitted in."""


@dataclass(frozen=True)
class LayerWeight:
    """The weight one layer got in a learned mix: a row of `layer_weights.parquet`."""

    model: str
    checkpoint: str
    task: str
    group: str
    control: str
    seed: int
    layer: int
    layer_name: str
    weight_raw: float
    """Before softmax."""
    weight: float
    """After softmax; sums to 1 over the mixed layers."""
    gamma: float
    contribution: float
    """`gamma * weight_l * mean ||h_l||`, normalised to sum 1: weights mislead where norms differ (arXiv 2109.05958)."""


@dataclass(frozen=True)
class GradientNorm:
    """The mean gradient norm at one depth: a row of `gradient_norms.parquet`."""

    model: str
    checkpoint: str
    task: str
    head: str
    """`last_layer` or `scalar_mix`."""
    step: int
    layer: int
    layer_name: str
    quantity: str
    """`hidden` (norm of dL/dh_l) or `parameters` (norm of dL/dtheta_l of block l)."""
    value: float
    ci_low: float
    ci_high: float
    n: int


@dataclass(frozen=True)
class TrainingRow:
    """One number of one training step: a row of `training_log.parquet`."""

    recipe: str
    model: str
    checkpoint: str
    task: str
    method: str
    """How weights were pruned; empty where none were."""
    sparsity: float
    """The share of zeros aimed at; 0 where nothing was pruned, or where it is an outcome (soft_movement)."""
    seed: int
    step: int
    """Optimiser steps done when the number was taken."""
    quantity: str
    """`loss` (mean over the steps since the last row), `dev_loss`, `dev_score`, `gradient_norm` (dL/dtheta of a block
    before clipping; layer 0: of the embeddings), `weight` (of a layer in the mix, after softmax), `gamma`,
    `learning_rate` or `sparsity` (share of zeros reached)."""
    layer: int
    """-1 where the number belongs to no single layer."""
    layer_name: str
    value: float
    penalty: float = 0.0
    """Weight of soft_movement's penalty at the end of training; 0 where there was none."""


@dataclass(frozen=True)
class TrainedModel:
    """One trained model and its score on one split: a row of `trained_models.parquet`."""

    recipe: str
    model: str
    checkpoint: str
    revision: str
    task: str
    method: str
    sparsity: float
    """The share of zeros aimed at; 0 where nothing was pruned, or where it is an outcome (soft_movement)."""
    seed: int
    split: str
    """`dev` or `test`."""
    metric: str
    value: float
    """In the metric's own range; of the model that is kept."""
    ci_low: float
    ci_high: float
    n: int
    majority: float
    """What this metric gives to always answering the most frequent training class."""
    diverged: bool
    """Whether the score is at or below majority + 1 point, or the loss was no number."""
    steps: int
    """Optimiser steps done."""
    best_step: int
    """The step of the model that is kept: the last one, or with early stopping that of the best dev score."""
    achieved_sparsity: float
    """Share of zeros counted in the encoder's linear layers; 0 where nothing was pruned."""
    n_train: int
    seconds: float
    tokens_per_s: float
    """Training tokens, padding not counted, in each second of training steps."""
    peak_rss_bytes: int
    folder: str
    """Where the model stands, relative to the run folder; empty where it was not kept."""
    penalty: float = 0.0
    """Weight of soft_movement's penalty at the end of training; 0 where there was none."""


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
    """By `readout_key`."""
    gradients: Sequence[GradientNorm] = ()


def readout_key(representation: str, layer: int) -> str:
    """What the predictions of a layer or of a mix are filed under, such as `layer/3` or `scalar_mix/-1`."""
    return f"{representation}/{layer}"


def column_names(record: type) -> list[str]:
    """The columns of a table of such records, in order."""
    return [column.name for column in fields(record)]
