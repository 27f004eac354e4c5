"""Readouts, which probes are fitted on: layers, mixes of them, all side by side, the text itself, or nothing."""

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
    of_text: bool = False
    """True where it is read off the text, without an encoder."""


REPRESENTATIONS = {
    "none": Representation("none", "majority"),
    "layer": Representation("layer", by_layer=True, in_main_table=True),
    "scalar_mix": Representation("scalar mix", "scalar_mix", mixes=True, in_main_table=True),
    "cumulative_mix": Representation("cumulative mix", "cumulative_mix", by_layer=True),
    "concat": Representation("concat", "concat"),
    "word_count": Representation("number of words", of_text=True),
    "bag_of_words": Representation("bag of words", of_text=True),
    "characters": Representation("runs of characters", of_text=True),
}
"""By the name in the score table."""

MAIN = tuple(name for name, kind in REPRESENTATIONS.items() if kind.in_main_table)
"""The representations of the main table."""

OF_TEXT = tuple(name for name, kind in REPRESENTATIONS.items() if kind.of_text)
"""The representations that no encoder takes part in: see `probing.cells.surface`."""

FURTHER = ("concat", "cumulative_mix")
"""Readouts that are probed where `--measures` asks for them."""

UNCONVERGED = "probes did not converge: "
"""Beginning of the warning of such probes."""
UNCONVERGED_MEANS = (
    "their scores and weights are where the solver stopped, some tenths of a point from the end. "
    "It is rarer with more training sentences: try a higher --limit"
)
"""Consequence for the numbers, and what to do about it."""
