"""Running text to be learned from: blocks in an order that seed and epoch decide, hidden anew by seed and step."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from probing.randomness import stream
from probing.records import InputError
from probing.training.contracts import Batch, Data, MaskedBlocks
from probing.training.data.blocks import Blocks, Packing, open_blocks
from probing.training.data.masking import Masking, draw_inputs, draw_places
from probing.training.data.text_sources import TextSource
from probing.training.data.vocabulary import Marks
from probing.training.plan import Source

_FIXED_SEED = 0
"""Of the masks of dev and test: they are the same for every model, seed and run."""
_MOST_UNKNOWN = 0.5
"""Share of the tokens: of a text that is more unknown than known, nothing can be learned."""
_COUNTED = 4096
"""Blocks that tokens are counted in at a time."""


@dataclass(frozen=True)
class HiddenTokens(Batch):
    """Some blocks, and which of their tokens are hidden behind what."""

    original: Int[np.ndarray, "batch tokens"]
    shown: Int[np.ndarray, "batch tokens"]
    hidden: Bool[np.ndarray, "batch tokens"]
    noise: Float[np.ndarray, "batch tokens"]

    @property
    def n_tokens(self) -> int:
        """All of them; there is no padding."""
        return self.original.size

    def __len__(self) -> int:
        return len(self.original)

    def collate(self, rows: Int[np.ndarray, " part"], device: str) -> MaskedBlocks:
        """Some of the blocks."""
        hidden = self.hidden[rows].ravel()
        original, shown, noise = (move(part[rows], device) for part in (self.original, self.shown, self.noise))
        places = move(np.flatnonzero(hidden), device)
        labels, drawn = original.flatten()[places], noise.flatten()[places]
        return MaskedBlocks({"input_ids": shown}, original, places, labels, drawn, self.hidden.sum() / len(self))


def move(array: np.ndarray, device: str) -> Tensor:
    """An array on a device; to a GPU it goes beside the computing."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.startswith("cuda") else tensor.to(device)


@dataclass(frozen=True)
class Text:
    """Running text as blocks, ready to be learned from."""

    splits: Mapping[str, Blocks]
    """`train`, `dev` and, where there is one, `test`."""
    marks: Marks
    counts: Int[np.ndarray, " vocab"]
    """Number of times that each token is in the training text."""
    source: Source

    def data(self, masking: Masking, size: int, seed: int) -> "MaskedText":
        """The training text in batches of so many blocks, in an order of the seed's."""
        return MaskedText(self, masking, size, seed)

    def hold(self, split: str, masking: Masking, limit: int = 0) -> HiddenTokens:
        """The blocks of dev or test, hidden once and for all.

        Args:
            split: which.
            masking: how much is hidden.
            limit: at most this many blocks, the first ones; 0 takes all.
        """
        blocks = self.splits[split][: limit or None]
        return hide(blocks, masking, self.marks, stream(_FIXED_SEED, "masks", split))


class MaskedText(Data):
    """The training text, epoch after epoch; its tokens are hidden anew in every step.

    Args:
        text: what is learned.
        masking: how much is hidden.
        size: blocks in a batch.
        seed: of order and masks.
    """

    def __init__(self, text: Text, masking: Masking, size: int, seed: int):
        self.blocks, self.marks, self.masking = text.splits["train"], text.marks, masking
        self.size, self.seed = size, seed
        self.n_steps_per_epoch = -(-len(self.blocks) // size)
        self._epoch, self._order = -1, np.empty(0, dtype=int)

    def __len__(self) -> int:
        return len(self.blocks)

    def batch(self, step: int) -> HiddenTokens:
        """The batch that follows `step` others."""
        epoch, number = divmod(step, self.n_steps_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, stream(self.seed, "blocks", epoch).permutation(len(self.blocks))
        rows = self._order[number * self.size : (number + 1) * self.size]
        return hide(self.blocks[rows], self.masking, self.marks, stream(self.seed, "masks", step))


def hide(blocks: Blocks, masking: Masking, marks: Marks, generator: np.random.Generator) -> HiddenTokens:
    """Blocks with some of their tokens hidden."""
    original = np.asarray(blocks).astype(np.int64)
    hidden = draw_places(original, masking, marks, generator)
    shown = draw_inputs(original, hidden, marks, generator)
    return HiddenTokens(original, shown, hidden, generator.random(original.shape, dtype=np.float32))


def load_text(source: TextSource, packing: Packing, cache: Path) -> Text:
    """A text in blocks.

    Raises:
        InputError: as `open_blocks`; or the training text has but one word, or is mostly unknown to the tokenizer.
    """
    splits, marks = open_blocks(source, packing, cache), packing.marks
    counts = count_tokens(splits["train"], len(marks.special))
    unknown: int | None = packing.tokenizer.unk_token_id  # pyright: ignore
    share = 0.0 if unknown is None else counts[unknown] / max(1, counts[unknown] + counts[~marks.special].sum())
    if share > _MOST_UNKNOWN:
        raise InputError(
            f"--text: {share:.0%} of the tokens of {source.name} are unknown to the tokenizer; expected text of its "
            "language, or --vocabulary for a tokenizer of the text's own, where the recipe has that"
        )
    if np.count_nonzero(counts[~marks.special]) < 2:
        raise InputError(
            f"--text: the training text of {source.name} is one word again and again; expected running text"
        )
    facts = {**source.facts, "digest": packing.name(source), "length": packing.length}
    facts |= {split: len(blocks) for split, blocks in splits.items()}
    return Text(splits, marks, counts, Source(source.name, packing.name(source), facts))


def count_tokens(blocks: Blocks, n: int) -> Int[np.ndarray, " vocab"]:
    """Number of times that each of n tokens is in some blocks."""
    parts = (blocks[start : start + _COUNTED].ravel() for start in range(0, len(blocks), _COUNTED))
    return sum((np.bincount(part, minlength=n) for part in parts), np.zeros(n, dtype=np.int64))
