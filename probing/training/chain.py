"""One model of a training run: built, trained, scored, kept."""

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from transformers import PreTrainedTokenizerFast

from probing.digests import digest_json
from probing.encoders.checkpoints import Checkpoint, find_checkpoint, load_model, load_tokenizer
from probing.encoders.inputs import ModelInputs
from probing.encoders.transformer import choose_dtype, choose_limit, compute_digest
from probing.progress import Narrator, peak_rss
from probing.randomness import derived_seed, stream
from probing.records import SPLITS, InputError, Task
from probing.registry import CLASSIFIERS
from probing.settings.training import TrainSettings
from probing.store.environment import describe_environment
from probing.tables import TrainedModel, TrainingRow
from probing.training.cells import TrainedCell, find_cell, keep_cell
from probing.training.data.labelled import TokenisedSplit
from probing.training.evaluation.classification import (
    SplitScore,
    has_diverged,
    read_split,
    score_majority,
    score_reading,
)
from probing.training.loop import Job, train_model
from probing.training.plan import PlannedModel
from probing.training.state import Progress


def make_accelerator(settings: TrainSettings) -> Accelerator:
    """Device, precision and processes, as `accelerate launch` or the settings say."""
    AcceleratorState._reset_state(reset_partial_state=True)  # a second run in one process may want another precision
    device = "cuda" if settings.device == "auto" and torch.cuda.is_available() else settings.device
    dtype = choose_dtype(settings.dtype, "cpu" if device == "auto" else device)
    if device.startswith("cuda:"):
        torch.cuda.set_device(torch.device(device))
    return Accelerator(
        cpu=not device.startswith("cuda"),
        mixed_precision="bf16" if dtype == "bfloat16" else "no",
        log_with="tensorboard" if settings.tensorboard else None,
        project_dir=".",  # asked for here, set for each model
    )


