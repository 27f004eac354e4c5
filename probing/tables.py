"""Rows of a run's tables, one class per table, and what one finished cell leaves.

Old files still load: a column that came later has a default, and none is ever renamed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from math import nan
from typing import get_type_hints

from probing.records import Predictions


@dataclass(frozen=True)
class Score:
    """One number with its interval and everything needed to know what it is: a row of `scores.parquet`."""

    model: str
    """Name of the encoder, such as `bert` or `bermo`."""
    checkpoint: str
    """Stored weights that it has: a name, a folder, or an id on the Hugging Face hub."""
    revision: str
    """Commit on the hub, or SHA-256 of the embedded weights; empty for a local folder."""
    task: str
    """Key of the task, the stem of its file."""
    group: str
    """`surface`, `syntactic`, `semantic`, `transfer` or `control`."""
    representation: str
    """`layer`, `scalar_mix`, `concat` or, for baselines that read no vectors, `none` or what of the text they read."""
    layer: int
    """Index of the layer; -1 where the representation is not a single layer."""
    layer_name: str
    """Name that the encoder gives the layer: `embeddings`, `1`, `2`, ..."""
    pooling: str
    """Rule by which a text's token states became one vector."""
    probe: str
    """Kind of probe."""
    protocol: str
    """Set-up that the probe was trained by."""
    control: str
    """`none`, or the name of the control."""
    seed: int
    """Start of the probe, and order of its minibatches."""
    split: str
    """`dev` or `test`."""
    metric: str
    """Rule that gives the value."""
    value: float
    """In the metric's own range ([0, 1] for accuracy, [-1, 1] for correlations); times 100 only in tables."""
    ci_low: float
    """Lower bound of the 95 % interval over test sentences."""
    ci_high: float
    """Upper bound of that interval."""
    n: int
    """Number of sentences scored."""
    n_classes: int
    """Number of classes of the task; of a graded one, of its grades."""
    majority: float
    """Value of this row's metric for always answering the most frequent training class; NaN where the metric is no
    rule for answers: bits, weights, gravities, and differences from a control."""
    hyperparameters: str
    """JSON object of what was chosen on dev."""
    converged: bool
    """True where the probe reached its minimum; see the manifest's warnings where not."""
    seconds: float
    """Fitting time of the batch of probes that this one was fitted in."""
    erased: str = ""
    """Key of the task whose property was erased from the vectors before; empty where none was."""


@dataclass(frozen=True)
class LayerWeight:
    """The weight one layer got in a learned mix: a row of `layer_weights.parquet`."""

    model: str
    """Name of the encoder, such as `bert` or `bermo`."""
    checkpoint: str
    """Stored weights that it has: a name, a folder, or an id on the Hugging Face hub."""
    task: str
    """Key of the task, the stem of its file."""
    group: str
    """`surface`, `syntactic`, `semantic`, `transfer` or `control`."""
    control: str
    """`none`, or the name of the control."""
    seed: int
    """Start of the mix."""
    layer: int
    """Index of the layer; 0 is the embeddings."""
    layer_name: str
    """Name that the encoder gives the layer: `embeddings`, `1`, `2`, ..."""
    weight_raw: float
    """Before softmax."""
    weight: float
    """After softmax; sums to 1 over the mixed layers."""
    gamma: float
    """Factor of the whole mix."""
    contribution: float
    """`gamma * weight_l * mean ||h_l - m_l||`, m_l the mean vector, normalised to sum 1: weights mislead where norms
    differ (arXiv 2109.05958). Runs of before 2026-11-26 have ||h_l||, in which m_l counts too."""


@dataclass(frozen=True)
class GradientNorm:
    """The mean gradient norm at one depth: a row of `gradient_norms.parquet`."""

    model: str
    """Name of the encoder, such as `bert` or `bermo`."""
    checkpoint: str
    """Stored weights that it has: a name, a folder, or an id on the Hugging Face hub."""
    task: str
    """Key of the task, the stem of its file."""
    head: str
    """`last_layer` or `scalar_mix`."""
    step: int
    """Steps that the head had been trained for."""
    layer: int
    """Index of the layer; 0 is the embeddings."""
    layer_name: str
    """Name that the encoder gives the layer: `embeddings`, `1`, `2`, ..."""
    quantity: str
    """`hidden` (norm of dL/dh_l) or `parameters` (norm of dL/dtheta_l of block l)."""
    value: float
    """Mean norm over test sentences."""
    ci_low: float
    """Lower bound of its 95 % interval over test sentences."""
    ci_high: float
    """Upper bound of that interval."""
    n: int
    """Test sentences that it was measured on."""


