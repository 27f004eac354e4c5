"""The stages of KDLSQ-BERT: the teacher in full precision, and models in few bits that start from it."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from transformers import PreTrainedModel

from probing.digests import digest_json
from probing.encoders.blocks import find_backbone, find_blocks
from probing.encoders.checkpoints import load_classifier, load_config
from probing.encoders.classifiers import set_dropout
from probing.encoders.inner_states import check_scores
from probing.encoders.kdlsq_bert_model import KdlsqBertForSequenceClassification
from probing.encoders.model_facts import compute_digest
from probing.progress import Reporter
from probing.records import InputError
from probing.training.contracts import Objective, Transform
from probing.training.data.labelled import Labelled, LabelledData
from probing.training.evaluation.costs import measure_costs
from probing.training.evaluation.paired import PairedClassification
from probing.training.objectives.distillation import load_teacher
from probing.training.objectives.layer_distillation import LayerDistillation
from probing.training.objectives.supervised import compute_loss
from probing.training.plan import Origin, Source, Stage, Start
from probing.training.recipes.finetune import build_classifier, freeze, plan_stage
from probing.training.recipes.tiny_bert_stages import TeacherScores
from probing.training.transforms.quantisation import Grid, Quantisation

if TYPE_CHECKING:  # which plans with what stands here
    from probing.training.recipes.kdlsq_bert import KdlsqBertSettings

FEW_BITS = "few_bits"
"""Name of the stage that every arm ends in: tables read the stages of one name."""
TEACHER = "teacher"
_UNTRAINED = ("minmax", "initial")


class Workshop:
    """All that the stages of one run share.

    Args:
        settings: of the run.
        origin: the encoder.
        labelled: the task.
        reporter: who hears of the teacher's score.

    Raises:
        InputError: a task without classes, or a teacher that cannot teach it or be quantised.
    """

    def __init__(self, settings: "KdlsqBertSettings", origin: Origin, labelled: Labelled, reporter: Reporter):
        self.settings, self.origin, self.labelled, self.reporter = settings, origin, labelled, reporter
        if labelled.task.graded:
            raise InputError(
                f"--task {settings.task}: has scores and no classes, which kdlsq_bert has no teacher for; expected a "
                "task with classes"
            )
        self.given = load_teacher(settings.distill_from, labelled.task, origin) if settings.distill_from else None
        if self.given is not None:
            self._check_kind(self.given)
            KdlsqBertForSequenceClassification.from_classifier(deepcopy(self.given))
            self._check_layers(self.given)
        self.layers = range(origin.n_blocks + 2)
        """Layers that have bits: the embeddings, the blocks, the pooler."""

    @property
    def source(self) -> Source:
        """The task, with the identity of a teacher that was given."""
        source = self.labelled.source
        if self.given is None:
            return source
        return replace(source, digest=digest_json([source.digest, compute_digest(self.given, self.origin.tokenizer)]))

    def plan_teacher(self) -> Stage:
        """A stage that fine-tunes the teacher, or scores the one that is given."""
        settings, labelled = self.settings, self.labelled
        stage = plan_stage(TEACHER, settings, labelled, 0)
        pace = replace(stage.pace, epochs=settings.teacher_epochs, max_steps=settings.teacher_steps)
        if self.given is not None:
            pace = replace(pace, epochs=0.0, max_steps=0)
        scores = TeacherScores(self._evaluate(0), self.reporter, settings.distill_from)
        rates = replace(stage.rates, learning_rate=settings.teacher_learning_rate)
        return replace(
            stage, build=self._build_teacher, evaluation=lambda start: scores, pace=pace, rates=rates, costs=self._cost
        )

    def plan_arm(self, arm: str, seed: int, bits: Mapping[int, int]) -> Stage:
        """A stage that quantises the teacher, with training or without.

        Args:
            arm: one of the recipe's.
            seed: of the order of the sentences, and of dropout.
            bits: of each layer.
        """
        stage = plan_stage(FEW_BITS, self.settings, self.labelled, seed)
        grid = self._choose_grid(arm, bits)
        pace = replace(stage.pace, epochs=0.0, max_steps=0) if arm in _UNTRAINED else stage.pace
        return replace(
            stage,
            build=self._build_student,
            objective=self._learn_teacher if arm == "kdlsq" else stage.objective,
            transforms=partial(self._quantise, grid, seed),
            evaluation=lambda start: self._evaluate(seed),
            pace=pace,
            costs=self._cost,
            start=TEACHER,
        )

    def _choose_grid(self, arm: str, bits: Mapping[int, int]) -> Grid:
        settings = self.settings
        return Grid(
            bits,
            activation_bits=settings.activation_bits,
            rule="largest" if arm == "minmax" else settings.initial_steps,
            per_row=settings.per_row,
            gradient_scale=settings.gradient_scale,
            clip_gradient=settings.clip_gradient,
            weight_rate=settings.step_learning_rate,
            activation_rate=settings.activation_step_learning_rate,
        )

    def _quantise(self, grid: Grid, seed: int, start: Start) -> Sequence[Transform]:
        settings = self.settings
        data = LabelledData(self.labelled.splits["train"], settings.batch_size, seed)
        batches = [data.batch(step) for step in range(settings.calibration_batches)]
        return (*freeze(settings, start), Quantisation(grid, batches))

    def _evaluate(self, seed: int) -> PairedClassification:
        """Scores whose answers are kept, so that arms are compared sentence by sentence."""
        return PairedClassification(self.labelled.task, self.labelled.splits, compute_loss, seed)

    def _build_teacher(self, start: Start, generator: torch.Generator) -> PreTrainedModel:
        if self.given is not None:
            return deepcopy(self.given).requires_grad_(True)
        return build_classifier(self.settings, self.labelled.task, start, generator)

    def _build_student(self, start: Start, generator: torch.Generator) -> PreTrainedModel:
        """The teacher's weights, nothing quantised yet."""
        del generator
        config = load_config(start.checkpoint)
        for one in (config, getattr(config, "backbone_config", None)):
            if one is not None:
                set_dropout(one, self.settings.dropout)
        model, _ = load_classifier(start.checkpoint, config)
        return KdlsqBertForSequenceClassification.from_classifier(model)

    def _learn_teacher(self, start: Start, model: PreTrainedModel) -> Objective:
        teacher: Any = load_teacher(str(start.artifacts[TEACHER]), self.labelled.task, self.origin)
        self._check_layers(teacher)
        layers = range(1, len(find_blocks(teacher)))
        return LayerDistillation(teacher.to(model.device), layers, self._weights, temperature=self.settings.temperature)

    def _check_kind(self, teacher: Any) -> None:
        """Refuse a teacher of another kind than the settings name: it is what is quantised, layer by layer."""
        settings, where = self.settings, f"--distill-from {self.settings.distill_from}"
        kind = "bermo" if teacher.config.model_type == "bermo" else "bert"
        if kind != settings.model:
            raise InputError(f"{where}: is what --model {kind} makes; use --model {kind}, or another teacher")
        backbone: Any = find_backbone(teacher)
        sizes = (len(find_blocks(backbone)) - 1, backbone.config.hidden_size)
        usual: Any = self.origin.config
        wanted = (self.origin.n_blocks, usual.hidden_size)
        if sizes != wanted:
            raise InputError(
                f"{where}: has {sizes[0]} layers of width {sizes[1]}, and --checkpoint {self.origin.checkpoint.name} "
                f"{wanted[0]} of width {wanted[1]}; name by --checkpoint the encoder that it was made from, or itself"
            )

    def _check_layers(self, teacher: PreTrainedModel) -> None:
        """See that what is compared can be read; the student has its sizes."""
        find_blocks(teacher)
        if self.settings.attention_weight and "kdlsq" in self.settings.arms:
            check_scores(teacher, f"--distill-from {self.settings.distill_from}" if self.given else TEACHER)

    @property
    def _weights(self) -> dict[str, float]:
        settings = self.settings
        names = ("logits", "hidden", "attention")
        weights = {name: getattr(settings, f"{name}_weight") for name in names}
        return weights | {"embedding": settings.hidden_weight, "labels": settings.label_weight}

    def _cost(self, model: PreTrainedModel, accelerator: Any) -> Mapping[str, float]:
        return measure_costs(model, self.labelled.splits["dev"], accelerator)
