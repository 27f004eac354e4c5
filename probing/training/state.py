"""Where a training stands: what a killed run needs to go on as if nothing had happened."""

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel


@dataclass
class Progress:
    """What a training has done and measured so far."""

    step: int = 0
    rows: list[tuple[int, str, int, float]] = field(default_factory=list)
    """The log: step, quantity, layer (-1: none), value."""
    loss: float = 0.0
    """Of the last step."""
    loss_sum: float = 0.0
    loss_count: int = 0
    """Steps since the loss was last logged."""
    best_score: float = float("-inf")
    best_step: int = 0
    readings_without_better: int = 0
    n_tokens: int = 0
    seconds: float = 0.0
    """Of the steps, evaluations not counted."""

    def add(self, quantity: str, value: float, layer: int = -1) -> None:
        """Log a number at the present step."""
        self.rows.append((self.step, quantity, layer, value))

    def count(self, loss: float, n_tokens: int, seconds: float) -> None:
        """Note what a step was."""
        self.loss_sum, self.loss_count = self.loss_sum + loss, self.loss_count + 1
        self.n_tokens, self.seconds = self.n_tokens + n_tokens, self.seconds + seconds

    def take_mean_loss(self) -> float:
        """The mean loss since it was last taken."""
        mean = self.loss_sum / self.loss_count
        self.loss_sum, self.loss_count = 0.0, 0
        return mean

    def note_reading(self, score: float) -> bool:
        """Whether a dev score is the best so far."""
        better = score > self.best_score
        self.readings_without_better = 0 if better else self.readings_without_better + 1
        if better:
            self.best_score, self.best_step = score, self.step
        return better


def save_state(
    path: Path,
    model: PreTrainedModel,
    optimiser: torch.optim.Optimizer,
    progress: Progress,
    best: dict[str, Tensor] | None,
) -> None:
    """Write weights, optimiser, generators and progress, whole or not at all."""
    state = {
        "model": model.state_dict(),
        "optimiser": optimiser.state_dict(),
        "progress": asdict(progress),
        "best": best,
        "generator": torch.get_rng_state(),
        "cuda_generators": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}")
    with part.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def load_state(
    path: Path, model: PreTrainedModel, optimiser: torch.optim.Optimizer
) -> tuple[Progress, dict[str, Tensor] | None]:
    """Put everything back as it was saved."""
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    torch.set_rng_state(state["generator"])
    if state["cuda_generators"]:
        torch.cuda.set_rng_state_all(state["cuda_generators"])
    return Progress(**state["progress"]), state["best"]
