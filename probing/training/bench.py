"""Bench that a stage works at, and its place in its chain and on disk."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from probing.progress import Reporter
from probing.settings.training import RecipeSettings
from probing.training.plan import ModelPlan, Origin, Source, Stage


@dataclass(frozen=True)
class Bench:
    """Tools that all stages of a run work with."""

    settings: RecipeSettings
    origin: Origin
    """The encoder that the run starts from."""
    source: Source
    """Data that its models are trained and scored on."""
    accelerator: Accelerator
    folder: Path
    """Of the run."""
    reporter: Reporter
    left: dict[tuple[str, str], str] = field(default_factory=dict)
    """Model and stage -> digest of the folder that it left, of all that are done."""

    def facts(self) -> dict[str, Any]:
        """Facts that the numbers depend on beside the settings, for a manifest."""
        bfloat16 = self.accelerator.mixed_precision == "bf16"
        checkpoint = self.origin.checkpoint
        return {
            "device": str(self.accelerator.device),
            "dtype": "bfloat16" if bfloat16 else "float32",
            "processes": self.accelerator.num_processes,
            "seeds": list(self.settings.seeds),
            "encoder": {
                "checkpoint": checkpoint.name,
                "revision": checkpoint.revision,
                "digest": self.origin.digest,
                "layers": self.origin.layer_names,
            },
            "tasks": {self.source.name: self.source.facts},
        }


@dataclass(frozen=True)
class Place:
    """Place of a stage."""

    plan: ModelPlan
    stage: Stage
    name: str
    """Of its cell: the model's, and in a chain of several stages its own behind it."""
    seed: int
    """Of all that it draws."""
    before: Mapping[str, Path]
    """The folders that the stages before it leave, and those that its model needs, by their names; the latter also by
    `model/stage`."""
    cell: Path
    """File of its rows."""
    artifact: Path
    """Folder that it leaves."""
    key: str
    """Key of everything that its numbers depend on."""

    @property
    def state(self) -> Path:
        """File of a training that is not finished."""
        return self.cell.with_suffix(".pt")

    @property
    def is_last(self) -> bool:
        """True where it leaves the model that the chain is for."""
        return self.stage is self.plan.stages[-1] and not self.plan.serves
