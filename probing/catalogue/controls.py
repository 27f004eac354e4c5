"""The controls that a score is held against: what each one changes, and nothing else.

The majority class is no entry here: it is scored in every run, beside the probes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from probing.records import InputError
from probing.suggestions import suggest


@dataclass(frozen=True)
class Control:
    """One way of taking something away from the encoder or from the labels."""

    difference: str
    """Metric of the score minus the control's score, paired by test sentence."""
    title: str
    """Name of it in a sentence."""
    note: str
    """Note on what it takes away, and on what a score above it shows."""
    head: str
    """Head of a narrow column, broken where it may be."""
    encoder: str = ""
    """Key of the encoder that takes the place of the run's own; empty keeps it."""
    relabelling: str = ""
    """Key of the function that gives the same sentences other labels; empty keeps them."""
    embeddings_only: bool = False
    """True where the embedding layer alone is probed."""
    mixes: bool = False
    """True where the mix can be held against it too, where the settings ask for that."""
    of_text: str = ""
    """Representation, read off the text, that takes the place of the encoder's vectors; empty keeps them."""

    @property
    def takes_graded(self) -> bool:
        """True where a graded task may have it: scores have no classes that other labels could be drawn from."""
        return not self.relabelling

    @property
    def is_single(self) -> bool:
        """True where it is one readout, which all layers and the mix are held against."""
        return self.embeddings_only or bool(self.of_text)


CONTROLS = {
    "bag_of_embeddings": Control(
        "gain",
        "the bag of embeddings",
        "the encoder's word embeddings alone, in no order: what is above it, context adds",
        "over\nembeddings",
        embeddings_only=True,
    ),
    "untrained": Control(
        "gain",
        "the untrained encoder",
        "the same architecture with random weights: what is above it, training adds",
        "over\nuntrained",
        encoder="untrained",
    ),
    "control_task": Control(
        "selectivity",
        "the control task",
        "labels drawn once per word (arXiv 1909.03368): what is above it, memorising words cannot give",
        "selec-\ntivity",
        relabelling="control_task",
        mixes=True,
    ),
    "shuffled_labels": Control(
        "gain",
        "shuffled labels",
        "labels permuted: a probe must be at chance here",
        "over\nshuffled",
        relabelling="shuffled_labels",
        mixes=True,
    ),
    "word_count": Control(
        "gain",
        "the number of words",
        "the number of words of each segment, and nothing else: what is above it, length cannot give",
        "over\nlength",
        of_text="word_count",
    ),
    "bag_of_words": Control(
        "gain",
        "the bag of words",
        "which words occur, in any order, read off the text: what is above it, no list of words can give",
        "over\nwords",
        of_text="bag_of_words",
    ),
    "characters": Control(
        "gain",
        "runs of characters",
        "which runs of two to five characters occur: what is above it, spelling and neighbouring words cannot give",
        "over\nspelling",
        of_text="characters",
    ),
}
"""Ours: the names. `control_task` is that of Hewitt & Liang 2019 (arXiv 1909.03368), for sentences."""

CEILING = "ceiling"
"""Metric of a score of no readout: what knowing all words of train by heart reaches on a control task."""

DEFAULT_CONTROLS = ("bag_of_embeddings", "control_task", "word_count", "bag_of_words")
"""By what they cost: these take about as long as the single layers of the run. Not `untrained`, which encodes every
sentence again: without a matrix unit that is the dearest part of a run. Not `characters`, which takes ten times as long
as the words. Not `shuffled_labels`: a check of the machinery, at chance by construction, not of an encoder."""

DIFFERENCES = tuple(dict.fromkeys(control.difference for control in CONTROLS.values()))
"""The metrics that are a score minus its control's score."""


def check_controls(wanted: Sequence[str]) -> None:
    """Refuse a control that does not exist.

    Raises:
        InputError: an unknown name.
    """
    for name in wanted:
        if name not in CONTROLS:
            raise InputError(f"unknown control {name!r}: {suggest(name, CONTROLS)}")
