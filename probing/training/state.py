"""State of a training: what a killed one needs to go on as if nothing had happened."""

import io
import os
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from math import nan
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from uuid import uuid4

import torch
from torch import Tensor
from transformers import PreTrainedModel

from probing.atomic_files import find_refusal
from probing.training.contracts import Objective

_DIGEST_BYTES = sha256().digest_size


class StateError(Exception):
    """A stored state that cannot be gone on from; the message says why."""


@dataclass
class Progress:
    """Steps that a training has done, and what it has measured so far."""

    step: int = 0
    rows: list[tuple[int, str, int, float]] = field(default_factory=list)
    """The log: step, quantity, layer (-1: none), value."""
    loss: float = 0.0
    """Of the last step."""
    loss_sums: dict[str, float] = field(default_factory=dict)
    """By quantity, over the steps since the losses were last logged."""
    loss_count: int = 0
    """Number of those steps."""
    best_score: float = float("-inf")
    best_step: int = 0
    evaluations_without_better: int = 0
    dev_loss: float = nan
    """Of the last evaluation; no number where it measures none."""
    reached: bool = False
    """True where an evaluation found the loss on dev that training was to end at."""
    n_tokens: int = 0
    seconds: float = 0.0
    """Of the steps, evaluations not counted."""

    @property
    def token_rate(self) -> float:
        """Tokens in each second of the steps; 0 where there was none."""
        return self.n_tokens / self.seconds if self.seconds else 0.0

    def add(self, quantity: str, value: float, layer: int = -1) -> None:
        """Log a number at the present step."""
        self.rows.append((self.step, quantity, layer, value))

    def count(self, losses: dict[str, float], n_tokens: int, seconds: float) -> None:
        """Note what a step was; of its losses, by quantity, the first one is the whole."""
        self.loss = next(iter(losses.values()))
        self.loss_sums = {name: self.loss_sums.get(name, 0.0) + value for name, value in losses.items()}
        self.step, self.loss_count = self.step + 1, self.loss_count + 1
        self.n_tokens, self.seconds = self.n_tokens + n_tokens, self.seconds + seconds

    def take_mean_losses(self) -> dict[str, float]:
        """The mean losses since they were last taken."""
        means = {name: total / self.loss_count for name, total in self.loss_sums.items()}
        self.loss_sums, self.loss_count = {}, 0
        return means

    def note_loss(self, loss: float, aim: float) -> None:
        """Keep an evaluation's loss on dev, and whether it is the one to end at, if there is one."""
        self.dev_loss, self.reached = loss, aim > 0 and loss <= aim

    def note_score(self, score: float) -> bool:
        """Keep a headline score; true where it is the best so far."""
        better = score > self.best_score
        self.evaluations_without_better = 0 if better else self.evaluations_without_better + 1
        if better:
            self.best_score, self.best_step = score, self.step
        return better


@dataclass
class Trained:
    """All that moves while a model is trained."""

    model: PreTrainedModel
    objective: Objective
    optimiser: torch.optim.Optimizer
    progress: Progress = field(default_factory=Progress)
    best: dict[str, Tensor] | None = None
    """The best model so far, where it is kept."""


def save_state(path: Path, key: str, trained: Trained) -> None:
    """Write weights, optimiser, generators and progress, whole or not at all, with a checksum behind them.

    Args:
        path: of the file.
        key: what the numbers depend on.
        trained: what is written.

    Raises:
        OSError: with the path as its `filename`; what was there before stands.
    """
    state = {
        "key": key,
        "model": trained.model.state_dict(),
        "objective": trained.objective.state_dict(),
        "optimiser": trained.optimiser.state_dict(),
        "progress": asdict(trained.progress),
        "best": trained.best,
        "generator": torch.get_rng_state(),
        "cuda_generators": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with part.open("wb") as file:
            summing: Any = _Summing(file)
            torch.save(state, summing)
            file.write(summing.digest.digest())
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if refusal := find_refusal(error, path):
            raise refusal from error
        raise


def load_state(path: Path, key: str, trained: Trained) -> None:
    """Put everything back as it was saved.

    Raises:
        StateError: the file is damaged, or of a training on other data, of another encoder or with other settings;
            nothing has been changed then.
    """
    state = _read_state(path, key)
    trained.model.load_state_dict(state["model"])
    trained.objective.load_state_dict(state["objective"])
    trained.optimiser.load_state_dict(state["optimiser"])
    torch.set_rng_state(state["generator"])
    if state["cuda_generators"]:
        torch.cuda.set_rng_state_all(state["cuda_generators"])
    trained.progress, trained.best = Progress(**state["progress"]), state["best"]


def _read_state(path: Path, key: str) -> dict[str, Any]:
    try:
        content = path.read_bytes()
        if sha256(content[:-_DIGEST_BYTES]).digest() != content[-_DIGEST_BYTES:]:
            raise StateError("damaged: its checksum does not fit")
        state = torch.load(io.BytesIO(content[:-_DIGEST_BYTES]), map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, UnpicklingError) as error:
        raise StateError(f"cannot be read ({str(error).strip().splitlines()[0]})") from None
    if not isinstance(state, dict) or state.get("key") != key:
        raise StateError("of a training on other data, of another encoder, or by another version")
    return state


class _Summing(io.RawIOBase):
    """A file that is written to, with the SHA-256 of all that was."""

    def __init__(self, file: Any):
        self._file, self.digest = file, sha256()

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        self.digest.update(content)
        return self._file.write(content)