class Trainer:
    """Makes the models of one run, one after the other.

    Args:
        settings: of the run.
        task: what is learned.
        narrator: who tells of each model.

    Raises:
        InputError: a checkpoint that cannot be used, or layers that it does not have.
    """

    def __init__(self, settings: TrainSettings, task: Task, narrator: Narrator):
        self.settings, self.task, self.narrator = settings, task, narrator
        self.checkpoint: Checkpoint = find_checkpoint(settings.checkpoint)
        self.tokenizer: PreTrainedTokenizerFast = load_tokenizer(self.checkpoint)
        encoder = load_model(self.checkpoint)
        self.digest = compute_digest(encoder, self.tokenizer)
        n_blocks = encoder.config.num_hidden_layers
        if settings.freeze_up_to > n_blocks:
            raise InputError(f"--freeze-up-to {settings.freeze_up_to}: the encoder has blocks 1 to {n_blocks}")
        self.layer_names = ("embeddings", *map(str, range(1, n_blocks + 1)))
        limit = choose_limit(settings.max_length, encoder, self.tokenizer)
        inputs = ModelInputs(self.tokenizer, encoder.config, limit)
        self.splits = {name: TokenisedSplit(inputs, task.splits[name]) for name in SPLITS}
        self.accelerator = make_accelerator(settings)

    def make(self, folder: Path, plan: PlannedModel) -> TrainedCell:
        """One model's rows, trained now or found in the folder."""
        path = folder / "cells" / f"{plan.name}.json"
        key = digest_json([self.digest, self.task.digest, str(self.accelerator.mixed_precision)])
        cell = find_cell(path, key)
        if cell is None:
            cell = self._train(folder, plan)
            if self.accelerator.is_main_process:
                keep_cell(path, key, cell)
                path.with_suffix(".pt").unlink(missing_ok=True)
        return cell

    def describe(self) -> dict[str, Any]:
        """What the numbers depend on beside the settings."""
        return describe_environment() | {
            "device": str(self.accelerator.device),
            "dtype": "bfloat16" if self.accelerator.mixed_precision == "bf16" else "float32",
            "processes": self.accelerator.num_processes,
            "seeds": list(self.settings.seeds),
            "encoder": {
                "checkpoint": self.checkpoint.name,
                "revision": self.checkpoint.revision,
                "digest": self.digest,
                "layers": self.layer_names,
            },
            "tasks": {
                self.task.name: {"origin": self.task.origin, "digest": self.task.digest}
                | {split: len(self.task.splits[split]) for split in SPLITS}
            },
        }

    def _train(self, folder: Path, plan: PlannedModel) -> TrainedCell:
        job = self._make_job(folder, plan)
        self._open_events(folder, plan)
        with self.narrator.stage(plan.name, job.n_steps, "steps") as advance:
            progress = train_model(job, self.accelerator, advance)
            zeros = [transform.finish(job.model) for transform in job.transforms]
            scores = self._score(job, plan)
        kept = self._keep_model(folder, job, plan)
        self.narrator.note(plan.name, tokens=progress.n_tokens, tokens_per_s=progress.n_tokens / progress.seconds)
        facts = self._identify(plan)
        return TrainedCell(
            self._list_scores(facts, progress, scores, max(zeros, default=0.0), kept), self._list_log(facts, progress)
        )

    def _open_events(self, folder: Path, plan: PlannedModel) -> None:
        """TensorBoard's events of each model in a folder of its own; nothing where none were asked for."""
        if self.settings.tensorboard:
            self.accelerator.project_configuration.logging_dir = str(folder / "events")
            self.accelerator.init_trackers(plan.name)

    def _make_job(self, folder: Path, plan: PlannedModel) -> Job:
        n_labels = 1 if self.task.graded else len(self.task.classes)
        with torch.random.fork_rng(devices=[]):
            seed = derived_seed("head", plan.seed)
            torch.manual_seed(seed)
            build = CLASSIFIERS.load(self.settings.model)
            generator = torch.Generator().manual_seed(seed)
            model = build(self.checkpoint, n_labels, self.settings.dropout, generator)
        if n_labels > 1:
            model.config.id2label = dict(enumerate(self.task.classes))
            model.config.label2id = {label: number for number, label in enumerate(self.task.classes)}
        state = folder / "cells" / f"{plan.name}.pt"
        metric = self.task.spec.metric
        return Job(
            model, plan.objective, plan.make_transforms(), self.splits["train"], self.splits["dev"], metric,
            self.settings, plan.seed, state,
        )  # fmt: skip

    def _score(self, job: Job, plan: PlannedModel) -> list[SplitScore]:
        found = []
        for split in ("dev", "test"):
            reading = read_split(job.model, self.splits[split], self.accelerator)
            for metric in self.task.spec.metrics:
                rng = stream(plan.seed, "interval", self.task.name, split)
                majority = score_majority(self.task, split, metric)
                value, low, high = score_reading(reading, metric, rng).tolist()
                found.append(SplitScore(split, metric, value, low, high, majority))
        return found

    def _keep_model(self, folder: Path, job: Job, plan: PlannedModel) -> str:
        if not self.settings.keep_models or not self.accelerator.is_main_process:
            return ""
        path, part = folder / "models" / plan.name, folder / "models" / f".{plan.name}"
        shutil.rmtree(part, ignore_errors=True)
        job.model.save_pretrained(part)
        self.tokenizer.save_pretrained(part)
        shutil.rmtree(path, ignore_errors=True)
        part.rename(path)
        return str(path.relative_to(folder))

    def _identify(self, plan: PlannedModel) -> dict[str, Any]:
        """The columns that all rows of a model have in common."""
        facts = {"recipe": self.settings.recipe, "model": self.settings.model, "checkpoint": self.checkpoint.name}
        facts |= {
            "task": self.task.name,
            "method": plan.method,
            "sparsity": plan.sparsity,
            "penalty": plan.penalty,
            "seed": plan.seed,
        }
        return facts

    def _list_scores(
        self, facts: dict[str, Any], progress: Progress, scores: list[SplitScore], zeros: float, kept: str
    ) -> list[TrainedModel]:
        best = progress.best_step if self.settings.early_stopping else progress.step
        facts = facts | {"revision": self.checkpoint.revision, "steps": progress.step, "best_step": best}
        facts |= {"achieved_sparsity": zeros, "n_train": len(self.splits["train"]), "seconds": progress.seconds}
        facts |= {"tokens_per_s": progress.n_tokens / progress.seconds, "peak_rss_bytes": peak_rss(), "folder": kept}
        return [
            TrainedModel(
                **facts,
                **asdict(score),
                n=len(self.splits[score.split]),
                diverged=has_diverged(score.value, score.majority),
            )
            for score in scores
        ]

    def _list_log(self, facts: dict[str, Any], progress: Progress) -> list[TrainingRow]:
        names = self.layer_names
        return [
            TrainingRow(**facts, step=step, quantity=quantity, layer=layer, value=value,
                        layer_name=names[layer] if layer >= 0 else "")
            for step, quantity, layer, value in progress.rows
        ]  # fmt: skip
