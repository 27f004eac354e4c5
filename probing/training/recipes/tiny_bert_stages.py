"""The stages of TinyBERT: the teacher, running text beside it, the task beside it, and labels alone."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator
from transformers import AutoModel, AutoModelForSequenceClassification, PreTrainedModel

from probing.digests import digest_json
from probing.encoders.blocks import find_backbone, find_blocks
from probing.encoders.checkpoints import Checkpoint, find_checkpoint, load_model
from probing.encoders.classifiers import build_bert, set_dropout
from probing.encoders.transformer import compute_digest
from probing.progress import Reporter
from probing.records import InputError
from probing.training.contracts import Data, Evaluation, Objective, Pace, SplitScore
from probing.training.data.labelled import Labelled, LabelledData, TokenisedSplit
from probing.training.data.masking import Masking
from probing.training.data.running_text import HiddenTokens, Text
from probing.training.evaluation.by_block import split_rows
from probing.training.evaluation.classification import Classification
from probing.training.evaluation.costs import measure_costs
from probing.training.evaluation.teacher_states import HeldOut, TeacherStates
from probing.training.objectives.distillation import load_teacher
from probing.training.objectives.layer_distillation import LayerDistillation, check_pair, draw_projection, map_layers
from probing.training.objectives.supervised import Supervised, compute_loss
from probing.training.optimiser import Rates
from probing.training.origins import SCRATCH
from probing.training.plan import Origin, Source, Stage, Start
from probing.training.recipes.pretrain import PretrainSettings, choose_pace, choose_rates, prepare_text

if TYPE_CHECKING:  # which plans with what stands here
    from probing.training.recipes.tiny_bert import TinyBertSettings

TEACHER, GENERAL = "teacher", "general"
_INTERMEDIATE, _PREDICTION = "intermediate", "prediction"
_EVALUATED = 4096
"""Tokens in a batch of an evaluation."""


class School:
    """All that the stages of one run share.

    Args:
        settings: of the run.
        origin: the outline of the student.
        labelled: the task.
        reporter: who hears of the teacher's score.

    Raises:
        InputError: text that cannot be used, or a teacher that cannot teach this student or task.
    """

    def __init__(self, settings: "TinyBertSettings", origin: Origin, labelled: Labelled, reporter: Reporter):
        self.settings, self.origin, self.labelled, self.reporter = settings, origin, labelled, reporter
        if labelled.task.graded:
            raise InputError(
                f"--task {settings.task}: has scores and no classes, which tiny_bert has no teacher for; expected a "
                "task with classes"
            )
        self.checkpoint = find_checkpoint(settings.teacher)
        self.encoder = find_backbone(load_model(self.checkpoint)).eval().requires_grad_(False)
        self.given = self._load_teacher(settings.distill_from) if settings.distill_from else None
        for teacher in (self.encoder, *([self.given] if self.given else [])):
            check_pair(origin.config, teacher, self.weights, settings.distill_from or f"--teacher {settings.teacher}")
            map_layers(settings.layers, len(find_blocks(teacher)) - 1, settings.layer_map)
        self.general = _choose_general(settings)
        of_text = {"general", "both"} & set(settings.arms)
        self.text: Any = prepare_text(self.general, origin, reporter) if of_text else None
        self.source = self._describe()

    @property
    def weights(self) -> Mapping[str, float]:
        """Weights of the losses of layers."""
        return {name: getattr(self.settings, f"{name}_weight") for name in ("embedding", "hidden", "attention")}

    def plan_teacher(self) -> Stage:
        """A stage that fine-tunes the teacher, or scores the one that is given."""
        settings = self.settings
        pace = replace(self._pace(), epochs=settings.teacher_epochs, max_steps=settings.teacher_steps)
        if self.given is not None:
            pace = replace(pace, epochs=0.0, max_steps=0)
        own = Classification(self.labelled.task, self.labelled.splits, compute_loss, 0)
        evaluation = TeacherScores(own, self.reporter, settings.distill_from)
        stage = self._plan_labels(TEACHER, 0, settings.teacher_learning_rate, pace)
        return replace(stage, build=self._build_teacher, evaluation=lambda start: evaluation)

    def plan_general(self, seed: int) -> Stage:
        """A stage in which a student that is drawn learns the encoder's layers on running text."""
        text: Text = self.text
        masking = Masking()
        held = {
            split: _hold_blocks(text.hold(split, masking, self.general.limit_dev))
            for split in text.splits
            if split != "train"
        }
        data = text.data(masking, self.general.batch_size, seed)
        pace = choose_pace(self.general, self.origin.limit)
        stage = self._plan_layers(GENERAL, seed, lambda start: self.encoder, data, held)
        return replace(stage, rates=choose_rates(self.general), pace=pace)

    def plan_labels(self, seed: int, start: str) -> tuple[Stage, ...]:
        """A stage that learns labels, for as many steps as the teacher's layers and answers are learned together."""
        settings, pace = self.settings, self._pace()
        epochs = settings.epochs + settings.intermediate_epochs
        steps = settings.max_steps and settings.max_steps + settings.intermediate_steps
        pace = replace(pace, epochs=epochs, max_steps=steps)
        return (replace(self._plan_labels(_PREDICTION, seed, settings.label_learning_rate, pace), start=start),)

    def plan_taught(self, seed: int, start: str) -> tuple[Stage, ...]:
        """Stages that learn the fine-tuned teacher's layers, then its answers."""
        settings, splits = self.settings, self.labelled.splits
        held = {split: _hold_sentences(splits[split]) for split in ("dev", "test")}
        data = LabelledData(splits["train"], settings.batch_size, seed)
        layers = self._plan_layers(_INTERMEDIATE, seed, self._find_teacher, data, held)
        pace = replace(self._pace(), epochs=settings.intermediate_epochs, max_steps=settings.intermediate_steps)
        rates = self._rates(settings.intermediate_learning_rate)
        answers = self._plan_labels(_PREDICTION, seed, settings.learning_rate, self._pace())
        return (
            replace(layers, start=start, pace=pace, rates=rates),
            replace(answers, start=_INTERMEDIATE, objective=self._learn_answers),
        )

    def _plan_labels(self, name: str, seed: int, rate: float, pace: Pace) -> Stage:
        task, splits = self.labelled.task, self.labelled.splits
        return Stage(
            name,
            build=self._build_classifier,
            data=lambda start: LabelledData(splits["train"], self.settings.batch_size, seed),
            objective=lambda start, model: Supervised(),
            evaluation=lambda start: Classification(task, splits, compute_loss, seed),
            rates=self._rates(rate),
            pace=pace,
            costs=lambda model, accelerator: measure_costs(model, splits["dev"], accelerator),
        )

    def _plan_layers(
        self, name: str, seed: int, find: Callable[[Start], PreTrainedModel], data: Data, held: Mapping[str, HeldOut]
    ) -> Stage:
        made: list[LayerDistillation] = []
        """The objective, which the evaluation reads too."""

        def learn(start: Start, model: PreTrainedModel) -> Objective:
            made[:] = [self._learn_layers(find(start), model, seed)]
            return made[0]

        def compare(model: PreTrainedModel, examples: Any) -> Mapping[str, torch.Tensor]:
            weights = made[0].weights
            return {name: weights[name] * loss for name, loss in made[0].compute(model, examples).items()}

        return Stage(
            name,
            build=self._build_encoder,
            data=lambda start: data,
            objective=learn,
            evaluation=lambda start: TeacherStates(held, compare, seed),
            rates=self._rates(self.settings.learning_rate),
            pace=self._pace(),
        )

    def _learn_layers(self, teacher: PreTrainedModel, model: PreTrainedModel, seed: int) -> LayerDistillation:
        frozen: Any = teacher
        layers = map_layers(self.settings.layers, len(find_blocks(teacher)) - 1, self.settings.layer_map)
        widths = (int(one.config.hidden_size) for one in (model, find_backbone(teacher)))  # pyright: ignore
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            projection = draw_projection(*widths, model.device)
        return LayerDistillation(frozen.to(model.device), layers, self.weights, projection)

    def _learn_answers(self, start: Start, model: PreTrainedModel) -> Objective:
        settings, teacher = self.settings, self._find_teacher(start)
        labels = settings.label_weight if settings.prediction_weight else 1.0
        weights = {"logits": settings.prediction_weight, "labels": labels}
        frozen: Any = teacher
        return LayerDistillation(frozen.to(model.device), (), weights, temperature=settings.temperature)

    def _find_teacher(self, start: Start) -> PreTrainedModel:
        """The fine-tuned teacher, as its stage left it."""
        return self._load_teacher(str(start.artifacts[TEACHER]))

    def _load_teacher(self, name: str) -> PreTrainedModel:
        known = replace(self.origin, checkpoint=Checkpoint(self.settings.teacher, "", self.origin.checkpoint.folder))
        return load_teacher(name, self.labelled.task, known, "--teacher")

    def _build_teacher(self, start: Start, generator: torch.Generator) -> PreTrainedModel:
        del start
        if self.given is not None:
            return deepcopy(self.given).requires_grad_(True)
        classes = len(self.labelled.task.classes)
        return self._name_classes(build_bert(self.checkpoint, classes, self.settings.dropout, generator))

    def _build_encoder(self, start: Start, generator: torch.Generator) -> PreTrainedModel:
        """The student without a head, and without the pooler, which no layer of a teacher is compared with."""
        del generator
        if start.checkpoint.name != SCRATCH:
            model: Any = load_model(start.checkpoint)
        else:
            model = AutoModel.from_config(self._config())
        set_dropout(model.config, self.settings.dropout)
        model.pooler = None
        return model

    def _build_classifier(self, start: Start, generator: torch.Generator) -> PreTrainedModel:
        classes = len(self.labelled.task.classes)
        if start.checkpoint.name != SCRATCH:
            return self._name_classes(build_bert(start.checkpoint, classes, self.settings.dropout, generator))
        config = self._config()
        config.num_labels = classes
        return self._name_classes(AutoModelForSequenceClassification.from_config(config))

    def _config(self) -> Any:
        config = deepcopy(self.origin.config)
        set_dropout(config, self.settings.dropout)
        return config

    def _name_classes(self, model: PreTrainedModel) -> PreTrainedModel:
        classes = self.labelled.task.classes
        model.config.id2label = dict(enumerate(classes))
        model.config.label2id = {label: number for number, label in enumerate(classes)}
        return model

    def _rates(self, rate: float) -> Rates:
        settings = self.settings
        return Rates(rate, settings.weight_decay, settings.warmup_share, settings.max_grad_norm)

    def _pace(self) -> Pace:
        return Pace(**{field.name: getattr(self.settings, field.name) for field in fields(Pace)})

    def _describe(self) -> Source:
        """The task, with the identity of all that is learned beside it."""
        source, known = self.labelled.source, [self.labelled.source.digest]
        facts = dict(source.facts) | {"teacher": self.settings.teacher}
        teachers = [self.encoder, *([self.given] if self.given else [])]
        known += [compute_digest(one, self.origin.tokenizer) for one in teachers]
        if self.text is not None:
            known.append(self.text.source.digest)
            facts["text"] = dict(self.text.source.facts)
        return replace(source, digest=digest_json(known), facts=facts)


