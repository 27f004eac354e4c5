"""The four nouns of a training (data, objective, transform, evaluation), and what a model may say of itself.

What is written out below is what is done where a part says nothing: a part inherits from its protocol and writes only
what it does otherwise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from accelerate import Accelerator
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel

from probing.records import Text

Row = tuple[str, int, float]
"""A number for the log: quantity, layer (-1: of no single layer), value."""


@dataclass(frozen=True)
class SplitScore:
    """A trained model's score on one split: fields of `probing.tables.TrainedModel`."""

    split: str
    metric: str
    value: float
    ci_low: float
    ci_high: float
    n: int
    """Examples scored."""
    majority: float
    """Value of the metric for an answer that knows nothing of the input; NaN where there is none."""
    diverged: bool
    """True where the training failed, by this score."""


@dataclass(frozen=True)
class Pace:
    """Length of a stage's training, and how often it is looked at."""

    epochs: float = 3.0
    """Passes over the data."""
    max_steps: int = 0
    """Optimiser steps; 0 leaves it to `epochs`."""
    accumulation_steps: int = 1
    """Parts that a batch is computed in."""
    log_every: int = 10
    """Steps between two rows of the log."""
    evaluate_every: int = 0
    """Steps between two evaluations; 0 takes a twentieth of all steps."""
    early_stopping: int = 0
    """Evaluations without a better headline after which training stops; 0 trains to the end."""
    checkpoint_every: int = 0
    """Steps between two states that a killed training goes on from; 0 leaves it to the clock."""
    until_dev_loss: float = 0.0
    """Training ends at the first evaluation whose `dev_loss` is no higher; 0 trains to the end."""

    @classmethod
    def from_settings(cls, settings: Any) -> "Pace":
        """The pace that settings name; what they have no field for stays as it usually is."""
        given = (field.name for field in fields(cls) if hasattr(settings, field.name))
        return cls(**{name: getattr(settings, name) for name in given})


@dataclass(frozen=True)
class Written:
    """A text that a stage wrote: one of train, some of its words replaced."""

    row: int
    """Its source: a row of the split of train that it was written from."""
    copy: int
    """Number of it among the texts of its source, from 0 on."""
    text: Text
    label: int
    """Index of the source's class, which it keeps."""
    places: tuple[int, ...]
    """Places of what was replaced, counted as its writer counts: in words or in tokens, over all segments."""
    old: tuple[str, ...]
    """Words or tokens that stood at the places."""
    new: tuple[str, ...]
    """Words or tokens that stand there now."""


@dataclass(frozen=True)
class Examples:
    """Some labelled sentences, padded together."""

    inputs: dict[str, Tensor]
    """Inputs as keywords of a model."""
    labels: Tensor
    """Class indices; in a regression, scores."""


class LabelledSplit(Protocol):
    """A split of a task, to be gone through once."""

    @property
    def labels(self) -> Int[np.ndarray, " sentences"] | Float[np.ndarray, " sentences"]:
        """Class indices; in a regression, scores."""
        ...

    @property
    def lengths(self) -> Int[np.ndarray, " sentences"]:
        """Tokens of each, special tokens included."""
        ...

    def __len__(self) -> int:
        """Number of sentences."""
        ...

    def list_batches(self, n_tokens: int) -> list[Int[np.ndarray, " batch"]]:
        """The rows of each batch, of at most about `n_tokens` tokens."""
        ...

    def collate(self, rows: Int[np.ndarray, " batch"], device: str) -> Examples:
        """Some of the sentences, padded together."""
        ...


@dataclass(frozen=True)
class MaskedBlocks:
    """Some blocks of running text, in which tokens are hidden."""

    inputs: dict[str, Int[Tensor, "batch tokens"]]
    """Keywords of a model; no block has padding."""
    original: Int[Tensor, "batch tokens"]
    places: Int[Tensor, " hidden_tokens"]
    """Of the hidden tokens, counted over all blocks laid end to end."""
    labels: Int[Tensor, " hidden_tokens"]
    """The hidden tokens themselves."""
    noise: Float[Tensor, " hidden_tokens"]
    """Uniform in [0, 1): what a token in their stead is sampled with, the same on every device."""
    per_block: float
    """Hidden tokens of a block, the mean over the whole batch that these blocks are a part of: a loss that is their sum
    over (blocks here times this) adds up, over the parts, to the mean over all hidden tokens."""


