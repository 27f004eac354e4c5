"""The stages of C-BERT: a masked language model learns sentences and writes new ones, which classifiers learn from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from accelerate import Accelerator
from transformers import PreTrainedModel

from probing.atomic_files import write_atomically
from probing.encoders.c_bert_model import condition
from probing.encoders.checkpoints import Checkpoint, load_config, load_model
from probing.encoders.classifiers import name_classes, set_dropout
from probing.encoders.masked_lm import load_masked_lm
from probing.encoders.word_networks import build_word_network
from probing.randomness import stream
from probing.records import InputError, Split, Task
from probing.tasks.files.senteval import format_rows
from probing.training.contracts import Pace, Written
from probing.training.data.generated import add_to_train, list_known, read_table
from probing.training.data.labelled import Labelled, LabelledData, TokenisedSplit, make_labelled
from probing.training.data.masking import Masking
from probing.training.data.replacement import Fill, MaskedFill, Replacer, Sampling, find_readable
from probing.training.data.sentences import MaskedSentences, Reading, Sentences, hold_sentences, make_reading
from probing.training.data.synonyms import CandidateFill, SynonymFill, find_neighbours, find_synonyms, has_wordnet
from probing.training.evaluation.augmentation import Judge, list_words
from probing.training.evaluation.classification import Classification
from probing.training.evaluation.likelihood import compute_losses, perplexity_with_interval
from probing.training.evaluation.masked import MaskedTokens
from probing.training.evaluation.paired import PairedClassification
from probing.training.objectives.masked import Masked
from probing.training.objectives.supervised import compute_loss
from probing.training.optimiser import Rates
from probing.training.plan import Origin, Stage, Start, Writing, plan_writing
from probing.training.recipes.finetune import build_classifier, make_stage

if TYPE_CHECKING:  # which plans with what stands here
    from probing.training.recipes.c_bert import CBertSettings

MASKED_LM, AUGMENT, CLASSIFY = "masked_lm", "augment", "classify"
_SHARE = 2048
"""Sentences that are written in one part."""
_JUDGED = 200
"""Most sentences of which the perplexity is taken: each of their tokens is a forward pass."""


@dataclass(frozen=True)
class Augmented:
    """One way of making more sentences, of one share of train."""

    arm: str
    share: float
    model: str
    """The model whose chain writes the sentences."""

    @property
    def name(self) -> str:
        """Its name in metrics: the arm, and the share where it is not all."""
        return self.arm if self.share == 1 else f"{self.arm}-{self.share:g}"


@dataclass(frozen=True)
class Workshop:
    """All that the stages of one run share.

    Args:
        settings: of the run.
        origin: the encoder of classifiers.
        lm: the masked language model that sentences are written with.
        task: its whole train.
        shares: share of train -> the task with so much of it.
    """

    settings: "CBertSettings"
    origin: Origin
    lm: Checkpoint
    task: Task
    shares: dict[float, Task]

    @cached_property
    def reading(self) -> Reading:
        """Sentences as both models take them."""
        return make_reading(self.origin)

    @cached_property
    def labelled(self) -> dict[float, Labelled]:
        """The task with each share, as classifiers take it."""
        return {share: make_labelled(task, self.origin) for share, task in self.shares.items()}

    @cached_property
    def readable(self) -> np.ndarray:
        """True at tokens that may be put in."""
        return find_readable(self.origin.tokenizer, self.reading.marks)

    def plan_masked_lm(self, arm: str, share: float, seed: int) -> Stage:
        """A stage in which the masked language model learns the sentences of train, with their labels or without."""
        settings, labelled, reading = self.settings, arm == "conditional", self.reading
        splits = {name: reading.tokenize(split) for name, split in self.shares[share].splits.items()}
        masking, train = Masking(settings.mask_share), splits["train"]
        held = {
            name: hold_sentences(splits[name], name, reading, masking, labelled=labelled) for name in ("dev", "test")
        }
        data = MaskedSentences(train, reading, masking, labelled=labelled, size=settings.batch_size, seed=seed)
        steps = ceil(settings.lm_epochs * data.n_steps_per_epoch)
        return Stage(
            MASKED_LM,
            build=partial(self._build_masked_lm, labelled),
            data=lambda start: data,
            objective=lambda start, model: Masked(),
            evaluation=lambda start: MaskedTokens(held, count_tokens(train, reading.marks.special), seed),
            rates=self._choose_rates(settings.lm_learning_rate),
            pace=self._choose_pace(steps),
        )

    def plan_writing(self, arm: str, share: float, seed: int) -> Stage:
        """A stage that writes new sentences for those of train."""
        settings, task = self.settings, self.shares[share]
        train = task.splits["train"]
        n_parts = max(1, ceil(len(train) * settings.sample_num / _SHARE))

        def write(start: Start, accelerator: Accelerator) -> Callable[[int], list[Written]]:
            sampling = Sampling(settings.sample_num, settings.sample_ratio, seed)
            fill = self._make_fill(arm, start, accelerator)
            replacer = Replacer(train, self.reading, self.origin.tokenizer, sampling, fill)
            rows = np.array_split(np.arange(len(train)), n_parts)
            return lambda number: replacer.write(rows[number])

        writing = Writing(
            n_parts, write, list_known(task), partial(export_task, task), len(train) * settings.sample_num
        )
        return plan_writing(AUGMENT, writing, MASKED_LM if arm in ("unconditional", "conditional") else "")

    def plan_classifier(self, arm: str, share: float, classifier: str, seed: int) -> Stage:
        """A stage that trains a classifier on train and, if there are any, on the sentences that were written."""
        labelled, settings = self.labelled[share], self.settings
        task, n_train = labelled.task, len(labelled.splits["train"])
        # Every arm has as many steps, so that more sentences are not more training too.
        epochs = settings.epochs if classifier == "encoder" else settings.word_epochs
        steps = ceil(epochs * ceil(n_train * (1 + settings.sample_num) / settings.batch_size))

        def gather(start: Start) -> LabelledData:
            own = (
                labelled if arm == "none" else make_labelled(add_to_train(task, read_rows(start, AUGMENT)), self.origin)
            )
            return LabelledData(own.splits["train"], settings.batch_size, seed)

        build = partial(build_classifier, settings, task)
        evaluation = PairedClassification(task, labelled.splits, compute_loss, seed)
        stage = make_stage(CLASSIFY, settings, build, LabelledData(labelled.splits["train"], 1, seed), evaluation)
        stage = replace(stage, data=gather, pace=self._choose_pace(steps))
        if classifier == "encoder":
            return stage
        network = partial(self._build_network, classifier)
        rates = self._choose_rates(settings.word_learning_rate)
        return replace(stage, build=network, rates=rates, transforms=lambda start: ())

    def plan_judge(self, ways: Sequence[Augmented], pairs: Sequence[tuple[str, str]], seed: int) -> Stage:
        """A stage that trains a classifier on all of train, which then reads what was written."""
        stage = self.plan_classifier("none", 1.0, "encoder", seed)
        labelled = self.labelled[1.0]
        known = frozenset(word for text in labelled.task.splits["train"].texts for word in list_words(text[0]))

        def evaluate(start: Start) -> Judge:
            return Judge(
                task=Classification(labelled.task, labelled.splits, compute_loss, seed),
                tables={way.name: read_rows(start, f"{way.model}/{AUGMENT}") for way in ways},
                prepare=self._prepare,
                likelihood=partial(self._score_likelihood, seed),
                n_likely=_JUDGED,
                pairs=pairs,
                known=known,
                seed=seed,
            )

        return replace(stage, evaluation=evaluate)

    def _prepare(self, rows: Sequence[Written]) -> TokenisedSplit:
        labels = np.array([row.label for row in rows], dtype=np.int64)
        return TokenisedSplit(self.reading.inputs, Split(tuple(row.text for row in rows), labels))

    def _score_likelihood(self, seed: int, rows: Sequence[Written], accelerator: Accelerator) -> Any:
        """The perplexity of some of the sentences under the masked language model as it was before any label."""
        model: Any = load_masked_lm(self.lm)[0].eval()
        some = [rows[number] for number in np.linspace(0, len(rows) - 1, min(len(rows), _JUDGED)).astype(int)]
        ids = self.reading.inputs.tokenize([row.text for row in some]).ids
        marks = self.reading.marks
        losses = compute_losses(model.to(accelerator.device), ids, marks.special, marks.mask, accelerator)
        return perplexity_with_interval(losses, stream(seed, "interval", "perplexity"))

    def _build_masked_lm(self, labelled: bool, start: Start, generator: torch.Generator) -> PreTrainedModel:
        del start
        config = load_config(self.lm)
        set_dropout(config, self.settings.dropout)
        model = load_masked_lm(self.lm, config)[0]
        table = None if self.settings.label_table == "auto" else self.settings.label_table
        return condition(model, self.task.classes, table, generator) if labelled else model

    def _build_network(self, network: Any, start: Start, generator: torch.Generator) -> PreTrainedModel:
        del generator
        vectors: Any = load_model(start.checkpoint).get_input_embeddings()
        labels = self.task.classes
        model = build_word_network(network, vectors.weight.detach(), len(labels), self.reading.pad)
        name_classes(model.config, labels)
        return model

    def _make_fill(self, arm: str, start: Start, accelerator: Accelerator) -> Fill:
        marks = self.reading.marks
        if arm == "synonyms":
            if has_wordnet():
                return SynonymFill(find_synonyms(self.origin.tokenizer, self.readable), marks.continues)
            vectors: Any = load_model(self.origin.checkpoint).get_input_embeddings()
            return CandidateFill(find_neighbours(vectors.weight, marks, self.readable))
        model: Any = load_masked_lm(self.lm if arm == "pretrained" else start.checkpoint)[0].eval()
        fill = MaskedFill(model.to(accelerator.device), marks, self.readable, self.settings.temperature)
        fill.labelled, fill.autocast = arm == "conditional", accelerator.autocast
        return fill

    def _choose_rates(self, rate: float) -> Rates:
        settings = self.settings
        return Rates(rate, settings.weight_decay, settings.warmup_share, settings.max_grad_norm)

    def _choose_pace(self, steps: int) -> Pace:
        return replace(Pace.from_settings(self.settings), max_steps=self.settings.max_steps or steps)


def read_rows(start: Start, stage: str) -> list[Written]:
    """The sentences that a stage left.

    Raises:
        InputError: it left none.
    """
    rows = read_table(start.artifacts[stage])
    if not rows:
        raise InputError(
            f"{start.artifacts[stage]}: every sentence that was written is one of train; take a smaller --sample-ratio "
            "or a higher --temperature"
        )
    return rows


def count_tokens(sentences: Sentences, special: np.ndarray) -> np.ndarray:
    """Number of times that each token is in some sentences; marks, which are never hidden, count 0."""
    counts = np.bincount(np.concatenate(sentences.tokens.ids), minlength=len(special))
    return np.where(special, 0, counts)


def export_task(task: Task, rows: Sequence[Written], folder: Path) -> None:
    """Write the task with the new sentences in SentEval's form, as `--data FOLDER/task` takes it anywhere.

    Its name is one of its own: a transfer task's would be looked for in that task's own files.
    """
    whole = add_to_train(task, rows)
    lines = format_rows(
        (name, task.classes[label], " ".join(text[0].split()))
        for name, split in whole.splits.items()
        for text, label in zip(split.texts, split.labels, strict=True)
    )
    write_atomically(folder / "task" / f"{task.name}_augmented.txt", lines.encode())
