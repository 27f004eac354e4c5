"""Losses of the heads of an encoder where a property is erased at one of its blocks.

A head is not fitted anew: what it loses, it had used. A masked language model predicts hidden tokens of the task's test
sentences (15 % of each, one at least, all behind masks, the same ones every time); a classifier predicts the classes
that it was fine-tuned on, where the task has the same. The erasers are fitted on the states of the model with the head,
which may be another encoder than the one that is probed: a head that was trained for it brought its blocks along.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch.nn import functional as F

from probing.cells.amnesic_scores import Erasure, Values, score_erasures
from probing.cells.amnesic_states import Erasers, Sentences, fit_for_task, locate_task, make_change
from probing.cells.encoding import list_texts
from probing.contracts.encoder import Encoder, Tokens
from probing.encoders.block_outputs import BlockOutputs
from probing.encoders.masked_lm import predict_at
from probing.encoders.stored_heads import MASKED, StoredHead, find_classifier_head, find_masked_head, hide_tokens
from probing.randomness import stream
from probing.records import Task
from probing.representations.pooling import Pooling
from probing.representations.shard_encoding import tokenise
from probing.settings.run import RunSettings
from probing.tables import AmnesicScore

_SHARE = 0.15
"""Of the tokens of a sentence that are hidden, as in pre-training (arXiv 1810.04805)."""
_BATCH = 256
"""Sentences of one length in a batch."""
_TITLES = {"masked_lm": "masked language model", "classifier": "fine-tuned classifier"}

Found = Mapping[str, Values]
"""By metric: the numbers of each test sentence."""


def measure_heads(
    encoder: Encoder, task: Task, layers: Sequence[int], settings: RunSettings, facts: Mapping[str, Any]
) -> list[AmnesicScore]:
    """The rows of every head that belongs to the encoder; none where there is no head, or none on such blocks."""
    classes = task.classes
    heads = [find_masked_head(encoder, settings.checkpoint, settings.max_length)]
    heads.append(find_classifier_head(encoder, settings.checkpoint, classes, settings.max_length))
    pooling, rows = Pooling(settings.pooling, settings.special_tokens), []
    for head in heads:
        if head is not None and not head.encoder.find_change_obstacle():
            rows += _measure(head, task, layers, pooling, dict(facts))
    return rows


def _measure(
    head: StoredHead, task: Task, layers: Sequence[int], pooling: Pooling, facts: dict[str, Any]
) -> Iterator[AmnesicScore]:
    sentences = Sentences(head.encoder, tokenise(head.encoder, list_texts(task)), pooling)
    erasers = fit_for_task(sentences, task, layers, facts["seed"])
    facts |= {"checkpoint": head.encoder.checkpoint, "readout": head.kind, "layer": -1}
    facts["layer_name"] = _TITLES[head.kind]
    if head.kind == MASKED:
        facts["majority"] = float("nan")
    asked = _ask(head, sentences.tokens, task)
    plain, found = asked.answer(erasers)
    for metric, values in plain.items():
        yield from score_erasures(Erasure(-1, "", {}, facts), metric, values, {})
        for block, by_control in found.items():
            ranks = {control: own[block].rank for control, own in erasers.items()}
            at = Erasure(block, head.encoder.layer_names[block], ranks, facts)
            yield from score_erasures(at, metric, values, {name: one[metric] for name, one in by_control.items()})


@dataclass(frozen=True)
class _Asked:
    """Test sentences as a head reads them."""

    head: StoredHead
    tokens: Tokens
    """Of each test sentence, with masks in them."""
    wanted: Sequence[Int[np.ndarray, " _answers"]]
    """Tokens at the hidden places, or the class."""
    places: Sequence[Int[np.ndarray, " _answers"]]
    """Hidden places; of a classifier, the first one."""

    @torch.inference_mode()
    def answer(self, erasers: Erasers) -> tuple[Found, Mapping[int, Mapping[str, Found]]]:
        """The head's numbers as it is, and by block and erasure."""
        outputs, lengths = BlockOutputs(self.head.model), self.tokens.lengths
        plain: list[tuple[np.ndarray, Found]] = []
        found: dict[tuple[int, str], list[Found]] = {}
        for length in np.unique(lengths):
            own = np.flatnonzero(lengths == length)
            for rows in np.array_split(own, -(-len(own) // _BATCH)):
                with outputs.record() as recorded:
                    plain.append((rows, self._read(rows)))
                for control, by_block in erasers.items():
                    for block, eraser in by_block.items():
                        with outputs.change(recorded, block, make_change(eraser)):
                            found.setdefault((block, control), []).append(self._read(rows))
        order = np.argsort(np.concatenate([rows for rows, _ in plain]))
        blocks: dict[int, dict[str, Found]] = {}
        for (block, control), parts in found.items():
            blocks.setdefault(block, {})[control] = _join(parts, order)
        return _join([one for _, one in plain], order), blocks

    def _read(self, rows: Int[np.ndarray, " batch"]) -> Found:
        inputs = self.head.encoder.collate(self.tokens, rows)
        counts, wanted = (
            [len(self.wanted[row]) for row in rows],
            torch.from_numpy(np.concatenate([self.wanted[row] for row in rows])),
        )
        if self.head.kind != MASKED:
            return {"accuracy": (self.head.model(**inputs).logits.argmax(dim=1).cpu() == wanted).numpy()}
        width, owner = inputs["input_ids"].shape[1], np.repeat(np.arange(len(rows)), counts)
        places = torch.from_numpy(np.concatenate([self.places[row] for row in rows]) + owner * width)
        logits = predict_at(self.head.model, inputs, places.to(self.head.encoder.device)).float().cpu()
        bits = F.cross_entropy(logits, wanted, reduction="none").double().numpy() / np.log(2)
        right = (logits.argmax(dim=1) == wanted).double().numpy()
        return {
            "bits_per_token": np.bincount(owner, bits) / counts,
            "masked_accuracy": np.bincount(owner, right) / counts,
        }


def _join(parts: Sequence[Found], order: Int[np.ndarray, " test"]) -> Found:
    return {metric: np.concatenate([part[metric] for part in parts])[order] for metric in parts[0]}


def _ask(head: StoredHead, tokens: Tokens, task: Task) -> _Asked:
    """The test sentences as a head reads them; those without a word are left out where words are hidden."""
    rows, labels = locate_task(task)["test"], task.splits["test"].labels
    parts = {name: tuple(getattr(tokens, name)[row] for row in rows) for name in ("ids", "types", "special")}
    if head.kind != MASKED:
        own = Tokens(**parts, truncated=tokens.truncated[rows])
        return _Asked(head, own, [labels[row : row + 1] for row in range(len(rows))], [np.zeros(1, int)] * len(rows))
    kept = [row for row, special in enumerate(parts["special"]) if not special.all()]
    parts = {name: tuple(values[row] for row in kept) for name, values in parts.items()}
    rng, places = stream(0, "hidden", task.name), []
    for special in parts["special"]:
        words = np.flatnonzero(~special)
        places.append(np.sort(rng.permutation(words)[: max(1, round(_SHARE * len(words)))]))
    wanted = [ids[chosen] for ids, chosen in zip(parts["ids"], places, strict=True)]
    masked = replace(
        Tokens(**parts, truncated=tokens.truncated[rows][kept]), ids=hide_tokens(parts["ids"], places, head.mask)
    )
    return _Asked(head, masked, wanted, places)
