"""Tokens as pre-training sees them: marks, pieces inside words, and a tokenizer trained on one's own text."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Int
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from probing.encoders.slow_tokenizers import open_backend
from probing.records import InputError

_SPECIAL = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
_SPECIAL |= {"mask_token": "[MASK]"}
_MASKS = ("[MASK]", "<mask>")
_BEGINNINGS = ("Ġ", "▁")
"""Begin a word in the vocabularies of byte-level BPE and of SentencePiece."""
_MOST_LETTERS = 1000
"""Of a trained vocabulary; rarer ones are unknown."""
_MOVED = 0x80000
"""By how much letters inside a word are moved up, to where Unicode has none."""
_NORMALIZER = normalizers.BertNormalizer()  # pyright: ignore
_SPLITTER = pre_tokenizers.BertPreTokenizer()  # pyright: ignore


@dataclass(frozen=True)
class Marks:
    """The special tokens of a tokenizer, and those inside words."""

    begin: int
    """Stands before a text, such as [CLS]."""
    end: int
    """Stands behind a text, such as [SEP]."""
    mask: int
    special: Bool[np.ndarray, " vocab"]
    """True at marks, which are never masked."""
    continues: Bool[np.ndarray, " vocab"]
    """True at tokens that go on with a word."""

    @property
    def ordinary(self) -> Int[np.ndarray, " words"]:
        """Tokens that are no marks."""
        return np.flatnonzero(~self.special)


def read_marks(tokenizer: PreTrainedTokenizerBase, name: str) -> Marks:
    """The marks of a tokenizer; one that has [MASK] in its vocabulary without saying so, says so from now on.

    Args:
        tokenizer: of an encoder.
        name: of its checkpoint.

    Raises:
        InputError: it has no mask, or does not put one mark before and one behind a text.
    """
    vocabulary = tokenizer.get_vocab()
    if tokenizer.mask_token is None:
        known = [mark for mark in _MASKS if mark in vocabulary]
        if not known:
            raise InputError(f"checkpoint {name}: its tokenizer has no mask token; take a masked language model's")
        tokenizer.mask_token = known[0]
    around = open_plain(tokenizer).encode_batch_fast([""])[0].ids
    if len(around) != 2:
        raise InputError(
            f"checkpoint {name}: its tokenizer puts {len(around)} marks around a text; expected one before it and one "
            "behind"
        )
    size = max(vocabulary.values()) + 1
    special, continues = np.zeros(size, dtype=bool), np.zeros(size, dtype=bool)
    special[[*tokenizer.all_special_ids, *around]] = True
    marked = any(word.startswith(_BEGINNINGS) for word in vocabulary)
    for word, number in vocabulary.items():
        continues[number] = not word.startswith(_BEGINNINGS) if marked else word.startswith("##")
    mask: int = tokenizer.mask_token_id  # pyright: ignore
    return Marks(around[0], around[1], mask, special, continues & ~special)


def open_plain(tokenizer: PreTrainedTokenizerBase) -> Any:
    """A maker of the tokens of texts of any length, apart from the tokenizer itself, which will be saved as it is."""
    backend = open_backend(tokenizer)
    if isinstance(backend, Tokenizer):
        backend = Tokenizer.from_str(backend.to_str())
        backend.no_padding()
        backend.no_truncation()
    # "[SEP]" in a text is text.
    backend.encode_special_tokens = True
    return backend


def train_tokenizer(read: Callable[[], Iterable[str]], size: int, length: int) -> PreTrainedTokenizerFast:
    """A tokenizer of BERT's kind (WordPiece, lower case) with a vocabulary learned from a text.

    The pieces are those that byte-pair encoding merges (Sennrich et al. 2016, arXiv 1508.07909), letters that go on
    with a word being other letters than those that begin one. The library's own trainer of WordPiece gives another
    vocabulary each time.

    Args:
        read: gives the paragraphs of the text, from the first one on whenever it is called.
        size: tokens of the vocabulary, marks included; fewer come back where the text has no more pieces.
        length: longest input.

    Raises:
        InputError: the vocabulary has no room for the letters of the text.
    """
    marks = list(_SPECIAL.values())
    pairs = Tokenizer(models.BPE())
    pairs.pre_tokenizer = pre_tokenizers.WhitespaceSplit()  # pyright: ignore
    trainer = trainers.BpeTrainer(vocab_size=max(0, size - len(marks)), show_progress=False)  # pyright: ignore
    pairs.train_from_iterator(_mark_words(read), trainer)
    if pairs.get_vocab_size() > size - len(marks):
        raise InputError(
            f"--vocabulary {size}: too small for the letters of the text and {len(marks)} marks; expected at least "
            f"{pairs.get_vocab_size() + len(marks)}, better some thousands"
        )
    pieces = sorted(map(_unmark, pairs.get_vocab()))
    tokenizer = Tokenizer(models.WordPiece({piece: n for n, piece in enumerate([*marks, *pieces])}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = _NORMALIZER, _SPLITTER  # pyright: ignore
    tokenizer.decoder = decoders.WordPiece()  # pyright: ignore
    tokenizer.post_processor = processors.TemplateProcessing(  # pyright: ignore
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[(mark, tokenizer.token_to_id(mark)) for mark in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=length, **_SPECIAL)


def _mark_words(read: Callable[[], Iterable[str]]) -> Iterator[str]:
    """The paragraphs with a blank between words, all letters but a word's first moved up, and rare letters left out."""
    counts: Counter[str] = Counter()
    for paragraph in read():
        counts.update(_NORMALIZER.normalize_str(paragraph))
    usual = sorted(counts, key=lambda letter: (-counts[letter], letter))[:_MOST_LETTERS]
    rare = dict.fromkeys(map(ord, set(counts) - set(usual)))
    moved = {ord(letter): ord(letter) + _MOVED for letter in usual}
    for paragraph in read():
        words = _SPLITTER.pre_tokenize_str(_NORMALIZER.normalize_str(paragraph).translate(rare))
        yield " ".join(word[0] + word[1:].translate(moved) for word, _ in words)


def _unmark(piece: str) -> str:
    """A piece as WordPiece writes it."""
    letters = "".join(chr(ord(letter) % _MOVED) for letter in piece)
    return letters if ord(piece[0]) < _MOVED else f"##{letters}"
