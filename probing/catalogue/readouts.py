"""Readouts, which probes are fitted on: single layers, mixes of layers, all layers side by side, or nothing."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Representation:
    """One kind of readout; `representation` is its column in the score table."""

    title: str
    """The name to print, and the column `layer_name` where it is no single layer."""
    probe: str = ""
    """Key of its probe; empty for the one that the settings name."""
    by_layer: bool = False
    """True where it gives a readout for every layer, false where a single one."""
    mixes: bool = False
    """True where layer 0 takes part only if the settings say so."""
    in_main_table: bool = False
    """True where the main table shows it; others are asked for by `--measures`, or are no score of an encoder."""


REPRESENTATIONS = {
    "none": Representation("none", "majority"),
    "layer": Representation("layer", by_layer=True, in_main_table=True),
    "scalar_mix": Representation("scalar mix", "scalar_mix", mixes=True, in_main_table=True),
    "cumulative_mix": Representation("cumulative mix", "cumulative_mix", by_layer=True),
    "concat": Representation("concat", "concat"),
}
"""By the name in the score table."""

MAIN = tuple(name for name, kind in REPRESENTATIONS.items() if kind.in_main_table)
"""The representations of the main table."""

FURTHER = ("concat", "cumulative_mix")
"""Readouts that are probed where `--measures` asks for them."""

UNCONVERGED = "probes did not converge: "
"""Beginning of the warning of such probes."""
UNCONVERGED_MEANS = (
    "their scores and weights are where the solver stopped, some tenths of a point from the end. "
    "It is rarer with more training sentences: try a higher --limit"
)
"""Consequence for the numbers, and what to do about it."""
