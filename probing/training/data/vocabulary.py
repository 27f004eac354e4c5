"""Tokens as pre-training sees them: which are marks, which go on a word, and a tokenizer trained on one's own text."""

from collections.abc import Iterable
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Marks:
    """What is special of a tokenizer's tokens."""

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
    around = open_backend(tokenizer).encode_batch_fast([""])[0].ids
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


def train_tokenizer(paragraphs: Iterable[str], size: int, length: int) -> PreTrainedTokenizerFast:
    """A tokenizer of BERT's kind (WordPiece, lower case) with a vocabulary learned from a text.

    Args:
        paragraphs: of the text.
        size: tokens of the vocabulary.
        length: longest input.

    Raises:
        InputError: the vocabulary has no room for the letters of the text.
    """
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))  # pyright: ignore
    tokenizer.normalizer = normalizers.BertNormalizer()  # pyright: ignore
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()  # pyright: ignore
    tokenizer.decoder = decoders.WordPiece()  # pyright: ignore
    marks = list(_SPECIAL.values())
    trainer = trainers.WordPieceTrainer(  # pyright: ignore
        vocab_size=size, special_tokens=marks, limit_alphabet=_MOST_LETTERS, show_progress=False
    )
    tokenizer.train_from_iterator(paragraphs, trainer)
    if tokenizer.get_vocab_size() > size:
        raise InputError(
            f"--vocabulary {size}: too small for the letters of the text and {len(marks)} marks; expected at least "
            f"{tokenizer.get_vocab_size()}, better some thousands"
        )
    tokenizer.post_processor = processors.TemplateProcessing(  # pyright: ignore
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[(mark, tokenizer.token_to_id(mark)) for mark in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=length, **_SPECIAL)
