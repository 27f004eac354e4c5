"""Running text as blocks of tokens of one length: made once, kept in a folder named by content, mapped into memory.

[CLS] paragraph [SEP] paragraph [SEP] para     the block's last paragraph goes on in the next block
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from transformers import PreTrainedTokenizerBase

from probing.atomic_files import make_part, remove_leftovers
from probing.digests import digest_file, digest_json
from probing.encoders.slow_tokenizers import open_backend
from probing.records import SPLITS, InputError
from probing.training.data.text_sources import TextSource
from probing.training.data.vocabulary import Marks, open_plain

Blocks = Int[np.ndarray, "blocks tokens"]

_VERSION = 1
"""Of the way in which blocks are made: another one makes them anew."""
_AT_ONCE = 2048
"""Paragraphs that are tokenised together."""
_HELD_OUT = 50
"""One in so many blocks is dev, and as many are test, where no file says so: the last ones of the text."""
_UNLIMITED = 2**62


@dataclass(frozen=True)
class Packing:
    """A way of making blocks."""

    tokenizer: PreTrainedTokenizerBase
    marks: Marks
    length: int
    """Tokens of a block, marks included."""
    limit: int = 0
    """Most blocks that are made of the training text; 0 for no limit."""

    @property
    def dtype(self) -> np.dtype:
        """Of the stored tokens."""
        return np.dtype(np.uint16 if len(self.marks.special) <= 2**16 else np.int32)

    def name(self, source: TextSource) -> str:
        """The name of the blocks of a text: equal where all that they depend on is."""
        tokenizer = open_backend(self.tokenizer).to_str()
        return digest_json([_VERSION, source.digest, sorted(source.splits), tokenizer, self.length, self.limit])


def open_blocks(source: TextSource, packing: Packing, cache: Path) -> dict[str, Blocks]:
    """The blocks of each split of a text, which are made unless they are there already.

    Args:
        source: the text.
        packing: how its blocks are made.
        cache: the folder in which blocks of all texts are kept, each in a folder of its own.

    Raises:
        InputError: the text cannot be read, or is shorter than a block, or too short to hold anything out.
        OSError: the cache cannot be written.
    """
    folder = cache / "text" / packing.name(source)
    found = _load(folder, packing)
    if found is None:
        remove_leftovers(folder.parent.glob(".*"))
        _make(folder, source, packing)
        found = _load(folder, packing)
    if found is None:
        raise InputError(
            f"{folder}: blocks of text were written and cannot be read again; see whether the disk is sound"
        )
    return _hold_out(found, source.name) if "dev" not in found else found


def pack(paragraphs: Iterable[str], packing: Packing) -> Iterator[Blocks]:
    """The blocks of a text, some at a time; what fills no block at its end is left out."""
    marks, width = packing.marks, packing.length - 1
    rest = np.empty(0, dtype=packing.dtype)
    for ids in _tokenise(paragraphs, packing):
        rest = np.concatenate([rest, ids])
        n_blocks = len(rest) // width
        body, rest = rest[: n_blocks * width].reshape(n_blocks, width), rest[n_blocks * width :]
        yield np.insert(body, 0, marks.begin, axis=1)


def _tokenise(paragraphs: Iterable[str], packing: Packing) -> Iterator[Int[np.ndarray, " tokens"]]:
    """The tokens of many paragraphs at a time, each with the mark that ends it."""
    backend = open_plain(packing.tokenizer)
    lines = iter(paragraphs)
    while some := list(islice(lines, _AT_ONCE)):
        # Of an empty paragraph only the marks are left.
        rows = [row.ids[1:] for row in backend.encode_batch_fast(some) if len(row.ids) > 2]
        yield np.array([number for row in rows for number in row], dtype=packing.dtype)


def _make(folder: Path, source: TextSource, packing: Packing) -> None:
    """Write the blocks of all splits, whole or not at all."""
    with make_part(folder) as part:
        shapes = {split: _write(part / f"{split}.bin", source, split, packing) for split in source.splits}
        digests = {split: digest_file(part / f"{split}.bin") for split in shapes}
        facts = {"shapes": shapes, "digests": digests, "dtype": packing.dtype.name, "text": source.facts}
        (part / "blocks.json").write_text(json.dumps(facts, indent=2), encoding="utf-8")
        # Another run may have been faster, and be reading what it wrote.
        if _load(folder, packing) is None:
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):
                part.rename(folder)


def _write(path: Path, source: TextSource, split: str, packing: Packing) -> tuple[int, int]:
    """Write one split; the shape of its blocks."""
    limit = packing.limit if split == "train" and packing.limit else _UNLIMITED
    n_blocks = 0
    with path.open("wb") as file:
        for blocks in pack(source.splits[split](), packing):
            kept = blocks[: limit - n_blocks]
            file.write(kept.tobytes())
            n_blocks += len(kept)
            if n_blocks == limit:
                break
    if not n_blocks:
        raise InputError(
            f"--text: {split} of {source.name} is shorter than one block of {packing.length} tokens; expected more "
            "text, or a smaller --max-length"
        )
    return n_blocks, packing.length


def _load(folder: Path, packing: Packing) -> dict[str, Blocks] | None:
    """The blocks that were kept, if they are whole."""
    try:
        facts: Mapping[str, Any] = json.loads((folder / "blocks.json").read_text(encoding="utf-8"))
        found = {}
        for split, shape in facts["shapes"].items():
            path = folder / f"{split}.bin"
            if digest_file(path) != facts["digests"][split]:
                return None
            found[split] = np.memmap(path, packing.dtype, "r", shape=tuple(shape))
        return found
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _hold_out(blocks: Mapping[str, Blocks], name: str) -> dict[str, Blocks]:
    """The last blocks of the training text as dev and test."""
    train = blocks["train"]
    n_held = max(1, len(train) // _HELD_OUT)
    if len(train) <= 2 * n_held:
        raise InputError(
            f"--text: {name} has no dev text, and {len(train)} block(s) are too few to hold any out; expected a file "
            "whose name begins with dev, or more text"
        )
    first, second = len(train) - 2 * n_held, len(train) - n_held
    return dict(zip(SPLITS, (train[:first], train[first:second], train[second:]), strict=True))
