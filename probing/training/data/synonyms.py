"""Words in place of others that need no masked language model: WordNet's synonyms, or neighbours among word vectors."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from nltk.corpus import wordnet
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from probing.training.data.replacement import Blanks
from probing.training.data.vocabulary import Marks
from probing.training.data.word_choices import LEFT_ALONE

_NEIGHBOURS = 10
"""Nearest word vectors, one of which is drawn."""

Candidates = Callable[[int], Int[np.ndarray, " candidates"]]
"""Token -> tokens that may stand in its place; none where it stays."""


class CandidateFill:
    """Places filled by one of the old token's candidates, all equally likely; a token without any stays.

    Args:
        candidates: of a token.
    """

    def __init__(self, candidates: Candidates):
        self._candidates = cache(candidates)

    def __call__(self, blanks: Blanks) -> Int[np.ndarray, " blanks"]:
        """A token for each place, drawn with the noise of the blanks."""
        old = blanks.ids[blanks.hidden]
        new = old.copy()
        for number, token in enumerate(old.tolist()):
            choices = self._candidates(token)
            if len(choices):
                new[number] = choices[int(blanks.noise[number] * len(choices))]
        return new


class SynonymFill(CandidateFill):
    """Whole words in place of whole words that have a synonym; no other place is drawn.

    Args:
        candidates: of a token.
        continues: True at tokens that go on with a word.
    """

    def __init__(self, candidates: Candidates, continues: Bool[np.ndarray, " vocab"]):
        super().__init__(candidates)
        self._continues = continues

    def may_fill(self, ids: Int[np.ndarray, " tokens"]) -> Bool[np.ndarray, " tokens"]:
        """True at words of one token that have a candidate: `icon` before `##oclastic` is none."""
        goes_on = np.append(self._continues[ids[1:]], False)
        return ~goes_on & np.array([len(self._candidates(token)) > 0 for token in ids.tolist()], dtype=bool)


def has_wordnet() -> bool:
    """True where nltk's copy of WordNet is on this machine."""
    try:
        return bool(wordnet.synsets("word"))
    except (LookupError, OSError):  # a part of its files is no WordNet either
        return False


def find_synonyms(tokenizer: PreTrainedTokenizerBase, readable: Bool[np.ndarray, " vocab"]) -> Candidates:
    """Synonyms of a word by WordNet, all senses, that are a token themselves.

    Tokens inside words have none, nor have stop words: of those WordNet knows abbreviations alone (`in`: inch).
    """
    vocabulary: Mapping[str, int] = tokenizer.get_vocab()

    def find(token: int) -> Int[np.ndarray, " candidates"]:
        word: Any = tokenizer.convert_ids_to_tokens(token)
        senses: Any = [] if word.lower() in LEFT_ALONE else wordnet.synsets(word)
        lemmas = {lemma.name().lower() for sense in senses for lemma in sense.lemmas()}
        numbers = {vocabulary[lemma] for lemma in lemmas - {word} if lemma in vocabulary}
        return np.array(sorted(number for number in numbers if readable[number]), dtype=np.int64)

    return find


def find_neighbours(
    vectors: Float[Tensor, "vocab hidden"], marks: Marks, readable: Bool[np.ndarray, " vocab"]
) -> Candidates:
    """The tokens of the nearest vectors, by cosine, of the same kind: beginning a word, or going on with one."""
    directions = torch.nn.functional.normalize(vectors.detach().float(), dim=1)[: len(readable)]

    @torch.no_grad()
    def find(token: int) -> Int[np.ndarray, " candidates"]:
        allowed = readable & (marks.continues == marks.continues[token])
        allowed[token] = False
        likeness = (directions @ directions[token]).masked_fill(~torch.from_numpy(allowed), -2.0)
        n = min(_NEIGHBOURS, int(allowed.sum()))
        return np.sort(likeness.topk(n).indices.numpy())

    return find