class Batch(Protocol):
    """Examples of one optimiser step, drawn as a whole: in however many parts it is computed, it is the same."""

    @property
    def n_tokens(self) -> int:
        """Padding not counted."""
        ...

    def __len__(self) -> int:
        """Number of examples, over which a loss is a mean."""
        ...

    def collate(self, rows: Int[np.ndarray, " part"], device: str) -> Any:
        """Some of the examples, padded together, as the objective takes them."""
        ...


class Data(Protocol):
    """Source that a training learns from: labelled sentences, running text, triples, what an earlier stage wrote."""

    n_steps_per_epoch: int

    def __len__(self) -> int:
        """Number of examples."""
        ...

    def batch(self, step: int) -> Batch:
        """The batch that follows `step` others. It depends on the step and on the data's own seed alone."""
        ...


class Objective(Protocol):
    """Losses that are made small: their sum, each times its weight. All of them are logged."""

    weights: Mapping[str, float]
    """Of each loss by its name."""

    def losses(self, model: Any, batch: Any, generator: torch.Generator) -> dict[str, Float[Tensor, ""]]:
        """The mean losses over a part of a batch, by name.

        Args:
            model: with a forward pass of its own; several processes wrap it.
            batch: as `Batch.collate` gives it.
            generator: for whatever is drawn, on the batch's device; it depends on seed, step and part.
        """
        ...

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Groups of parameters of its own for the optimiser, such as projections or a second network."""
        return []

    def state_dict(self) -> dict[str, Any]:
        """State that it keeps from step to step, its own parameters included."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> Any:
        """Put back what `state_dict` gave."""


class Transform(Protocol):
    """Changes a model before, during and after training. What it keeps must be in the model's `state_dict`."""

    def apply(self, model: PreTrainedModel) -> None:
        """Prepare the model; the optimiser is made after it."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Groups of parameters of its own for the optimiser, with their rates."""
        return []

    def before_step(self, step: int, n_steps: int) -> None:
        """Set what the schedule says after `step` of `n_steps` optimiser steps; it may be called twice with one."""

    def penalty(self) -> Float[Tensor, ""] | None:
        """Term that is added to the loss."""
        return None

    def measure(self) -> Sequence[Row]:
        """Rows for the log, at each evaluation."""
        return ()

    def finish(self, model: PreTrainedModel) -> None:
        """Leave a plain model that loads without this transform."""

    def facts(self) -> dict[str, float]:
        """Facts about the finished model, by the name of a column or of a quantity of the log."""
        return {}


class Evaluation(Protocol):
    """Rule for how well a model does."""

    headline: str
    """The quantity of `measure` that says which model is the best: the one with the largest."""

    def measure(self, model: PreTrainedModel, accelerator: Accelerator) -> dict[str, float]:
        """Numbers for the log while the model is trained, by quantity."""
        ...

    def score(self, model: PreTrainedModel, accelerator: Accelerator) -> list[SplitScore]:
        """The scores of the trained model, each split by each metric."""
        ...


@runtime_checkable
class HasRates(Protocol):
    """A model some of whose parameters need a rate of their own, such as the scalars of a mix."""

    def named_rates(self) -> dict[str, list[nn.Parameter]]:
        """The same parameters by the name of their rate; they have no decay."""
        ...


@runtime_checkable
class HasAnswers(Protocol):
    """An evaluation that keeps what each example was answered, so that models can be compared pair by pair."""

    def list_answers(self) -> Mapping[str, np.ndarray]:
        """Columns of a table, from when `score` was last called."""
        ...


@runtime_checkable
class HasMeasures(Protocol):
    """A model with numbers of its own for the log, such as the weights of a mix."""

    def measure(self) -> Sequence[Row]:
        """Rows for the log."""
        ...
