"""Table of claims: each sentence that a probing run may be quoted for, and what must have been run before it may.

A claim names controls, measures and seeds of the catalogue; whatever it names, `--reviewer` turns on. A new measure
that bounds a claim is one name more in its row.
"""

from collections.abc import Collection
from dataclasses import dataclass

from probing.catalogue.controls import CONTROLS
from probing.catalogue.measures import MEASURES


@dataclass(frozen=True)
class Claim:
    """One sentence, and what bounds it."""

    says: str
    """The sentence, of a property and the layer or mix that it is probed in."""
    bounds: str
    """Other explanation that what is run leaves room for or rules out."""
    controls: tuple[str, ...] = ()
    """Keys of `CONTROLS` that scores must have been held against."""
    measures: tuple[str, ...] = ()
    """Keys of `MEASURES` that must have been taken."""
    seeds: int = 1
    """Seeds that the probes must have been fitted from at least."""
    of_mix: bool = False
    """True where it is about the mix of layers alone, and of no run without one."""
    beyond: str = ""
    """Work that no flag of one run does; empty where flags do all."""


CLAIMS = {
    "told": Claim("it can be told from the vectors, better than by the majority class", "chance"),
    "beyond_surface": Claim(
        "it is more than a list of words, their number or their spelling tells",
        "surface",
        controls=("word_count", "bag_of_words", "characters"),
    ),
    "not_memorised": Claim(
        "the probe does not know it by having memorised words", "memorising", controls=("control_task",)
    ),
    "contextual": Claim(
        "context adds it to the embeddings of the words", "the embedding layer", controls=("bag_of_embeddings",)
    ),
    "learned": Claim(
        "training has put it there, and not the architecture alone", "random features", controls=("untrained",)
    ),
    "easy": Claim(
        "it lies open: few examples and a simple probe are enough",
        "the effort of the probe",
        measures=("code_length", "usable_information"),
    ),
    "added": Claim(
        "a layer holds what the baseline layer does not",
        "what lower layers hold",
        measures=("conditional_information",),
    ),
    "located": Claim(
        "the mix takes it from these layers",
        "other sentences, other minima, layers that are alike",
        measures=("similarity", "knockouts", "weight_intervals"),
        of_mix=True,
    ),
    "any_start": Claim("another start of the mix would say the same", "luck of the start", seeds=3, of_mix=True),
    "nothing": Claim("two readouts are as good as equal", "too small a test set"),
    "its_own": Claim("it is no other property of the run, read once more", "other properties", measures=("erasure",)),
    "used": Claim(
        "later layers and heads make use of it", "what a probe finds and nothing reads", measures=("amnesia",)
    ),
    "procedure": Claim(
        "another encoder trained in the same way would hold it too",
        "one checkpoint's chance",
        beyond="several encoders (--checkpoint A B C)",
    ),
}
"""By key, from the plainest to the boldest. `nothing` asks for no flag: equivalence is tested in every run."""


def list_needs(claim: Claim) -> list[str]:
    """List what must have been run for a claim, in words that `list_missing` uses too; empty where every run has it."""
    needs = [*claim.controls, *claim.measures]
    needs += [f"{claim.seeds} seeds"] if claim.seeds > 1 else []
    return needs + ([claim.beyond] if claim.beyond else [])


def list_missing(claim: Claim, ran: Collection[str], n_seeds: int) -> list[str]:
    """List what of `list_needs` a run lacks.

    Args:
        claim: of the table.
        ran: keys of the controls and measures that the run has numbers of.
        n_seeds: number of seeds that its probes were fitted from.
    """
    known = {*ran, *(f"{claim.seeds} seeds" for _ in range(n_seeds >= claim.seeds))}
    return [need for need in list_needs(claim) if need not in known]


def list_controls() -> list[str]:
    """The controls that claims ask for, in the order of the catalogue."""
    asked = {name for claim in CLAIMS.values() for name in claim.controls}
    return [name for name in CONTROLS if name in asked]


def list_measures() -> list[str]:
    """The measures that claims ask for by `--measures`, in the order of the catalogue."""
    asked = {name for claim in CLAIMS.values() for name in claim.measures}
    return [name for name, measure in MEASURES.items() if name in asked and measure.flag == "measures"]


def count_seeds() -> int:
    """Number of seeds that the most demanding claim asks for."""
    return max(claim.seeds for claim in CLAIMS.values())
