"""Plans that recipes make: models, each made by a chain of stages, and what they are trained and scored on."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from probing.digests import digest_json
from probing.encoders.checkpoints import Checkpoint, digest_stored
from probing.progress import Reporter
from probing.records import Task, Text
from probing.settings.checks import Range
from probing.settings.idle import Need
from probing.settings.training import RecipeSettings
from probing.training.contracts import Data, Evaluation, Objective, Pace, SplitScore, Transform, Written
from probing.training.evolution import Search
from probing.training.optimiser import Rates

ARCHITECTURE = "architecture.json"
"""File of a search's folder: its findings."""


@dataclass(frozen=True)
class Origin:
    """The encoder that a run starts from."""

    checkpoint: Checkpoint
    digest: str
    """SHA-256 over architecture, weights and tokenizer."""
    tokenizer: PreTrainedTokenizerBase
    config: PretrainedConfig
    """Of the bare encoder."""
    limit: int
    """Longest input in tokens, special tokens included."""
    layer_names: tuple[str, ...]
    """Layer 0 first, which no block makes."""

    @cached_property
    def stored(self) -> str:
        """The identity of what a training starts from: of the encoder, and of a pooler and a head beside it."""
        drawn = self.checkpoint.folder == Path()
        return self.digest if drawn else digest_json([self.digest, digest_stored(self.checkpoint)])

    @property
    def n_blocks(self) -> int:
        """Blocks behind the embeddings."""
        return len(self.layer_names) - 1


@dataclass(frozen=True)
class Start:
    """Start of a stage: all that it finds when it begins."""

    checkpoint: Checkpoint
    """Checkpoint that it starts from: the run's encoder, or the model that an earlier stage left."""
    artifacts: Mapping[str, Path]
    """The folders that all earlier stages left, and the stages that its model needs, by their names; the latter also by
    `model/stage`."""


@dataclass(frozen=True)
class Writing:
    """Texts that a stage of kind `generate` writes, part by part."""

    n_parts: int
    """Parts: a killed stage goes on at those that were not finished, and several processes share them."""
    write: Callable[[Start, Accelerator], Callable[[int], Sequence[Written]]]
    """Makes what writes a part. What a part holds depends on its number alone."""
    known: Collection[Text] = frozenset()
    """Texts that there are already: one that is written like them, or like an earlier one, is dropped and counted."""
    export: Callable[[Sequence[Written], Path], None] | None = None
    """Writes the texts in another form too, into the folder that the stage leaves."""
    n_wanted: int = 0
    """Texts that the parts hold together if none is left out by what writes them; 0 where nobody knows."""


def no_transforms(start: Start) -> Sequence[Transform]:
    """Nothing is done to the model."""
    del start
    return ()


@dataclass(frozen=True)
class Stage:
    """One step of a chain. Its parts are made when it begins, for then it is known what it starts from."""

    name: str
    build: Callable[[Start, torch.Generator], PreTrainedModel]
    """Makes the model, with its head; the generator draws what is new."""
    data: Callable[[Start], Data]
    objective: Callable[[Start, PreTrainedModel], Objective]
    """Given the model on its device, to which it moves what it brings itself."""
    evaluation: Callable[[Start], Evaluation]
    rates: Rates
    pace: Pace
    transforms: Callable[[Start], Sequence[Transform]] = no_transforms
    """In the order in which they are applied."""
    kind: str = "train"
    """A key of `probing.training.chain.KINDS`: what the stage does and what it leaves."""
    weighed: bool = False
    """True where its rate is held against the peak rate of the machine, which costs a step more."""
    costs: Callable[[PreTrainedModel, Accelerator], Mapping[str, float]] | None = None
    """Measures what the finished model costs whoever uses it: columns of `TrainedModel` by their names."""
    start: str = ""
    """The earlier stage that it starts from; empty: the run's encoder."""
    search: Callable[[Start, PreTrainedModel, Accelerator], Search] | None = None
    """Of a stage of kind `search`: makes what is gone through, given the stage's model on its device."""
    writing: Writing | None = None
    """Of a stage of kind `generate`."""


