"""A finished model of a training run: what it left, kept so that a killed run does not train it again."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from probing.atomic_files import write_atomically
from probing.tables import TrainedModel, TrainingRow


@dataclass(frozen=True)
class TrainedCell:
    """The rows of one model in the tables of its run."""

    models: Sequence[TrainedModel]
    """One per split and metric."""
    log: Sequence[TrainingRow]


def find_cell(path: Path, key: str) -> TrainedCell | None:
    """A finished model, if it was made from the same data and encoder (`key`)."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if content.get("key") != key:
        return None
    models = [TrainedModel(**row) for row in content["models"]]
    return TrainedCell(models, [TrainingRow(**row) for row in content["log"]])


def keep_cell(path: Path, key: str, cell: TrainedCell) -> None:
    """Write a finished model's rows, whole or not at all."""
    rows = {"key": key, "models": [asdict(row) for row in cell.models], "log": [asdict(row) for row in cell.log]}
    write_atomically(path, json.dumps(rows).encode())
