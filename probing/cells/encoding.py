"""The sentences of the tasks through an encoder, task by task, each sentence once."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from jaxtyping import Int

from probing.contracts.encoder import Encoder, record_facts
from probing.contracts.measure import Encoded, Others
from probing.progress import Reporter
from probing.records import SPLITS, Task, Text
from probing.representations.extraction import Extraction, Extractor
from probing.representations.peak_rate import count_operations, measure_peak_rate
from probing.tasks.subset import limit_task

_WORTH_MEASURING_S = 2.0
"""Encoding that took less is not held against the machine's rate, whose measurement takes time too."""
_AHEAD = 400
"""Sentences of each split behind the first scores: 1,200 take 11 s where 106 are encoded in a second."""


class TaskEncoder:
    """Encodes the sentences of one task after the other, as a stage of the run; what tasks share is encoded once.

    Args:
        tasks: all that will be asked for.
        extractor: that makes the vectors.
        layers: indices of the layers that are probed.
        reporter: who tells of it.
        name: of the stage.
        opener: way to the encoder for measures that run it.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        extractor: Extractor,
        layers: Sequence[int],
        reporter: Reporter,
        name: str,
        opener: Callable[[], Encoder],
    ):
        self.extractor, self.layers, self.reporter, self.name = extractor, layers, reporter, name
        self.encoder, self._opener = extractor.encoder, opener
        self._facts = record_facts(self.encoder)
        self.parts: list[Extraction] = []
        self._seen: set[Text] = set()
        self._encoded: dict[str, Encoded] = {}
        self._others = Others(tasks, self.encode)
        distinct = {text for task in tasks for text in list_texts(task)}
        self._stage = reporter.plan_stage(name, len(distinct), "sentences")

    def encode(self, task: Task) -> Encoded:
        """The sentences of one task; those that are new are encoded, the others are there already.

        Tasks of one name have the same sentences: relabelled ones are not looked at again.
        """
        if task.name not in self._encoded:
            self.extend(task)
            self._encoded[task.name] = self.take(task)
        return self._encoded[task.name]

    def foresee(self, tasks: Iterable[Task]) -> None:
        """Hear which tasks will be asked for, in this order: workers encode the next while the last is probed."""
        seen, groups = set(self._seen), []
        for task in {task.name: task for task in tasks if task.name not in self._encoded}.values():
            groups.append([text for text in list_texts(task) if text not in seen])
            seen.update(groups[-1])
        self.extractor.foresee(groups)

    def extend(self, task: Task) -> Extraction:
        """Encode those sentences of a task that are new."""
        texts = [text for text in list_texts(task) if text not in self._seen]
        self._stage.doing = task.spec.title
        with self.reporter.visit(self._stage):
            part = self.extractor.encode(texts, self._stage.advance)
            self._stage.advance(len(texts) - part.n_encoded, found=True)
        self._seen.update(texts)
        self.parts.append(part)
        return part

    def extend_ahead(self, task: Task) -> tuple[Task, Extraction] | None:
        """Encode a part of a task, where the whole of it would keep the user waiting; none where it would not."""
        part = limit_task(task, _AHEAD)
        if task.folds or self.count_new(task) <= 2 * len(list_texts(part)):
            return None
        return part, self.extend(part)

    def take(self, task: Task) -> Encoded:
        """A task whose sentences have been encoded."""
        texts = list_texts(task)
        index = {text: row for row, text in enumerate(texts)}
        rows = locate_sentences(task, index)
        stack = self.extractor.stack(texts)
        return Encoded(self._facts, self.layers, stack, rows, others=self._others, opener=self._opener)

    def count_new(self, task: Task) -> int:
        """Sentences of a task that have not been asked for yet."""
        return sum(text not in self._seen for text in list_texts(task))

    def close(self) -> None:
        """Say what the encoding was, and what is wrong with it."""
        if not self.parts:
            return
        encoder, lengths = self.encoder, np.concatenate([part.lengths for part in self.parts])
        seconds, n_truncated = (sum(getattr(part, name) for part in self.parts) for name in ("seconds", "n_truncated"))
        facts: dict[str, float] = {"sentences": len(self._seen), "encoded": len(lengths), "tokens": int(lengths.sum())}
        rates = rate_encoding(lengths, seconds, encoder, weighed=self.extractor.is_here)
        self.reporter.note(self.name, **facts, truncated=n_truncated, **rates)
        if n_truncated:
            self.reporter.warn(f"{n_truncated} sentences were longer than {encoder.max_length} tokens and were cut")
        for path in (path for part in self.parts for path in part.damaged):
            self.reporter.warn(f"{path}: damaged, removed, and its sentences encoded anew")
        for path in (path for part in self.parts for path in part.unread):
            self.reporter.warn(f"{path}: cannot be read; it was left, and its sentences were encoded anew")
        if excess := self.parts[-1].excess_bytes:
            self.reporter.warn(f"the cache is {excess / 1e9:.2g} GB above --cache-limit while runs need it")


def list_texts(task: Task) -> list[Text]:
    """The distinct sentences of a task, split by split."""
    return list(dict.fromkeys(text for split in SPLITS for text in task.splits[split].texts))


def locate_sentences(task: Task, index: dict[Text, int]) -> dict[str, Int[np.ndarray, " sentences"]]:
    """Find the rows in a stack of the sentences of each split."""
    return {split: np.array([index[text] for text in task.splits[split].texts]) for split in SPLITS}


def rate_encoding(
    lengths: Int[np.ndarray, " encoded"], seconds: float, encoder: Encoder, *, weighed: bool = True
) -> dict[str, float]:
    """Compute how fast sentences went through the encoder, and how near that is to what the machine can do."""
    if not len(lengths):
        return {}
    rates = {"sentences_per_s": len(lengths) / seconds, "tokens_per_s": int(lengths.sum()) / seconds}
    operations = count_operations(encoder, lengths)
    if weighed and operations and seconds > _WORTH_MEASURING_S:
        peak_rate = measure_peak_rate(encoder.hidden_size, encoder.dtype, encoder.device)
        rates |= {"gflop_per_s": operations / seconds / 1e9, "share_of_matrix_rate": operations / seconds / peak_rate}
    return rates
