"""Records that travel between the stages, in the order of the flow: text, task, layer stack, predictions.

Everything here is plain data on numpy arrays: reading a record needs neither torch nor an encoder. What a run writes
down is in `probing.tables`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from probing.digests import digest_json, text_key

SPLITS = ("train", "dev", "test")
GROUPS = ("surface", "syntactic", "semantic", "transfer", "own", "control")

Text = tuple[str, ...]
"""One text to encode: one segment, two for a sentence pair, or more, such as the three of a triple."""


class InputError(ValueError):
    """A mistake that the user can mend. Scripts print it as one line and exit with code 2.

    What no line can show, such as a line end or a control character quoted from a file, is written as an escape.
    """

    def __init__(self, message: str):
        super().__init__("".join(one if one.isprintable() else ascii(one)[1:-1] for one in message))


@dataclass(frozen=True)
class TaskSpec:
    """Description of a task, apart from its sentences."""

    name: str
    """Key, file stem and flag value, such as `tree_depth`."""
    title: str
    """The name that papers print, such as `TreeDepth`."""
    group: str
    """One of `GROUPS`."""
    aliases: tuple[str, ...] = ()
    """Other names that users may type; compared without case, hyphens and underscores."""
    metrics: tuple[str, ...] = ("accuracy",)
    """Keys of the metrics that the literature reports for this task; the first one heads tables and figures."""

    @property
    def metric(self) -> str:
        """The metric that heads tables and figures."""
        return self.metrics[0]


@dataclass(frozen=True)
class Split:
    """The texts of one split and their labels, in file order."""

    texts: tuple[Text, ...]
    labels: Int[np.ndarray, " sentences"]
    """Index of each text's class in `Task.classes`; in a graded task, of the class nearest to its score."""
    lines: Int[np.ndarray, " sentences"] | None = None
    """Line of each text in its file, counted from 1 as editors do; none where there is no file."""
    targets: Float[np.ndarray, " sentences"] | None = None
    """The scores of a graded task, in [0, classes - 1]; none where labels are classes and nothing more."""

    def __len__(self) -> int:
        return len(self.texts)

    def select(self, rows: Int[np.ndarray, " rows"]) -> "Split":
        """Some of the texts, in the order of `rows`."""
        lines = None if self.lines is None else self.lines[rows]
        targets = None if self.targets is None else self.targets[rows]
        return Split(tuple(self.texts[row] for row in rows), self.labels[rows], lines, targets)


@dataclass(frozen=True)
class Task:
    """A labelled task with its three splits."""

    spec: TaskSpec
    classes: tuple[str, ...]
    """Class names as written in the source, sorted."""
    splits: Mapping[str, Split]
    """Keys are `SPLITS`."""
    origin: str = ""
    """The file or generator that the task came from."""
    folds: int = 0
    """Number of parts of a cross-validation, where each split is the whole task; 0 where the splits are fixed."""
    split_rule: str = ""
    """Rule by which the splits were made, where the source had none; empty where they are the source's own."""
    notes: tuple[str, ...] = ()
    """Notes on what its reader had to decide, a line each: said in every run, since the numbers rest on it."""
    ceiling: float = float("nan")
    """Of a control task: the share of test that knowing the class of every word of train finds; NaN for others."""

    @property
    def graded(self) -> bool:
        """True where labels are scores on a scale, such as the likeness of two sentences."""
        return self.splits["test"].targets is not None

    @property
    def name(self) -> str:
        """The key of the task."""
        return self.spec.name

    @cached_property
    def digest(self) -> str:
        """The identity of sentences and labels, computed once."""
        return digest_json(
            [self.name, self.classes]
            + [[text_key(text).hex() for text in self.splits[split].texts] for split in SPLITS]
            + [self.splits[split].labels.tolist() for split in SPLITS]
            + [self.folds, self.spec.metrics]
            + [targets.tolist() for split in SPLITS if (targets := self.splits[split].targets) is not None]
        )


class LayerStack:
    """One pooled vector per layer and sentence, the only view of an encoder that a probe ever gets.

    This one stands in memory; `probing.store.shards.StoredStack` leaves the vectors on disk.

    Args:
        values: the vectors.
        layer_names: as named by the encoder; layer 0 is the embedding layer wherever the encoder has one.
        pooling: key of the pooling that made the vectors.
    """

    def __init__(
        self, values: Float[np.ndarray, "layers sentences hidden"], layer_names: tuple[str, ...], pooling: str
    ):
        self._values, self.layer_names, self.pooling = values, layer_names, pooling

    @property
    def values(self) -> Float[np.ndarray, "layers sentences hidden"]:
        """All vectors; where they are on disk, `select` takes less memory."""
        return self._values

    @property
    def hidden_size(self) -> int:
        """Width of a vector."""
        return self.values.shape[2]

    def select(self, layers: Sequence[int], rows: Int[np.ndarray, " rows"]) -> Float[np.ndarray, "chosen rows hidden"]:
        """The vectors of some sentences in some layers: a copy, which may be changed."""
        return self.values[np.array(layers)[:, None], rows]


@dataclass(frozen=True)
class Predictions:
    """Predictions of one fitted probe for the test sentences, kept for paired comparisons."""

    labels: Int[np.ndarray, " sentences"] | Float[np.ndarray, " sentences"]
    """Class indices; in a graded task, the scores."""
    predicted: Int[np.ndarray, " sentences"] | Float[np.ndarray, " sentences"]
    """Likewise; in a graded task, the score expected under the class probabilities."""
    log_probability: Float[np.ndarray, " sentences"]
    """Natural logarithm of the probability given to the true class; in a graded task, the mean over the two classes
    that the score lies between."""


def readout_key(representation: str, layer: int) -> str:
    """Key of the predictions of a layer or of a mix in their file, such as `layer/3` or `scalar_mix/-1`."""
    return f"{representation}/{layer}"
