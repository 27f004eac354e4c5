"""The settings of training: one field is one flag, and its docstring is the flag's help. One class per recipe."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from probing.settings.run import EMBEDDED


@dataclass(frozen=True)
class TrainSettings:
    """Fine-tune an encoder on one task, once per seed."""

    recipe: str = "finetune"
    """The way of training: finetune or prune. Each has flags of its own: --recipe prune --help."""
    model: Literal["bert", "bermo"] = "bermo"
    """What the head reads: bert (the last layer) or bermo (the scalar mix of all layers)."""
    checkpoint: str = EMBEDDED
    """The encoder to start from: the embedded all-MiniLM-L6-v2, a local folder, or a Hugging Face id."""
    task: str = "SST-2"
    """The task, by any of its names: SST-2, MNLI, QQP, tree_depth, ..."""
    data: str = "data/corpora/classification"
    """A folder with one folder per task (SST-2/train.tsv, ...), any corpus of run_senteval.py, or the id of a dataset
    on the Hugging Face hub as hub:ID or hub:ID/CONFIGURATION."""
    seeds: tuple[int, ...] = (0,)
    """One model per seed: the order of the sentences, the head's start and dropout depend on it."""
    epochs: float = 3.0
    """Passes over the training sentences."""
    max_steps: int = 0
    """Optimiser steps; 0 leaves it to --epochs."""
    limit: int = 0
    """At most this many training sentences, the same ones for every seed; 0 takes all."""
    limit_dev: int = 0
    """At most this many sentences of dev and of test; 0 takes all."""
    batch_size: int = 32
    """Sentences per optimiser step, over all processes."""
    accumulation_steps: int = 1
    """Parts that a batch is computed in, where memory is short."""
    learning_rate: float = 3e-5
    """Of AdamW, at its highest."""
    mix_learning_rate: float = 1e-2
    """Of the mix's weights and gamma, which have no decay. Ours: scalars move too little at the encoder's rate."""
    weight_decay: float = 0.01
    """Of weight matrices; biases, norms and the mix have none."""
    warmup_share: float = 0.1
    """Share of the steps in which the learning rate rises; it falls to 0 in the rest, both linearly."""
    max_grad_norm: float = 1.0
    """Longer gradients are cut to this length; 0 leaves them."""
    dropout: float = 0.1
    """In the encoder and before the classifier."""
    max_length: int = 128
    """Longest input in tokens."""
    freeze_up_to: int = -1
    """Layers that keep their weights: -1 none, 0 the embeddings, l the embeddings and blocks 1 to l."""
    evaluate_every: int = 0
    """Steps between two readings of the dev score; 0 takes a twentieth of all steps."""
    log_every: int = 10
    """Steps between two rows of the log: loss, gradient norm by layer, mix weights."""
    early_stopping: int = 0
    """Stop after this many readings without a better dev score, and keep the best model; 0 trains to the end."""
    checkpoint_every: int = 0
    """Steps between two checkpoints that a killed run goes on from; 0 takes each reading of the dev score."""
    keep_models: bool = True
    """Whether the trained models are kept, one folder each."""
    tensorboard: bool = False
    """Write TensorBoard events too (pip install 'bermo-probing[tensorboard]')."""
    dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    """Number format of the products; weights stay in float32. auto: bfloat16 where the device computes it natively."""
    device: str = "auto"
    """cpu, cuda, ...; auto takes a GPU where there is one."""
    threads: int = 0
    """CPU threads; 0 leaves the choice to torch."""
    output: Path | None = None
    """Run folder; by default data/results/ and a name made of the settings. An unfinished run there is resumed."""
    overwrite: bool = False
    """Throw away what stands in the run folder."""
    quiet: bool = False
    """No progress on the screen."""


@dataclass(frozen=True)
class PruneSettings(TrainSettings):
    """Prune an encoder while it is fine-tuned on one task (Sanh et al. 2020, arXiv 2005.07683)."""

    recipe: str = "prune"
    """The way of training: finetune or prune."""
    method: tuple[Literal["magnitude", "movement", "soft_movement"], ...] = ("soft_movement",)
    """How weights are chosen: magnitude (the largest stay), movement (those of the highest learned scores S stay),
    soft_movement (those whose sigmoid(S) is above a threshold stay, and a penalty keeps it small)."""
    sparsity: tuple[float, ...] = (0.9,)
    """Share of zeros at the end of magnitude and movement in each matrix of the encoder's blocks; one model each.
    With soft_movement it is what --penalty and --threshold make of it."""
    penalty: tuple[float, ...] = (400.0,)
    """Weight of soft_movement's penalty, mean sigmoid(S), at the end; it grows with the threshold. One model each:
    more of it leaves fewer weights."""
    threshold: float = 0.1
    """What sigmoid(S) must be above at the end of soft_movement; at first it is 0."""
    weight_decay: float = 0.0
    """Of weight matrices. The paper's: none."""
    score_learning_rate: float = 1e-2
    """Of the scores S, which start at 0 and move by no more than about this in a step. A threshold of .1 on sigmoid(S)
    is one of -2.2 on S: below some 500 steps, soft_movement prunes nothing at the paper's 1e-2. Raise it there."""
    prune_warmup_share: float = 0.1
    """Share of the steps before pruning begins. The paper's: the warm-up of the learning rate."""
    prune_cooldown_share: float = 0.2
    """Share of the steps after it has ended. The paper's: twice the warm-up."""
    freeze_up_to: int = 0
    """Layers that keep their weights, and are not pruned. The paper's: the embeddings."""
    distill_from: str = ""
    """A fine-tuned classifier whose probabilities are learned too: a folder written by finetune; empty: none."""
    distill_share: float = 0.5
    """Share of the loss that the teacher has."""
    temperature: float = 2.0
    """By which teacher's and student's logits are divided."""


TRAINING_WITHOUT_EFFECT = ("output", "overwrite", "quiet", "threads", "tensorboard", "checkpoint_every")
"""Settings that move no number: a run may be resumed with others."""