@dataclass(frozen=True)
class TeacherScores(Evaluation):
    """The scores of a teacher, which are said aloud before anything is learned from it.

    Args:
        own: the task's.
        reporter: who hears of them.
        given: the teacher's name, where it was not fine-tuned here.
    """

    own: Classification
    reporter: Reporter
    given: str
    headline = "dev_score"

    def measure(self, model: PreTrainedModel, accelerator: Accelerator) -> dict[str, float]:
        """Loss and score on dev."""
        return self.own.measure(model, accelerator)

    def score(self, model: PreTrainedModel, accelerator: Accelerator) -> list[SplitScore]:
        """The scores on dev and test.

        Raises:
            InputError: a teacher that was given knows no more of the task than its most frequent class.
        """
        found = self.own.score(model, accelerator)
        dev = found[0]
        line = f"{dev.metric} {dev.value:.3f} on dev, where always the most frequent class has {dev.majority:.3f}"
        if not dev.diverged:
            self.reporter.say(f"teacher: {line}")
        elif self.given:
            raise InputError(
                f"--distill-from {self.given}: {line}; expected a classifier fine-tuned on {self.own.task.name}"
            )
        else:
            self.reporter.warn(f"teacher: {line}; it has nothing to teach: give it more --teacher-epochs")
        return found


def _hold_sentences(split: TokenisedSplit) -> HeldOut:
    return HeldOut(split.list_batches(_EVALUATED), split.collate)


def _hold_blocks(blocks: HiddenTokens) -> HeldOut:
    return HeldOut(split_rows(len(blocks), blocks.n_tokens // len(blocks)), blocks.collate)


def _choose_general(settings: "TinyBertSettings") -> PretrainSettings:
    """The settings of the stage of running text, as `pretrain` has them."""
    shared = ("text", "cache_dir", "max_length", "accumulation_steps", "weight_decay", "warmup_share", "max_grad_norm")
    shared += ("dropout", "evaluate_every", "log_every", "early_stopping", "checkpoint_every")
    kept = {name: getattr(settings, name) for name in shared}
    kept |= {name: getattr(settings, f"general_{name}") for name in ("tokens", "epochs", "batch_size", "limit_dev")}
    return PretrainSettings(**kept, max_steps=settings.general_steps, learning_rate=settings.general_learning_rate)
