"""Numbers of single layers: weights in the mix, gradient norms, likeness to other layers, change by training."""

from dataclasses import dataclass


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
    """One of `probing.records.GROUPS`, such as `surface` or `transfer`; custom data are `own`."""
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
