"""The settings of training: one field is one flag, and its docstring is the flag's help.

A recipe that needs others inherits from these, in a class that stands beside its plan (`probing/training/recipes/`):
from `TrainSettings` where it learns a labelled task, else from `RecipeSettings`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from probing.settings.run import EMBEDDED


@dataclass(frozen=True)
class RecipeSettings:
    """Settings of every recipe: an encoder, the loop, the machine and the run folder."""

    GROUPS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "evaluation": ("evaluate_every", "log_every", "early_stopping", "checkpoint_every", "keep_models"),
        "machine": (
            *("dtype", "device", "threads", "engine", "engine_address", "workers", "worker_threads", "retries"),
            *("unit_timeout", "mixed_hardware"),
        ),
        "output": ("output", "overwrite", "trackers", "quiet"),
    }
    """Flags that `--help` shows together; those of a recipe of one's own stand in front, or in groups that it adds."""
    WITHOUT_EFFECT: ClassVar[tuple[str, ...]] = (
        *("output", "overwrite", "quiet", "threads", "trackers", "checkpoint_every"),
        *("engine", "engine_address", "workers", "worker_threads", "retries", "unit_timeout", "mixed_hardware"),
    )
    """Settings that move no number: a run may be resumed with others. A recipe adds its own."""

    recipe: str = ""
    """The way of training, such as finetune or prune."""
    model: str = "bert"
    """Model that is trained: see the recipe."""
    checkpoint: str = EMBEDDED
    """The encoder to start from: the embedded all-MiniLM-L6-v2, a local folder, or a Hugging Face id."""
    seeds: tuple[int, ...] = (0,)
    """One model per seed: the order of the data and all that is drawn depend on it."""
    epochs: float = 3.0
    """Passes over the training data."""
    max_steps: int = 0
    """Optimiser steps; 0 leaves it to --epochs."""
    limit: int = 0
    """At most this many training examples, the same ones for every seed; 0 takes all."""
    limit_dev: int = 0
    """At most this many examples of dev and of test; 0 takes all."""
    batch_size: int = 32
    """Examples per optimiser step, over all processes."""
    accumulation_steps: int = 1
    """Parts that a batch is computed in, where memory is short."""
    learning_rate: float = 3e-5
    """Of AdamW, at its highest."""
    weight_decay: float = 0.01
    """Of weight matrices; biases, norms and the mix have none."""
    warmup_share: float = 0.1
    """Share of the steps in which the learning rate rises; it falls to 0 in the rest, both linearly."""
    max_grad_norm: float = 1.0
    """Longer gradients are cut to this length; 0 leaves them."""
    dropout: float = 0.1
    """In the encoder and before its head."""
    max_length: int = 128
    """Longest input in tokens."""
    freeze_up_to: int = -1
    """Layers that keep their weights: -1 none, 0 the embeddings, l the embeddings and blocks 1 to l."""
    evaluate_every: int = 0
    """Steps between two evaluations on dev; 0 takes a twentieth of all steps."""
    log_every: int = 10
    """Steps between two rows of the log: loss, gradient norm by layer, mix weights."""
    early_stopping: int = 0
    """Stop after this many evaluations without a better dev score, and keep the best model; 0 trains to the end."""
    checkpoint_every: int = 0
    """Steps between two checkpoints that a killed run goes on from; 0: at an evaluation, every two minutes at most."""
    keep_models: bool = True
    """True where the trained models are kept, one folder each."""
    trackers: tuple[str, ...] = ()
    """Trackers that hear of losses and scores while they grow, by accelerate's names: tensorboard (into events/ of the
    run folder), wandb, trackio, mlflow, aim, comet_ml, clearml, dvclive, swanlab. Their packages come by pip."""
    dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    """Number format of the products; weights stay in float32. auto: bfloat16 where the device computes it natively."""
    device: str = "auto"
    """cpu, cuda, ...; auto takes a GPU where there is one."""
    threads: int = 0
    """CPU threads; 0 leaves the choice to torch."""
    engine: str = "local"
    """Place where models are trained: local (in this process, one after the other), or ray (by workers here or on a
    cluster, a model each; needs bermo-probing[cluster])."""
    engine_address: str = ""
    """HOST:PORT of a cluster that works already; empty: the engine starts one here, and ends it."""
    workers: int = 0
    """Models that an engine trains at a time; 0: as many as there are processors. On GPUs, each takes one."""
    worker_threads: int = 0
    """CPU threads of each worker; 0: as many as --threads says, else one."""
    retries: int = 3
    """Times that a model is gone on with after its worker was lost. What fails by an error is not tried again."""
    unit_timeout: float = 0.0
    """Seconds that a worker may take over a model before it counts as lost; 0 for any."""
    mixed_hardware: bool = False
    """True where workers may have other processors or GPUs than this machine, on which last digits depend."""
    output: Path | None = None
    """Run folder; by default data/results/ and a name made of the settings. An unfinished run there is resumed."""
    overwrite: bool = False
    """Throw away the run that stands in the run folder; files that no run wrote stay."""
    quiet: bool = False
    """No progress on the screen."""


@dataclass(frozen=True)
class TrainSettings(RecipeSettings):
    """Fine-tune an encoder on one task, once per seed."""

    GROUPS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "model and data": (
            *("recipe", "model", "checkpoint", "task", "data", "seeds"),
            *("limit", "limit_dev", "max_length", "freeze_up_to"),
        ),
        "optimiser": (
            *("epochs", "max_steps", "batch_size", "accumulation_steps", "learning_rate", "mix_learning_rate"),
            *("weight_decay", "warmup_share", "max_grad_norm", "dropout"),
        ),
        **RecipeSettings.GROUPS,
    }
    """Flags that `--help` shows together."""

    recipe: str = "finetune"
    """The way of training, such as finetune or prune. Each has flags of its own: --recipe prune --help."""
    model: str = "bermo"
    """Model whose head is trained: bert (reads the last layer) or bermo (reads the scalar mix of all layers)."""
    task: str = "SST-2"
    """The task, by any of its names: SST-2, MNLI, QQP, tree_depth, ..."""
    data: str = "data/corpora/classification"
    """A folder with one folder per task (SST-2/train.tsv, ...), any corpus of run_senteval.py, or the id of a dataset
    on the Hugging Face hub as hub:ID or hub:ID/CONFIGURATION."""
    seeds: tuple[int, ...] = (0,)
    """One model per seed: the order of the sentences, the head's start and dropout depend on it."""
    limit: int = 0
    """At most this many training sentences, the same ones for every seed; 0 takes all."""
    limit_dev: int = 0
    """At most this many sentences of dev and of test; 0 takes all."""
    batch_size: int = 32
    """Sentences per optimiser step, over all processes."""
    mix_learning_rate: float = 1e-2
    """Of the mix's weights and gamma, which have no decay. Ours: scalars move too little at the encoder's rate."""
    dropout: float = 0.1
    """In the encoder and before the classifier."""


def effective_settings(settings: RecipeSettings) -> dict[str, Any]:
    """The settings that numbers depend on, as JSON values."""
    return {name: value for name, value in asdict(settings).items() if name not in settings.WITHOUT_EFFECT}
