"""Numbers of encoders that go on without a property."""

from dataclasses import dataclass


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
    """One of `probing.records.GROUPS`, such as `surface` or `transfer`; custom data are `own`."""
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
