"""The one training loop: every recipe is this loop with an objective and transforms of its own.

AdamW, linear warm-up and decay, clipped gradients. What a step computes depends on seed and step alone, so that a
killed run that goes on from its last checkpoint gives the same numbers as one that was never stopped.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from math import ceil, isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from transformers import PreTrainedModel

from probing.randomness import derived_seed, stream
from probing.settings.training import TrainSettings
from probing.training.contracts import Transform
from probing.training.data.labelled import TokenisedSplit, count_batches, iterate_batches
from probing.training.evaluation.classification import read_split, score_reading
from probing.training.objectives.supervised import Objective
from probing.training.optimiser import freeze_layers, gradient_norms, make_optimiser, mix_of, set_rates
from probing.training.state import Progress, load_state, save_state

_READINGS = 20
"""Dev scores over a run, where the settings do not say."""
_SAVING_S = 120.0
"""Seconds of work that a killed run may lose, where the settings do not say."""


@dataclass(frozen=True)
class Job:
    """One model to train."""

    model: PreTrainedModel
    objective: Objective
    transforms: Sequence[Transform]
    train: TokenisedSplit
    dev: TokenisedSplit
    metric: str
    settings: TrainSettings
    seed: int
    state: Path
    """Where the checkpoint is kept until the model is ready."""

    @property
    def n_steps(self) -> int:
        """Optimiser steps of the whole training."""
        per_epoch = count_batches(len(self.train), self.settings.batch_size)
        return self.settings.max_steps or ceil(self.settings.epochs * per_epoch)

    @property
    def evaluate_every(self) -> int:
        """Steps between two readings of the dev score."""
        return self.settings.evaluate_every or max(1, self.n_steps // _READINGS)


def train_model(job: Job, accelerator: Accelerator, advance: Callable[[float], None]) -> Progress:
    """Train one model, in place.

    With early stopping the model that is left is the one of the best dev score. Training ends when the loss is no
    number any more.

    Args:
        job: what to train, and on what.
        accelerator: device, precision and processes.
        advance: told of each step.
    """
    return _Training(job, accelerator).run(advance)


class _Training:
    def __init__(self, job: Job, accelerator: Accelerator):
        self.job, self.settings, self.accelerator = job, job.settings, accelerator
        job.model.to(accelerator.device)
        freeze_layers(job.model, job.settings.freeze_up_to)
        for transform in job.transforms:
            transform.apply(job.model)
        groups = [group for transform in job.transforms for group in transform.parameter_groups()]
        self.optimiser = make_optimiser(job.model, job.settings, groups)
        self.model: Any = accelerator.prepare_model(job.model.train())
        self.progress = Progress()
        self.best: dict[str, torch.Tensor] | None = None
        self._saved_at = time.perf_counter()

    def run(self, advance: Callable[[float], None]) -> Progress:
        with _seeded(derived_seed("training", self.job.seed), self.accelerator.device):
            self._resume()
            advance(self.progress.step)
            if not self.progress.rows:
                self._evaluate()
            batches = iterate_batches(
                self.job.train.lengths, self.settings.batch_size, self.job.seed, self.progress.step
            )
            while not self._finished():
                self._step(next(batches))
                self._after_step()
                advance(1)
        if self.best is not None:
            self.job.model.load_state_dict(self.best)
        return self.progress

    def _finished(self) -> bool:
        progress, patience = self.progress, self.settings.early_stopping
        stale = bool(patience) and progress.readings_without_better >= patience
        return progress.step >= self.job.n_steps or stale or not isfinite(progress.loss)

    def _step(self, rows: np.ndarray) -> None:
        start, progress = time.perf_counter(), self.progress
        self._schedule(progress.step)
        factor = set_rates(self.optimiser, progress.step, self.job.n_steps, self.settings.warmup_share)
        progress.loss = self._backward(rows)
        logged = (progress.step + 1) % self.settings.log_every == 0
        norms = gradient_norms(self.job.model) if logged else []
        if self.settings.max_grad_norm:
            self.accelerator.clip_grad_norm_(self.model.parameters(), self.settings.max_grad_norm)
        self.optimiser.step()
        self.optimiser.zero_grad()
        progress.step += 1
        progress.count(progress.loss, int(self.job.train.lengths[rows].sum()), time.perf_counter() - start)
        if logged:
            self._log(norms, factor * self.settings.learning_rate)

    def _backward(self, rows: np.ndarray) -> float:
        """Gradients of the mean loss over a batch, its parts and processes adding up; the loss."""
        accelerator, total = self.accelerator, 0.0
        parts = [part for part in np.array_split(rows, self.settings.accumulation_steps) if len(part)]
        for number, part in enumerate(parts):
            share = part[accelerator.process_index :: accelerator.num_processes]
            # A process without a sentence of its own still takes part in adding up.
            weight = len(share) * accelerator.num_processes / len(rows)
            batch = self.job.train.collate(share if len(share) else part[:1], str(accelerator.device))
            last = number == len(parts) - 1
            with nullcontext() if last else accelerator.no_sync(self.model):
                with accelerator.autocast():
                    loss = self.job.objective(self.model, batch) * weight
                penalties = [one for transform in self.job.transforms if (one := transform.penalty()) is not None]
                accelerator.backward(loss + sum(penalties) / len(parts))
            total += loss.item()
        return accelerator.reduce(torch.tensor(total, device=accelerator.device), "mean").item()  # pyright: ignore

    def _after_step(self) -> None:
        step = self.progress.step
        read = step % self.job.evaluate_every == 0 or step == self.job.n_steps
        if read:
            self._evaluate()
        every = self.settings.checkpoint_every
        late = time.perf_counter() - self._saved_at > _SAVING_S
        if (
            self.accelerator.is_main_process
            and step < self.job.n_steps
            and (step % every == 0 if every else read and late)
        ):
            save_state(self.job.state, self.job.model, self.optimiser, self.progress, self.best)
            self._saved_at = time.perf_counter()

    def _evaluate(self) -> None:
        job, progress = self.job, self.progress
        self._schedule(progress.step)
        reading = read_split(self.job.model, job.dev, self.accelerator)
        score = float(score_reading(reading, job.metric, stream(job.seed, "dev", progress.step))[0])
        progress.add("dev_loss", reading.loss)
        progress.add("dev_score", score)
        for transform in job.transforms:
            for quantity, layer, value in transform.measure():
                progress.add(quantity, value, layer)
        self._send()
        better = progress.note_reading(score)
        if better and self.settings.early_stopping:
            self.best = {name: tensor.detach().cpu().clone() for name, tensor in job.model.state_dict().items()}

    def _log(self, norms: Sequence[float], rate: float) -> None:
        progress, mix = self.progress, mix_of(self.job.model)
        progress.add("loss", progress.take_mean_loss())
        progress.add("learning_rate", rate)
        for layer, norm in enumerate(norms):
            progress.add("gradient_norm", norm, layer)
        if mix is not None:
            first = len(norms) - len(mix.weights)
            for layer, weight in enumerate(mix.weights.tolist(), first):
                progress.add("weight", weight, layer)
            progress.add("gamma", mix.gamma.item())
        self._send()

    def _send(self) -> None:
        """To the trackers, if there are any, what the log has of this step."""
        rows = [row for row in self.progress.rows if row[0] == self.progress.step]
        numbers = {quantity if layer < 0 else f"{quantity}/{layer}": value for _, quantity, layer, value in rows}
        self.accelerator.log(numbers, step=self.progress.step)

    def _schedule(self, step: int) -> None:
        for transform in self.job.transforms:
            transform.before_step(step, self.job.n_steps)

    def _resume(self) -> None:
        if self.job.state.is_file():
            self.progress, self.best = load_state(self.job.state, self.job.model, self.optimiser)


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Dropout draws from torch's own generator: set for one model, and put back after it."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