@dataclass(frozen=True)
class LayerSimilarity:
    """Likeness of two layers, of one encoder or of two: a row of `layer_similarity.parquet`."""

    model: str
    """Name of the encoder, such as `bert` or `bermo`."""
    checkpoint: str
    """Stored weights that it has: a name, a folder, or an id on the Hugging Face hub."""
    other_checkpoint: str
    """Stored weights of the encoder that it is held against: the same where its own layers are."""
    task: str
    """Key of the task whose test sentences these are."""
    layer: int
    """Index of the layer; 0 is the embeddings."""
    layer_name: str
    """Name that the encoder gives the layer: `embeddings`, `1`, `2`, ..."""
    other_layer: int
    """Index of the other layer."""
    other_layer_name: str
    """Name that its encoder gives that layer."""
    value: float
    """Debiased linear CKA: 1 where one is the other rotated, scaled and shifted, about 0 where nothing is shared."""
    ci_low: float
    """Lower bound of its 95 % interval over sentences."""
    ci_high: float
    """Upper bound of that interval."""
    n: int
    """Sentences that it was measured on."""


@dataclass(frozen=True)
class LayerChange:
    """Change of the weights of one layer by training: a row of `layer_change.parquet`."""

    checkpoint: str
    """Encoder that training started from."""
    trained: str
    """Folder of the trained model."""
    layer: int
    """Index of the layer; 0 is the embeddings."""
    layer_name: str
    """Name that the encoder gives the layer: `embeddings`, `1`, `2`, ..."""
    value: float
    """Length of the change of all its weights, over the length that they had."""


@dataclass(frozen=True)
class AmnesicScore:
    """Number of an encoder that goes on without a property, erased at one block: a row of `amnesia.parquet`.

    A row is a score, or what is lost: the score without an erasure less that with it, and for bits the other way round.
    """

    model: str
    """Name of the encoder, such as `bert` or `bermo`."""
    checkpoint: str
    """Stored weights that it has; of a head, those that it was stored with."""
    task: str
    """Key of the task that is scored, and on whose sentences."""
    group: str
    """`surface`, `syntactic`, `semantic`, `transfer` or `control`."""
    erased: str
    """Key of the task whose property was erased."""
    control: str
    """`none`: that property; `random_subspace`: as many directions drawn at random; `control_task`: labels drawn once
    per word."""
    seed: int
    """Start of the probe, of the random directions and of the control's labels."""
    block: int
    """Index of the layer at whose output it was erased, 0 being the embeddings; -1: nowhere."""
    block_name: str
    """Name of that layer; empty where nothing was erased."""
    rank: int
    """Directions that were erased."""
    readout: str
    """`layer` (a probe, fitted on what is left), `masked_lm` or `classifier` (heads, which stay as they are)."""
    layer: int
    """Index of the layer that the probe reads; -1 for a head."""
    layer_name: str
    """Name of the layer, or of the head."""
    metric: str
    """`accuracy`, or of hidden tokens `masked_accuracy` and `bits_per_token`, each the mean over sentences."""
    against: str
    """Empty: the value is a score. `nothing`: it is what is lost by the erasure. `random_subspace`, `control_task`:
    what is lost beyond what the erasure of that control loses."""
    value: float
    """Score or loss."""
    ci_low: float
    """Lower bound of the 95 % interval over test sentences."""
    ci_high: float
    """Upper bound of that interval."""
    worse: int
    """Test sentences that came out worse by the erasure; 0 of a score."""
    better: int
    """Test sentences that came out better by it; 0 of a score."""
    n: int
    """Test sentences."""
    n_train: int
    """Training sentences that the erasure, and each probe, was fitted on."""
    majority: float
    """Accuracy on the same sentences of always answering the most frequent training class; NaN where the metric is
    another one."""


@dataclass(frozen=True)
class TrainingRow:
    """One number of one training step: a row of `training_log.parquet`."""

    recipe: str
    """Way of training, such as `finetune`."""
    model: str
    """Model whose head was trained, such as `bert` or `bermo`."""
    checkpoint: str
    """Encoder that training started from."""
    task: str
    """Key of the task, the stem of its file."""
    method: str = field(default="", kw_only=True)
    """Method by which weights were pruned; empty where none were."""
    sparsity: float = field(default=0.0, kw_only=True)
    """The share of zeros aimed at; 0 where nothing was pruned, or where it is an outcome (soft_movement)."""
    seed: int
    """Start of the head, order of the sentences, and dropout."""
    step: int
    """Optimiser steps done when the number was taken."""
    quantity: str
    """`loss` (mean over the steps since the last row), `loss_...` (the losses that it is made of, where they are
    several), `dev_loss`, `dev_score`, `gradient_norm` (dL/dtheta of a block before clipping; layer 0: of the
    embeddings), `weight` (of a layer in the mix, after softmax), `gamma`, `learning_rate`, `sparsity` (share of zeros
    reached), or what a recipe's own parts measure."""
    layer: int
    """-1 where the number belongs to no single layer."""
    layer_name: str
    """Name that the encoder gives the layer: `embeddings`, `1`, `2`, ..."""
    value: float
    """The number."""
    penalty: float = 0.0
    """Weight of soft_movement's penalty at the end of training; 0 where there was none."""
    stage: str = ""
    """The stage of the model's chain; empty in tables of before there were chains."""
    variant: str = "{}"
    """JSON object of what tells the model from others of its seed, such as how it was pruned."""


