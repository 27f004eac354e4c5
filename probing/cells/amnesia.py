"""A property erased at the output of one block, and what the rest of the encoder makes of that.

Amnesic probing (Elazar et al. 2021, arXiv 2006.00995) asks what an encoder loses that can no longer read a property,
where a probe asks whether it could. It is done here with LEACE (arXiv 2306.03819) in place of iterated projections, as
Dobrzeniecka et al. 2025 advise (arXiv 2506.11673). For each block l, and for the embeddings:

1. the eraser of the property is fitted on token states of training sentences, weighted as pooling weighs them;
2. it is applied to all tokens of all sentences, and the blocks above l compute from what is left;
3. a new probe of the property is fitted on each layer from l on: where it finds the property again, the blocks above l
   make it anew, out of what no linear map sees at l; a head of the encoder, which is not fitted anew, shows what it
   misses.

The same is done with as many random directions (drawn where the states have variance 1) and with labels that are drawn
once per word: what these lose any erasure of that size loses. The reference is the encoder without an erasure, computed
by the same engine; a cross-validated task has its first fold.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Bool

from probing.catalogue.measures import MEASURES
from probing.cells.amnesic_heads import measure_heads
from probing.cells.amnesic_scores import Erasure, score_erasures
from probing.cells.amnesic_states import BY_WORD, Erasers, Sentences, encode_erased, fit_for_task, locate_task
from probing.cells.encoding import list_texts
from probing.cells.fitting import fit_folds
from probing.contracts.encoder import ChangeableEncoder, Encoder
from probing.contracts.measure import Cell, Encoded, describe
from probing.encoders.stored_heads import identify_heads
from probing.folds import plan_folds
from probing.records import LayerStack, Task
from probing.representations.pooling import Pooling
from probing.representations.shard_encoding import tokenise
from probing.settings.run import RunSettings
from probing.tables import AmnesicScore, CellResult
from probing.tasks.subset import limit_task

_STACK_BYTES = 2**30
"""Pooled vectors that are in memory at a time: as many blocks as they allow are erased in one pass over sentences."""

Right = Mapping[int, Bool[np.ndarray, " test"]]
"""By layer: whether its probe is right about each test sentence."""


def find_obstacle(encoder: Encoder) -> str:
    """Find what hinders a property from being erased inside an encoder; empty where nothing does."""
    if not isinstance(encoder, ChangeableEncoder):
        return f"{type(encoder).__name__} has no encode_changed, which runs an encoder on changed states"
    return encoder.find_change_obstacle()


@describe(MEASURES["amnesia"], find_obstacle, lambda settings: identify_heads(settings.checkpoint))
def measure_amnesia(cell: Cell, encoded: Encoded, settings: RunSettings) -> CellResult:
    """Scores after an erasure at each block, by each later layer and by the heads that there are; and what is lost.

    The task's own property is erased, and probed again. With `amnesia_others`, the other tasks of the run are probed
    behind the same erasures too, those by words apart.
    """
    task, encoder = draw_sample(cell.task, settings.amnesia_limit), encoded.open_encoder()
    sentences = read_task(encoded, task, settings)
    erasers = fit_for_task(sentences, task, encoded.layers, cell.seed)
    facts = {"model": settings.model, "checkpoint": encoder.checkpoint, "seed": cell.seed, "erased": task.name}
    rows = follow(_Probe(replace(cell, task=task), encoded, settings), sentences, erasers, facts)
    rows += measure_heads(encoder, task, encoded.layers, settings, facts | describe_task(task))
    others = encoded.others.tasks if encoded.others and settings.amnesia_others else ()
    for other in others:
        if other.name != task.name and not other.graded:
            sample = draw_sample(other, settings.amnesia_limit)
            part = {control: own for control, own in erasers.items() if control != BY_WORD}
            probe = _Probe(replace(cell, task=sample), encoded, settings)
            rows += follow(probe, read_task(encoded, sample, settings), part, facts)
    return CellResult(amnesia=rows)


def read_task(encoded: Encoded, task: Task, settings: RunSettings) -> Sentences:
    """The sentences of a task as the encoder takes them."""
    encoder: Any = encoded.open_encoder()
    tokens = tokenise(encoder, list_texts(task))
    return Sentences(encoder, tokens, Pooling(settings.pooling, settings.special_tokens))


def describe_task(task: Task) -> dict[str, Any]:
    """The columns that say what is scored, and how much of it there was to learn from."""
    train, test = task.splits["train"].labels, task.splits["test"].labels
    majority = float((test == np.bincount(train).argmax()).mean())
    return {"task": task.name, "group": task.spec.group, "n_train": len(train), "majority": majority}


def follow(probe: "_Probe", sentences: Sentences, erasers: Erasers, facts: Mapping[str, Any]) -> list[AmnesicScore]:
    """The rows of a task by each erasure, block and later layer."""
    encoder, layers, rows = sentences.encoder, probe.layers, []
    plain, erased = probe.follow(sentences, erasers)
    for block in (-1, *layers):
        for layer in layers:
            if layer < block:
                continue
            found = {control: by_block[block][layer] for control, by_block in erased.items()} if block >= 0 else {}
            ranks = {control: own[block].rank for control, own in erasers.items()} if block >= 0 else {}
            where = {"readout": "layer", "layer": layer, "layer_name": encoder.layer_names[layer]}
            own_facts = {**facts, **describe_task(probe.cell.task), **where}
            at = Erasure(block, ("", *encoder.layer_names)[block + 1], ranks, own_facts)
            rows += score_erasures(at, "accuracy", plain[layer], found)
    return rows


def draw_sample(task: Task, limit: int) -> Task:
    """A task with at most so many sentences of each split, and with fixed splits: of a cross-validation, its first."""
    if task.folds:
        first = plan_folds(task)[0]
        splits = {name: split.select(first[name]) for name, split in task.splits.items()}
        task = replace(task, splits=splits, folds=0)
    return limit_task(task, limit) if limit else task


class _Probe:
    """The run's probe on layers of an encoder in which something is erased.

    Args:
        cell: with the sample of the task.
        encoded: its encoder, and the layers that are probed.
        settings: of the run.
    """

    def __init__(self, cell: Cell, encoded: Encoded, settings: RunSettings):
        self.cell, self.settings, self.layers = replace(cell, measure="scores"), settings, encoded.layers
        self._encoded = replace(encoded, rows=locate_task(cell.task))

    def find_right(self, stack: LayerStack, layers: Sequence[int]) -> Right:
        """Fit a probe on each of some layers, and see which test sentences it knows."""
        fit = fit_folds(self.cell, replace(self._encoded, stack=stack), self.settings, layers)
        labels = self.cell.task.splits["test"].labels
        return {
            layer: log_probs.argmax(axis=1) == labels for layer, log_probs in zip(layers, fit.read["test"], strict=True)
        }

    def follow(self, sentences: Sentences, erasers: Erasers) -> tuple[Right, Mapping[str, Mapping[int, Right]]]:
        """Probe the encoder as it is, and by erasure and block that where something is erased."""
        layers, plain = self.layers, {}
        found: dict[str, dict[int, Right]] = {control: {} for control in erasers}
        for control, own in erasers.items():
            for blocks in self._group(sentences, layers):
                stack, stacks = encode_erased(sentences, {block: own[block] for block in blocks})
                plain = plain or self.find_right(stack, layers)
                for block in blocks:
                    later = [layer for layer in layers if layer >= block]
                    found[control][block] = self.find_right(stacks.pop(block), later)
        return plain, found

    @staticmethod
    def _group(sentences: Sentences, blocks: Sequence[int]) -> Iterator[Sequence[int]]:
        encoder = sentences.encoder
        layer_bytes = 4 * len(sentences.tokens.ids) * encoder.hidden_size
        group, held = [], 0
        for block in blocks:
            needed = layer_bytes * (len(encoder.layer_names) - block)
            if group and held + needed > _STACK_BYTES:
                yield group
                group, held = [], 0
            group, held = [*group, block], held + needed
        if group:
            yield group
