"""Table of what is measured beyond the scores: on which readouts, of which tasks, under which settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Measure:
    """One thing that cells are asked for."""

    representations: tuple[str, ...]
    """Readouts that its probes are fitted on; a mix only where the encoder mixes its layers."""
    flag: str = "measures"
    """The setting that asks for it; empty where it comes with every score."""
    needs: Mapping[str, object] = field(default_factory=dict)
    """Settings that it cannot do without, and their values."""
    takes_graded: bool = True
    """True where a graded task may have it: information is about classes."""
    takes_seed: bool = True
    """True where it depends on the run's first seed."""
    scores: bool = False
    """True where its cells are fitted and scored as those of the run itself, and nothing else is computed."""
    reads_others: bool = False
    """True where a task's numbers depend on the other tasks of the run."""
    module: str = ""
    """A module that it cannot do without and that an installation need not have; empty for none."""
    extra: str = ""
    """The extra of the installation that brings the module."""
    goes_on: bool = False
    """True where it goes on from the fitted probes of the scores, which are kept in memory for it."""


MEASURES = {
    "usable_information": Measure(("layer", "scalar_mix"), flag="", takes_graded=False),
    "code_length": Measure(
        ("layer", "scalar_mix"), needs={"probe": "linear", "protocol": "modern"}, takes_graded=False
    ),
    "conditional_information": Measure(("layer",), takes_graded=False, takes_seed=False),
    "cumulative_mix": Measure(("cumulative_mix",), scores=True),
    "concat": Measure(("concat",), scores=True, takes_seed=False),
    "weight_intervals": Measure(("scalar_mix",), needs={"protocol": "modern", "mix_dropout": 0.0}),
    "erasure": Measure(
        ("layer", "scalar_mix"),
        needs={"probe": "linear", "protocol": "modern", "mix_dropout": 0.0},
        reads_others=True,
        goes_on=True,
    ),
    "amnesia": Measure(("layer",), takes_graded=False, reads_others=True),
    "similarity": Measure(("layer",), takes_seed=False),
    "knockouts": Measure(("scalar_mix",), needs={"protocol": "modern", "mix_dropout": 0.0}, takes_graded=False),
    "geometry": Measure(("layer",), takes_seed=False),
    "intrinsic_dimension": Measure(("layer",), takes_seed=False, module="skdim", extra="geometry"),
    "gradients": Measure(("layer",), flag="gradients"),
}
"""By name; those of the flag `measures` are what `--measures` knows."""

ON_REQUEST = tuple(name for name, measure in MEASURES.items() if measure.flag == "measures")
"""Names that `--measures` knows."""


KINDS = ("information", "share", "knockout", "geometry", "erasure", "depth")
"""Kinds of what measures give: a number for each readout, a layer's share in the mix, what the mix loses without a
layer, the shape of a layer's vectors, what is lost at a readout without some property, one number for all layers."""


@dataclass(frozen=True)
class Quantity:
    """A number that a measure gives: a value of the column `metric` that is no metric of answers."""

    measure: str
    """Key of the measure that gives it."""
    kind: str
    """One of `KINDS`."""
    title: str
    """Caption of its table."""
    head: str = ""
    """Head of a narrow column, broken where it may be; empty where narrow tables leave it out."""
    digits: int = 2
    """Decimals that are shown."""
    factor: int = 1
    """Factor by which tables and figures show it."""


QUANTITIES = {
    "compression": Quantity(
        "code_length",
        "information",
        "Compression of the training labels: uniform code over online code (arXiv 2003.12298)",
        head="compres-\nsion",
    ),
    "code_length_bits": Quantity(
        "code_length",
        "information",
        "Online code length in bits of the training labels (arXiv 2003.12298)",
        digits=0,
    ),
    "usable_information_bits": Quantity(
        "usable_information",
        "information",
        "Usable information in bits per test sentence (arXiv 2002.10689)",
        head="usable\nbits",
    ),
    "conditional_information_bits": Quantity(
        "conditional_information",
        "information",
        "Bits a layer adds to the baseline layer, per test sentence (arXiv 2109.09234)",
    ),
    "mix_weight": Quantity("weight_intervals", "share", "Weight"),
    "mix_contribution": Quantity("weight_intervals", "share", "Contribution"),
    "knockout_accuracy": Quantity(
        "knockouts",
        "knockout",
        "Points of accuracy that the mix loses with a layer at its training mean",
        digits=1,
        factor=100,
    ),
    "knockout_bits": Quantity(
        "knockouts", "knockout", "Bits per test sentence that the mix loses with a layer at its training mean"
    ),
    "effective_rank": Quantity(
        "geometry",
        "geometry",
        "Effective rank of the training vectors about their mean (Roy & Vetterli 2007)",
        digits=1,
    ),
    "anisotropy": Quantity(
        "geometry", "geometry", "Mean cosine of different training sentences (arXiv 1909.00512)", digits=3
    ),
    "intrinsic_dimension": Quantity(
        "intrinsic_dimension", "geometry", "Intrinsic dimension by two nearest neighbours (arXiv 1803.06992)", digits=1
    ),
    "compression_gravity": Quantity("code_length", "depth", "Centre of gravity of compressions"),
    "weight_gravity": Quantity("weight_intervals", "depth", "Centre of gravity of weights"),
    "contribution_gravity": Quantity("weight_intervals", "depth", "Centre of gravity of contributions"),
    "erasure": Quantity("erasure", "erasure", "Score without a property, minus the score with it"),
    "erasure_random": Quantity("erasure", "erasure", "The same without a random subspace of the property's rank"),
    "erasure_control": Quantity("erasure", "erasure", "The same without the labels of the property's control task"),
    "weight_entropy_bits": Quantity("weight_intervals", "depth", "Entropy of weights, bits"),
}
"""By the value of the column `metric`."""


def name_quantities(kind: str) -> list[str]:
    """The quantities of one kind."""
    return [name for name, quantity in QUANTITIES.items() if quantity.kind == kind]