@dataclass(frozen=True)
class TrainedModel:
    """One trained model and its score on one split: a row of `trained_models.parquet`.

    `baselines.parquet` has such rows for answers that read no encoder; what only a training has is 0 or empty there.
    """

    recipe: str
    """Way of training, such as `finetune`."""
    model: str
    """Model whose head was trained, such as `bert` or `bermo`."""
    checkpoint: str
    """Encoder that training started from."""
    revision: str
    """Commit on the hub, or SHA-256 of the embedded weights; empty for a local folder."""
    task: str
    """Key of the task, the stem of its file."""
    method: str = field(default="", kw_only=True)
    """Method by which weights were pruned; empty where none were."""
    sparsity: float = field(default=0.0, kw_only=True)
    """The share of zeros aimed at; 0 where nothing was pruned, or where it is an outcome (soft_movement)."""
    seed: int
    """Start of the head, order of the sentences, and dropout."""
    split: str
    """`dev` or `test`."""
    metric: str
    """Rule that gives the value."""
    value: float
    """In the metric's own range; of the model that is kept."""
    ci_low: float
    """Lower bound of the 95 % interval over the sentences of the split."""
    ci_high: float
    """Upper bound of that interval."""
    n: int
    """Sentences of the split."""
    majority: float
    """Value of this metric for always answering the most frequent training class, or the most frequent token, or that
    no token was replaced; of bits, what the frequencies of tokens alone give."""
    diverged: bool
    """True where the score is at or below majority + 1 point (bits: not below it; all tokens: not above it), or the
    loss was no number."""
    steps: int
    """Optimiser steps done."""
    best_step: int
    """The step of the model that is kept: the last one, or with early stopping that of the best dev score."""
    achieved_sparsity: float = field(default=0.0, kw_only=True)
    """Share of zeros counted in the encoder's linear layers; 0 where nothing was pruned."""
    n_train: int
    """Training sentences."""
    seconds: float
    """Seconds of training steps."""
    tokens_per_s: float
    """Training tokens, padding not counted, in each second of training steps."""
    peak_rss_bytes: int
    """Most memory that the process had taken by then."""
    folder: str
    """Folder of the model, relative to the run folder; empty where it was not kept."""
    penalty: float = 0.0
    """Weight of soft_movement's penalty at the end of training; 0 where there was none."""
    stage: str = ""
    """The stage of the model's chain; empty in tables of before there were chains."""
    variant: str = "{}"
    """JSON object of what tells the model from others of its seed, such as how it was pruned."""
    parameters: int = 0
    """Numbers that the model was trained to have, head and embeddings included; 0 where they were not counted."""
    weight_bytes: int = 0
    """Bytes of its weights on disk; 0 where they were not counted."""
    flops: float = 0.0
    """Floating-point operations of the products of a forward pass over 128 tokens, or over as many as the model takes;
    0 where they were not counted."""
    sentences_per_s: float = 0.0
    """Sentences of dev that the model answers in a second, by the fastest way that there is on the machine: it moves
    with what else the machine does. 0 where it was not measured."""
    until_dev_loss: float = 0.0
    """`dev_loss` at or below which training was to end; 0 where it was to go on to its last step."""
    dev_loss: float = nan
    """`dev_loss` of the last evaluation, where training was to end at one; above `until_dev_loss`, it was never
    reached, and the model is not at equal loss with others."""


@dataclass(frozen=True)
class PredictionRow:
    """One test sentence as one probe answers it: a row of `predictions.parquet`."""

    task: str
    representation: str
    layer: int
    layer_name: str
    control: str
    seed: int
    row: int
    """Place of the sentence in test, from 0 on."""
    label: int
    """Index of its class; in a graded task, its score."""
    predicted: int
    """Index of the class that the probe answers; in a graded task, the expected score."""
    log_probability: float
    """Natural logarithm of the probability given to the true class."""


PREDICTION_TYPES: Mapping[str, type] = get_type_hints(PredictionRow)
"""Columns of `predictions.parquet`, with their types."""

SENTENCE_TYPES: Mapping[str, type] = {"task": str, "row": int, "sentence": int}
"""Columns of `test_sentences.parquet`: task, place in its test split from 0 on, and a number that a sentence has in all
tasks of the run."""

PREDICTION_NOTES: Mapping[str, str] = {
    "task": "Key of the task, the stem of its file.",
    "representation": "`layer`, `scalar_mix`, `concat` or, of baselines without vectors, what they read or `none`.",
    "layer": "Index of the layer; -1 where the representation is not a single layer.",
    "layer_name": "Name that the encoder gives the layer.",
    "control": "`none`, or the name of the control.",
    "seed": "Start of the probe.",
    "row": "Place of the sentence in the test split, from 0.",
    "label": "Number of its class, in the order of the task's classes; in a graded task, its score.",
    "predicted": "Number of the class that the probe took; in a graded task, the score that it expects.",
    "log_probability": "Natural logarithm of the probability that the probe gave the label.",
}
"""Meaning of each of those columns."""


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


def column_names(record: type) -> list[str]:
    """The columns of a table of such records, in order."""
    return [column.name for column in fields(record)]
