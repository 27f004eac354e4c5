"""The log of a training run, and the models that it leaves."""

from dataclasses import dataclass, field
from math import nan


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
