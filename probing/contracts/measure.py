"""Contract of a measure: from a cell of the run and the sentences of its task, as an encoder sees them, to numbers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
from jaxtyping import Int

from probing.catalogue.measures import MEASURES as CATALOGUE
from probing.catalogue.measures import ON_REQUEST
from probing.catalogue.measures import Measure as About
from probing.contracts.encoder import Encoder, EncoderFacts
from probing.records import InputError, LayerStack, Task
from probing.registry import MEASURES as REGISTERED
from probing.tables import CellResult


@dataclass(frozen=True)
class Cell:
    """The smallest piece of a run that is kept and resumed."""

    task: Task
    representation: str
    """Representation that a probe reads: one of `probing.catalogue.readouts.REPRESENTATIONS`."""
    control: str = "none"
    seed: int = 0
    measure: str = "scores"
    """Name of the measure that is computed: a key of the table `measures`."""

    @property
    def name(self) -> str:
        """File name of the cell."""
        parts = [self.task.name, self.representation, self.control, str(self.seed)]
        return ".".join(parts + ([] if self.measure == "scores" else [self.measure]))


@dataclass(frozen=True)
class Encoded:
    """The sentences of a task as one encoder sees them."""

    encoder: EncoderFacts
    """Facts of it; see `open_encoder` for the encoder itself."""
    layers: Sequence[int]
    """Indices of the layers that are probed."""
    stack: LayerStack
    """The vectors of these sentences, and maybe of others."""
    rows: Mapping[str, Int[np.ndarray, " sentences"]]
    """Rows in the stack of the sentences of each split."""
    others: "Others | None" = None
    """The other tasks of the run, for measures that say they read them (`reads_others`)."""
    opener: Callable[[], Encoder] | None = None
    """Way to the encoder itself; none given: `encoder` is the encoder."""

    def open_encoder(self) -> Encoder:
        """The encoder, for a measure that runs it: where it is not there yet, its weights are loaded."""
        return cast(Encoder, self.encoder) if self.opener is None else self.opener()


@dataclass(frozen=True)
class Others:
    """All tasks of a run, each with its sentences as one encoder sees them."""

    tasks: Sequence[Task]
    encode: Callable[[Task], Encoded]
    """Takes one of the tasks."""
    kept: dict[tuple, Any] = field(default_factory=dict)
    """Results that measures have worked out of single tasks and need for every cell, by a key that says of what."""
    travels: bool = True
    """True where another process needs them too."""

    def __getstate__(self) -> dict[str, Any]:
        # Another process cannot encode: each task goes along as it is seen here.
        tasks = self.tasks if self.travels else ()
        ready = {task.name: replace(self.encode(task), others=None) for task in tasks}
        return {"tasks": tasks, "encode": EncodedTasks(ready), "kept": {}, "travels": self.travels}


@dataclass(frozen=True)
class EncodedTasks:
    """Tasks that have been encoded, by name."""

    tasks: Mapping[str, Encoded]

    def __call__(self, task: Task) -> Encoded:
        """One of them."""
        return self.tasks[task.name]


@runtime_checkable
class Measure(Protocol):
    """Numbers of one cell, from the vectors of its task's sentences.

    The settings are the run's (`probing.settings.run.RunSettings`); this floor does not know them.
    """

    about: About
    """On which readouts, of which tasks and under which settings it can be had: given by `describe`."""
    find_obstacle: Callable[[Encoder], str]
    """Finds what an encoder lacks for it, in words; empty where it has all: given by `describe`."""
    identify: Callable[[Any], Sequence[str]]
    """Settings -> digests of what it reads beside encoder and sentences: given by `describe`."""

    def __call__(self, cell: Cell, encoded: Encoded, settings: Any, /) -> CellResult:
        """Compute them; what raises costs this cell alone.

        The rows of a score table that it gives (see `probing.cells.scoring`) bear names of their own in the column
        `metric`, and are the same each time but for their seconds. What it is given stays as it is.
        """
        ...


def describe(
    about: About,
    find_obstacle: Callable[[Encoder], str] = lambda encoder: "",
    identify: Callable[[Any], Sequence[str]] = lambda settings: (),
) -> Callable[[Callable[[Cell, Encoded, Any], CellResult]], Measure]:
    """Decorator: a function becomes a measure that says what it needs, of settings and of an encoder."""

    def mark(function: Any) -> Measure:
        function.about, function.find_obstacle, function.identify = about, find_obstacle, identify
        return function

    return mark


def find_measure(name: str) -> About:
    """Find what a measure needs: one of the catalogue's, or of an installed package's.

    Raises:
        InputError: there is none of that name, or two.
    """
    check_names()
    return CATALOGUE[name] if name in CATALOGUE else REGISTERED.load(name).about


def list_on_request() -> list[str]:
    """List what `--measures` knows: the catalogue's names, then those of installed packages."""
    check_names()
    return [*ON_REQUEST, *(name for name in REGISTERED.names() if name not in REGISTERED.own)]


def check_names() -> None:
    """Refuse an installed measure that has the name of one of the catalogue's.

    Raises:
        InputError: naming it.
    """
    for name, place in REGISTERED.rows.items():
        if name in CATALOGUE and name not in REGISTERED.own:
            raise InputError(f"measure {name!r}: given by this project and by {place}; expected names that differ")
