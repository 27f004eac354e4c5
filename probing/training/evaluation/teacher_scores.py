"""Scores of a teacher, said aloud before anything is learned from it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from accelerate import Accelerator
from transformers import PreTrainedModel

from probing.progress import Reporter
from probing.records import InputError
from probing.training.contracts import Evaluation, SplitScore
from probing.training.evaluation.paired import PairedClassification


@dataclass(frozen=True)
class TeacherScores(Evaluation):
    """The task's scores, said in a line; a teacher that knows nothing is refused, or warned of.

    Args:
        own: the task's.
        reporter: who hears of them.
        given: the teacher's name, where it was not fine-tuned here.
    """

    own: PairedClassification
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

    def list_answers(self) -> Mapping[str, np.ndarray]:
        """One row per sentence, as the task's scores keep them."""
        return self.own.list_answers()
