"""The scores of a probing run."""

from dataclasses import dataclass


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
    """One of `probing.records.GROUPS`, such as `surface` or `transfer`; custom data are `own`."""
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
