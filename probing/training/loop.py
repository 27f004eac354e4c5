"""The one training loop: every recipe is this loop with data, an objective, transforms and an evaluation of its own.

AdamW, linear warm-up and decay, clipped gradients. What a step computes depends on seed and step alone, so that a
killed run that goes on from its last state gives the same numbers as one that was never stopped.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from math import ceil, isfinite, nan
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from transformers import PreTrainedModel

from probing.randomness import derived_seed
from probing.training.contracts import Batch, Data, Evaluation, HasMeasures, Objective, Pace, Transform
from probing.training.optimiser import Rates, gradient_norms, make_optimiser, set_rates
from probing.training.state import Progress, StateError, Trained, load_state, save_state

_EVALUATIONS = 20
"""Over a training, where its pace does not say."""
_SAVING_S = 120.0
"""Seconds of work that a killed run may lose, where its pace does not say."""


@dataclass(frozen=True)
class Job:
    """One model to train."""

    model: PreTrainedModel
    data: Data
    objective: Objective
    transforms: Sequence[Transform]
    evaluation: Evaluation
    rates: Rates
    pace: Pace
    seed: int
    state: Path
    """Folder for the state of a training that is not finished."""
    key: str = ""
    """Key of what the numbers depend on: a state with another key is not gone on from."""

    @property
    def n_steps(self) -> int:
        """Optimiser steps of the whole training."""
        return self.pace.max_steps or ceil(self.pace.epochs * self.data.n_steps_per_epoch)

    @property
    def evaluate_every(self) -> int:
        """Steps between two evaluations."""
        return self.pace.evaluate_every or max(1, self.n_steps // _EVALUATIONS)


@dataclass(frozen=True)
class Reporter:
    """Who hears of a training."""

    advance: Callable[[float], None] = lambda steps: None
    """Of the steps that were done."""
    warn: Callable[[str], None] = lambda line: None


def train_model(job: Job, accelerator: Accelerator, reporter: Reporter) -> Progress:
    """Train one model, in place.

    With early stopping the model that is left is the one of the best headline score. Training ends when the loss is
    no number any more, and where it is to go to a loss on dev, at the first evaluation that finds it.

    Args:
        job: what to train, and on what. Its model stands on the accelerator's device.
        accelerator: device, precision and processes.
        reporter: who hears of it.
    """
    try:
        return _Training(job, accelerator, reporter).run()
    finally:
        accelerator.free_memory()  # it keeps every model that it was given


class _Training:
    def __init__(self, job: Job, accelerator: Accelerator, reporter: Reporter):
        self.job, self.pace, self.accelerator, self.reporter = job, job.pace, accelerator, reporter
        for transform in job.transforms:
            transform.apply(job.model)
        # What the objective trains beside the model; only the model is wrapped where there are several processes.
        groups = job.objective.parameter_groups()
        self.beside: list[nn.Parameter] = [parameter for group in groups for parameter in group["params"]]
        groups += [group for transform in job.transforms for group in transform.parameter_groups()]
        self.trained = Trained(job.model, job.objective, make_optimiser(job.model, job.rates, groups))
        self.model: Any = accelerator.prepare_model(job.model.train())
        self._saved_at = time.perf_counter()

    @property
    def progress(self) -> Progress:
        return self.trained.progress

    def run(self) -> Progress:
        with _seeded(derived_seed("training", self.job.seed), self.accelerator.device):
            self._resume()
            self.reporter.advance(self.progress.step)
            if not self.progress.rows:
                self._evaluate()
            while not self._finished():
                self._step(self.job.data.batch(self.progress.step))
                self._after_step()
                self.reporter.advance(1)
        if self.pace.until_dev_loss:
            self._note_end()
        if self.trained.best is not None:
            self.job.model.load_state_dict(self.trained.best)
        return self.progress

    def _finished(self) -> bool:
        progress, patience = self.progress, self.pace.early_stopping
        stale = bool(patience) and progress.evaluations_without_better >= patience
        done = progress.step >= self.job.n_steps or progress.reached
        return done or stale or not isfinite(progress.loss)

    def _note_end(self) -> None:
        """Log whether the loss on dev that was aimed at was found; loudly where it was not."""
        progress, aim = self.progress, self.pace.until_dev_loss
        progress.add("reached", float(progress.reached))
        if not progress.reached:
            self.reporter.warn(
                f"dev_loss {aim:g} was NOT reached in {progress.step} steps, where it is "
                f"{progress.dev_loss:.4f}; this model is not at equal loss with others: train it longer (--max-steps)"
            )

    def _step(self, batch: Batch) -> None:
        start, progress, optimiser, rates = time.perf_counter(), self.progress, self.trained.optimiser, self.job.rates
        self._schedule(progress.step)
        factor = set_rates(optimiser, progress.step, self.job.n_steps, rates.warmup_share)
        losses = self._backward(batch)
        logged = (progress.step + 1) % self.pace.log_every == 0
        norms = gradient_norms(self.job.model) if logged else []
        if rates.max_grad_norm:
            self.accelerator.clip_grad_norm_([*self.model.parameters(), *self.beside], rates.max_grad_norm)
        optimiser.step()
        optimiser.zero_grad()
        progress.count(losses, batch.n_tokens, time.perf_counter() - start)
        if logged:
            self._log(norms, factor * rates.learning_rate)

    def _backward(self, batch: Batch) -> dict[str, float]:
        """Gradients of the mean loss over a batch, its parts and processes adding up; that loss, then its parts."""
        accelerator = self.accelerator
        parts = [part for part in np.array_split(np.arange(len(batch)), self.pace.accumulation_steps) if len(part)]
        losses: dict[str, float] = {}
        for number, part in enumerate(parts):
            share = part[accelerator.process_index :: accelerator.num_processes]
            # A process without an example of its own still takes part in adding up.
            weight = len(share) * accelerator.num_processes / len(batch)
            examples = batch.collate(share if len(share) else part[:1], str(accelerator.device))
            with nullcontext() if number == len(parts) - 1 else accelerator.no_sync(self.model):
                with accelerator.autocast():
                    named = self._losses(examples, number, weight)
                penalties = [one for transform in self.job.transforms if (one := transform.penalty()) is not None]
                accelerator.backward(named["loss"] + sum(penalties) / len(parts))
            values = torch.stack([loss.detach().float() for loss in named.values()]).tolist()
            losses = {name: losses.get(name, 0.0) + value for name, value in zip(named, values, strict=True)}
        self._share_gradients()
        totals: Any = accelerator.reduce(torch.tensor(list(losses.values()), device=accelerator.device), "mean")
        return dict(zip(losses, totals.tolist(), strict=True))

    def _losses(self, examples: Any, part: int, weight: float) -> dict[str, Tensor]:
        """The loss over a part of a batch and, where it has several, the losses that it is the sum of."""
        seed = derived_seed("objective", self.job.seed, self.progress.step, part, self.accelerator.process_index)
        generator = torch.Generator(self.accelerator.device).manual_seed(seed)
        objective = self.job.objective
        found = objective.losses(self.model, examples, generator)
        named: dict[str, Any] = {"loss": sum(objective.weights[name] * loss for name, loss in found.items()) * weight}
        return named | ({f"loss_{name}": loss * weight for name, loss in found.items()} if len(found) > 1 else {})

    def _share_gradients(self) -> None:
        """The mean over processes, of the gradients of what is not wrapped."""
        if self.accelerator.num_processes > 1:
            for parameter in self.beside:
                if parameter.grad is not None:
                    parameter.grad = self.accelerator.reduce(parameter.grad, "mean")  # pyright: ignore

    def _after_step(self) -> None:
        step, every = self.progress.step, self.pace.checkpoint_every
        evaluated = step % self.job.evaluate_every == 0 or step == self.job.n_steps
        if evaluated:
            self._evaluate()
        late = time.perf_counter() - self._saved_at > _SAVING_S
        due = step % every == 0 if every else evaluated and late
        if due and step < self.job.n_steps and self.accelerator.is_main_process:
            save_state(self.job.state, self.job.key, self.trained)
            self._saved_at = time.perf_counter()

    def _evaluate(self) -> None:
        job, progress = self.job, self.progress
        self._schedule(progress.step)
        measured = job.evaluation.measure(job.model, self.accelerator)
        for quantity, value in measured.items():
            progress.add(quantity, value)
        for transform in job.transforms:
            for quantity, layer, value in transform.measure():
                progress.add(quantity, value, layer)
        self._send()
        progress.note_loss(measured.get("dev_loss", nan), self.pace.until_dev_loss)
        better = progress.note_score(measured[job.evaluation.headline])
        if better and self.pace.early_stopping:
            state = job.model.state_dict()
            self.trained.best = {name: tensor.detach().cpu().clone() for name, tensor in state.items()}

    def _log(self, norms: Sequence[float], rate: float) -> None:
        progress, model = self.progress, self.job.model
        for quantity, loss in progress.take_mean_losses().items():
            progress.add(quantity, loss)
        progress.add("learning_rate", rate)
        for layer, norm in enumerate(norms):
            progress.add("gradient_norm", norm, layer)
        for quantity, layer, value in model.measure() if isinstance(model, HasMeasures) else ():
            progress.add(quantity, value, layer)
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
        if not self.job.state.exists():
            return
        try:
            load_state(self.job.state, self.job.key, self.trained)
        except StateError as error:
            self.reporter.warn(f"{self.job.state}: {error}; this training begins anew")


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Dropout draws from torch's own generator: set for one model, and put back after it."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
