"""The stages of TinyBERT: the teacher, running text beside it, the task beside it, and labels alone."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Any

import torch
from transformers import PreTrainedModel

from probing.digests import digest_json
from probing.encoders.blocks import find_backbone, find_blocks
from probing.encoders.checkpoints import Checkpoint, find_checkpoint, load_model
from probing.encoders.inputs import ModelInputs
from probing.encoders.masked_lm import find_masked_lm, load_masked_lm
from probing.encoders.model_facts import compute_digest
from probing.progress import Reporter
from probing.records import InputError
from probing.training.contracts import Data, Objective, Pace
from probing.training.data.generated import add_to_train, read_table
from probing.training.data.labelled import Labelled, LabelledData, TokenisedSplit
from probing.training.data.masking import Masking
from probing.training.data.near_words import choose_near_words
from probing.training.data.running_text import HiddenTokens, Text
from probing.training.evaluation.by_block import split_rows
from probing.training.evaluation.costs import measure_costs
from probing.training.evaluation.paired import PairedClassification
from probing.training.evaluation.teacher_scores import TeacherScores
from probing.training.evaluation.teacher_states import HeldOut, TeacherStates
from probing.training.objectives.distillation import load_teacher
from probing.training.objectives.layer_distillation import LayerDistillation, check_pair, draw_projection, map_layers
from probing.training.objectives.supervised import Supervised, compute_loss
from probing.training.optimiser import Rates
from probing.training.plan import Origin, Source, Stage, Start
from probing.training.recipes.pretrain import PretrainSettings, prepare_text
from probing.training.recipes.pretrain_stages import choose_pace, choose_rates
from probing.training.recipes.tiny_bert_students import Students
from probing.training.recipes.tiny_bert_words import AUGMENT, Rewriting, plan_augmentation

if TYPE_CHECKING:  # which plans with what stands here
    from probing.training.recipes.tiny_bert_settings import TinyBertSettings

TEACHER, GENERAL, AUGMENTED = "teacher", "general", "augmented"
OF_TEXT = (GENERAL, "both", AUGMENTED)
"""Arms that begin with running text."""
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
            map_layers(origin.n_blocks, len(find_blocks(teacher)) - 1, settings.layer_map)
        self.general = _choose_general(settings)
        self.students = Students(origin.config, labelled.task.classes, settings.dropout)
        self.text: Any = prepare_text(self.general, origin, reporter) if {*OF_TEXT} & {*settings.arms} else None
        self.masked = find_masked_lm(settings.teacher) if AUGMENTED in settings.arms else None
        self.near = choose_near_words(settings.near_words, reporter) if AUGMENTED in settings.arms else ""
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
        own = PairedClassification(self.labelled.task, self.labelled.splits, compute_loss, 0)
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
        pace = choose_pace(self.general, self.origin.limit)

        def read(start: Start) -> Data:
            del start
            return text.data(masking, self.general.batch_size, seed)

        stage = self._plan_layers(GENERAL, seed, lambda start: self.encoder, read, held)
        return replace(stage, rates=choose_rates(self.general), pace=pace)

    def plan_labels(self, arm: str, seed: int) -> tuple[Stage, ...]:
        """A stage that learns labels, for as many steps as the teacher's layers and answers are learned together."""
        settings = self.settings
        both = (settings.intermediate_epochs, settings.intermediate_steps), (settings.epochs, settings.max_steps)
        pace = replace(self._pace(), max_steps=sum(self._count_steps(*one) for one in both))
        stage = self._plan_labels(_PREDICTION, seed, settings.label_learning_rate, pace)
        return (replace(stage, start=GENERAL if arm in OF_TEXT else ""),)

    def plan_taught(self, arm: str, seed: int) -> tuple[Stage, ...]:
        """Stages that learn the fine-tuned teacher's layers, then its answers; in one arm, of sentences written anew.

        These are so many that steps are counted in epochs of the sentences that they were made from.
        """
        settings, splits = self.settings, self.labelled.splits
        data: Callable[[Start], Data] = partial(self._read_sentences if arm != AUGMENTED else self._read_written, seed)

        def pace(epochs: float, steps: int) -> Pace:
            return replace(self._pace(), epochs=epochs, max_steps=self._count_steps(epochs, steps))

        held = {split: _hold_sentences(splits[split]) for split in ("dev", "test")}
        layers = replace(
            self._plan_layers(_INTERMEDIATE, seed, self._find_teacher, data, held),
            start=GENERAL if arm in OF_TEXT else "",
            pace=pace(settings.intermediate_epochs, settings.intermediate_steps),
            rates=self._rates(settings.intermediate_learning_rate),
        )
        own = pace(settings.epochs, settings.max_steps)
        answers = self._plan_labels(_PREDICTION, seed, settings.learning_rate, own)
        answers = replace(answers, start=_INTERMEDIATE, data=data, objective=self._learn_answers)
        return (*([self._plan_augmentation(seed)] if arm == AUGMENTED else []), layers, answers)

    def _count_steps(self, epochs: float, steps: int) -> int:
        """The steps asked for or, with 0, those of so many epochs of the task's own sentences."""
        return steps or ceil(epochs * -(-len(self.labelled.splits["train"]) // self.settings.batch_size))

    def _plan_augmentation(self, seed: int) -> Stage:
        settings = self.settings
        masked: Any = self.masked
        how = Rewriting(settings.copies, settings.replace_share, settings.candidates, self.near)
        return plan_augmentation(self.labelled.task, how, seed, self.encoder, masked, self.origin.tokenizer)

    def _read_sentences(self, seed: int, start: Start) -> LabelledData:
        del start
        return LabelledData(self.labelled.splits["train"], self.settings.batch_size, seed)

    def _read_written(self, seed: int, start: Start) -> LabelledData:
        """The sentences of train and those written anew."""
        task = add_to_train(self.labelled.task, read_table(start.artifacts[AUGMENT]))
        inputs = ModelInputs(self.origin.tokenizer, self.origin.config, self.origin.limit)
        return LabelledData(TokenisedSplit(inputs, task.splits["train"]), self.settings.batch_size, seed)

    def _plan_labels(self, name: str, seed: int, rate: float, pace: Pace) -> Stage:
        task, splits = self.labelled.task, self.labelled.splits
        return Stage(
            name,
            build=self.students.build_classifier,
            data=lambda start: LabelledData(splits["train"], self.settings.batch_size, seed),
            objective=lambda start, model: Supervised(),
            evaluation=lambda start: PairedClassification(task, splits, compute_loss, seed),
            rates=self._rates(rate),
            pace=pace,
            costs=lambda model, accelerator: measure_costs(model, splits["dev"], accelerator),
        )

    def _plan_layers(
        self,
        name: str,
        seed: int,
        find: Callable[[Start], PreTrainedModel],
        data: Callable[[Start], Data],
        held: Mapping[str, HeldOut],
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
            build=self.students.build_encoder,
            data=data,
            objective=learn,
            evaluation=lambda start: TeacherStates(held, compare, seed),
            rates=self._rates(self.settings.learning_rate),
            pace=self._pace(),
        )

    def _learn_layers(self, teacher: PreTrainedModel, model: PreTrainedModel, seed: int) -> LayerDistillation:
        frozen: Any = teacher
        layers = map_layers(self.origin.n_blocks, len(find_blocks(teacher)) - 1, self.settings.layer_map)
        width, its = (int(one.config.hidden_size) for one in (model, find_backbone(teacher)))  # pyright: ignore
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            projection = draw_projection(width, its, model.device)
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
        if self.given is not None:
            return deepcopy(self.given).requires_grad_(True)
        return self.students.build_classifier(replace(start, checkpoint=self.checkpoint), generator)

    def _rates(self, rate: float) -> Rates:
        settings = self.settings
        return Rates(rate, settings.weight_decay, settings.warmup_share, settings.max_grad_norm)

    def _pace(self) -> Pace:
        return Pace.from_settings(self.settings)

    def _describe(self) -> Source:
        """The task, with the identity of all that is learned beside it."""
        source, known = self.labelled.source, [self.labelled.source.digest]
        facts = dict(source.facts) | {"teacher": self.settings.teacher}
        teachers = [self.encoder, *([self.given] if self.given else [])]
        known += [compute_digest(one, self.origin.tokenizer) for one in teachers]
        if self.masked is not None:
            known.append(compute_digest(load_masked_lm(self.masked)[0], self.origin.tokenizer))
            facts |= {"masked_lm": self.masked.name, "near_words": self.near}
            known.append(self.near)
        if self.text is not None:
            known.append(self.text.source.digest)
            facts["text"] = dict(self.text.source.facts)
        return replace(source, digest=digest_json(known), facts=facts)


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
