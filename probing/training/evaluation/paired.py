"""Evaluations whose answers are kept, so that models can be compared over the same sentences or held-out text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from probing.training.contracts import SplitScore
from probing.training.evaluation.classification import Answers, Classification
from probing.training.evaluation.masked import HiddenAnswers, MaskedTokens


@dataclass(frozen=True)
class PairedTokens(MaskedTokens):
    """Masked tokens whose answers are kept, block by block."""

    kept: dict[str, HiddenAnswers] = field(default_factory=dict, compare=False)

    def score_answers(self, answers: HiddenAnswers, split: str) -> Sequence[SplitScore]:
        """The scores of one split's answers, which are kept."""
        self.kept[split] = answers
        return super().score_answers(answers, split)

    def list_answers(self) -> Mapping[str, np.ndarray]:
        """One row per block: its split and number, its hidden tokens, how many were right, their loss in nats."""
        parts = []
        for split, answers in self.kept.items():
            blocks, place = np.unique(answers.blocks, return_inverse=True)
            sums = [np.bincount(place, weights) for weights in (None, answers.right, answers.losses)]
            parts.append((np.full(len(blocks), split, dtype=object), blocks, *sums))
        columns = ("split", "block", "n", "right", "nats")
        return {name: np.concatenate(column) for name, column in zip(columns, zip(*parts, strict=True), strict=True)}


@dataclass(frozen=True)
class PairedClassification(Classification):
    """Classes whose answers are kept, sentence by sentence."""

    kept: dict[str, Answers] = field(default_factory=dict, compare=False)

    def score_split(self, answers: Answers, split: str) -> Sequence[SplitScore]:
        """The scores of one split's answers, which are kept."""
        self.kept[split] = answers
        return super().score_split(answers, split)

    def list_answers(self) -> Mapping[str, np.ndarray]:
        """One row per sentence: its split, its row there, its label and the answer."""
        parts = [
            (np.full(len(own.labels), split, dtype=object), np.arange(len(own.labels)), own.labels, own.predicted)
            for split, own in self.kept.items()
        ]
        columns = ("split", "row", "label", "predicted")
        return {name: np.concatenate(column) for name, column in zip(columns, zip(*parts, strict=True), strict=True)}