def plan_writing(name: str, writing: Writing, start: str = "") -> Stage:
    """A stage of kind `generate`, which trains nothing."""
    parts: dict[str, Any] = dict.fromkeys(("build", "data", "objective", "evaluation"), _trains_nothing)
    return Stage(name, **parts, rates=Rates(), pace=Pace(), kind="generate", start=start, writing=writing)


def _trains_nothing(*arguments: Any) -> Any:
    raise TypeError(f"a stage that writes has nothing to train, and was asked for it: {arguments}")


@dataclass(frozen=True)
class ModelPlan:
    """One model, and the stages that make it."""

    name: str
    """Of its cells and folder, unlike that of any other model of the run."""
    seed: int
    stages: Sequence[Stage]
    variant: Mapping[str, Any] = field(default_factory=dict)
    """Facts that tell it from other models of its seed, as JSON values, such as the way of pruning."""
    needs: Sequence[tuple[str, str]] = ()
    """Stages of models that are planned before it, whose folders its own stages read: model and stage."""
    serves: bool = False
    """True where it is made for the stages of others, such as a teacher: it stands among the folders of stages, and is
    there as long as a later model needs it, kept or not."""


@dataclass(frozen=True)
class Source:
    """Data that the models of a run are trained and scored on."""

    name: str
    """Key of the task, or name of the corpus."""
    digest: str
    """The identity of everything that numbers depend on beside encoder and settings: sentences, labels, a teacher."""
    facts: Mapping[str, Any]
    """For the manifest."""
    tasks: Sequence[Task] = ()
    """Tasks of which it is written down which sentence is in which split, where that was decided here."""


@dataclass(frozen=True)
class Baseline:
    """Scores of an answer that reads no encoder, on the same data: rows of a table of their own."""

    name: str
    """In the column `model`."""
    seed: int
    n_train: int
    """Examples that it learned from."""
    score: Callable[[Accelerator], Sequence[SplitScore]]


@dataclass(frozen=True)
class RunPlan:
    """All that a run makes."""

    models: Sequence[ModelPlan]
    source: Source
    baselines: Sequence[Baseline] = ()
    """Answers that the models are compared with."""

    def __post_init__(self) -> None:
        names = [model.name for model in self.models]
        if len(set(names)) < len(names):  # each would find what the other left
            raise ValueError(f"models of a run: expected different names, got {', '.join(names)}")
        last = {model.stages[-1].name for model in self.models if not model.serves}
        if len(last) > 1:  # tables of a run are of one stage
            raise ValueError(f"models of a run: expected one name of their last stages, got {', '.join(sorted(last))}")


@dataclass(frozen=True)
class Recipe:
    """A way of training: a row of the registry's table `recipes`."""

    settings: type[RecipeSettings]
    """Its flags."""
    plan: Callable[[Any, Origin, Reporter], RunPlan]
    """Settings, encoder and reporter -> what is to be made. Raises InputError for data that cannot be used."""
    ranges: Mapping[str, Range]
    """Of its settings by their names."""
    check: Callable[[Any], None] = lambda settings: None
    """Refuses, by an InputError, settings in range that do not go together."""
    needs: Sequence[Need] = ()
    """Conditions under which its own settings have an effect: whoever sets them without is told."""
    seeds_depend: bool = False
    """True where the models of other seeds depend on what is found with the first one."""
    gentle: Mapping[str, Any] = field(default_factory=dict)
    """Settings under which any model learns an easy task in 120 steps: the conformance tests try that."""
    origin: Callable[[Any, Callable[[str], None]], Origin] | None = None
    """Settings and a taker of warnings -> what the run starts from, where that is more, or other, than an encoder that
    a classifier of the registry can be put on. Raises InputError for what cannot be used."""
    rounds: bool = False
    """True where values are rounded to few levels: sums in another order may fall on another one, and gradients move
    by more than the rounding of float32."""
    tiny: Callable[[Path], Mapping[str, Any]] | None = None
    """Writes a little data into a folder and gives the settings for trying the recipe on it, where that is no labelled
    task: the conformance tests do."""
