"""Labelled sentences with hidden tokens, from which a masked language model learns what stands there.

Masks are drawn anew in every step, never at special tokens and never twice at one place. (The code of C-BERT's authors
draws them once, from one seed per sentence: the same places in all sentences of one length, in every epoch.)
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Int

from probing.contracts.encoder import Tokens
from probing.encoders.inputs import ModelInputs
from probing.progress import Reporter
from probing.randomness import stream
from probing.records import Split
from probing.training.contracts import Batch, Data, MaskedBlocks
from probing.training.data.labelled import order_batches
from probing.training.data.masking import Masking, draw_inputs, draw_places
from probing.training.data.vocabulary import Marks, read_marks
from probing.training.plan import Origin

_FIXED_SEED = 0
"""Of the masks of dev and test: they are the same for every model, seed and run."""


@dataclass(frozen=True)
class Reading:
    """A way of making tokens of sentences, and the marks among them."""

    inputs: ModelInputs
    marks: Marks
    """Padding is one of them."""
    pad: int

    def tokenize(self, split: Split) -> "Sentences":
        """The sentences of a split."""
        return Sentences(self.inputs.tokenize(split.texts), split.labels)


@dataclass(frozen=True)
class Sentences:
    """Some sentences and the index of each one's class."""

    tokens: Tokens
    labels: Int[np.ndarray, " sentences"]

    def __len__(self) -> int:
        return len(self.labels)


def make_reading(origin: Origin) -> Reading:
    """An encoder's way of making tokens.

    Raises:
        InputError: its tokenizer has no mask.
    """
    marks = read_marks(origin.tokenizer, origin.checkpoint.name)
    pad = max(0, int(getattr(origin.config, "pad_token_id", None) or 0))
    special, continues = marks.special.copy(), marks.continues.copy()
    special[pad], continues[pad] = True, False
    inputs = ModelInputs(origin.tokenizer, origin.config, origin.limit)
    return Reading(inputs, replace(marks, special=special, continues=continues), pad)


def pad_tokens(ids: Sequence[Int[np.ndarray, " _tokens"]], pad: int) -> Int[np.ndarray, "batch tokens"]:
    """Rows of several lengths as one array, filled up with padding."""
    padded = np.full((len(ids), max(map(len, ids))), pad, dtype=np.int64)
    for row, own in enumerate(ids):
        padded[row, : len(own)] = own
    return padded


@dataclass(frozen=True)
class HiddenSentences(Batch):
    """Some sentences, and which of their tokens are hidden behind what."""

    original: Int[np.ndarray, "batch tokens"]
    shown: Int[np.ndarray, "batch tokens"]
    hidden: Bool[np.ndarray, "batch tokens"]
    lengths: Int[np.ndarray, " batch"]
    labels: Int[np.ndarray, " batch"] | None
    """Labels that the model is given; none where it is to do without."""

    @property
    def n_tokens(self) -> int:
        """Padding not counted."""
        return int(self.lengths.sum())

    def __len__(self) -> int:
        return len(self.original)

    def collate(self, rows: Int[np.ndarray, " part"], device: str) -> MaskedBlocks:
        """Some of the sentences; with labels, one at each token of its sentence as its type."""
        width = int(self.lengths[rows].max())
        original, shown, hidden = (part[rows, :width] for part in (self.original, self.shown, self.hidden))
        inputs = make_inputs(shown, self.lengths[rows], None if self.labels is None else self.labels[rows], device)
        wanted = torch.from_numpy(original.copy()).to(device)
        places = torch.from_numpy(np.flatnonzero(hidden)).to(device)
        labels = wanted.flatten()[places]
        noise = torch.zeros(len(places), device=device)  # nothing is sampled
        return MaskedBlocks(inputs, wanted, places, labels, noise, float(self.hidden.sum()) / len(self))


def make_inputs(
    ids: Int[np.ndarray, "batch tokens"],
    lengths: Int[np.ndarray, " batch"],
    labels: Int[np.ndarray, " batch"] | None,
    device: str,
) -> dict[str, torch.Tensor]:
    """Keywords of a masked language model, label-conditional where there are labels."""
    inputs = {"input_ids": torch.from_numpy(np.ascontiguousarray(ids)).to(device)}
    inside = np.arange(ids.shape[1]) < lengths[:, None]
    if not inside.all():
        inputs["attention_mask"] = torch.from_numpy(inside.astype(np.int64)).to(device)
    if labels is not None:
        inputs["token_type_ids"] = torch.from_numpy(np.repeat(labels[:, None], ids.shape[1], axis=1)).to(device)
    return inputs


def hide_tokens(
    sentences: Sentences,
    rows: Int[np.ndarray, " batch"],
    reading: Reading,
    masking: Masking,
    generator: np.random.Generator,
    *,
    labelled: bool,
) -> HiddenSentences:
    """Some sentences, a share of the tokens of each hidden, one at least."""
    original = pad_tokens([sentences.tokens.ids[row] for row in rows], reading.pad)
    hidden = draw_places(original, masking, reading.marks, generator)
    shown = draw_inputs(original, hidden, reading.marks, generator)
    labels = sentences.labels[rows].astype(np.int64) if labelled else None
    return HiddenSentences(original, shown, hidden, sentences.tokens.lengths[rows], labels)


class MaskedSentences(Data):
    """The sentences of one split, epoch after epoch, their tokens hidden anew in every step.

    Args:
        sentences: what is learned.
        reading: their marks.
        masking: how much is hidden.
        labelled: whether the model is given the labels.
        size: sentences in a batch.
        seed: of order and masks.
    """

    def __init__(
        self, sentences: Sentences, reading: Reading, masking: Masking, *, labelled: bool, size: int, seed: int
    ):
        self.sentences, self.reading, self.masking = sentences, reading, masking
        self.labelled, self.size, self.seed = labelled, size, seed
        self.n_steps_per_epoch = -(-len(sentences) // size)
        self._epoch, self._order = -1, []

    def __len__(self) -> int:
        return len(self.sentences)

    def batch(self, step: int) -> HiddenSentences:
        """The batch that follows `step` others."""
        epoch, number = divmod(step, self.n_steps_per_epoch)
        if epoch != self._epoch:
            lengths = self.sentences.tokens.lengths
            self._epoch, self._order = epoch, order_batches(lengths, self.size, self.seed, epoch)
        generator = stream(self.seed, "masks", step)
        return hide_tokens(
            self.sentences, self._order[number], self.reading, self.masking, generator, labelled=self.labelled
        )


def hold_sentences(
    sentences: Sentences, split: str, reading: Reading, masking: Masking, *, labelled: bool
) -> HiddenSentences:
    """The sentences of dev or test, hidden once and for all."""
    generator = stream(_FIXED_SEED, "masks", split)
    return hide_tokens(sentences, np.arange(len(sentences)), reading, masking, generator, labelled=labelled)


def count_cut(sentences: Sentences, limit: int, reporter: Reporter) -> None:
    """Warn of sentences that are longer than the limit."""
    n_cut = int(sentences.tokens.truncated.sum())
    if n_cut:
        reporter.warn(f"{n_cut:,} of {len(sentences):,} sentences of train are longer than {limit} tokens, and are cut")
