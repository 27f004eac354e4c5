"""A sentence of a treebank: surface tokens to write, syntactic words to reason about.

A *token* is what stands in the text (`don't`, `zum`); a *word* is what the syntax speaks of (`do` + `n't`,
`zu` + `dem`). Task files get the text as it is printed, labels come from words.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nltk.tree import Tree

_DOUBLE_QUOTES = re.compile(
    '["\u00ab\u00bb\u201c-\u201f\u300c-\u300f\u301d-\u301f\uff02]'  # straight, angle, curly, corner, full-width
    "|``|''|\u2018\u2018|\u2019\u2019"
)

NO_HEAD = -2
"""Stands for the governor where a treebank has none."""


@dataclass(frozen=True)
class Word:
    """One syntactic word."""

    form: str
    upos: str
    xpos: str
    feats: Mapping[str, str]
    head: int
    """Index of the governor among the sentence's words; -1 at the root, `NO_HEAD` where there are no dependencies."""
    relation: str
    """Dependency relation with its subtype, such as `nsubj:pass`."""
    token: int
    """Index of the surface token that holds this word."""
    lemma: str = "_"

    @property
    def is_punctuation(self) -> bool:
        """True where the word is a punctuation mark; symbols such as `$` are not."""
        return self.upos == "PUNCT" or self.relation.startswith("punct")

    @property
    def tag(self) -> str:
        """Everything that must agree before one word can stand in another's place."""
        return "|".join([self.upos, self.xpos, *(f"{key}={self.feats[key]}" for key in sorted(self.feats))])


@dataclass(frozen=True)
class Sentence:
    """One sentence of a treebank."""

    sent_id: str
    split: str
    """One of `SPLITS`."""
    tokens: tuple[str, ...]
    """Surface tokens; white space within one (as in Vietnamese or in French numbers) is a single space."""
    glued: tuple[bool, ...]
    """True where no space follows the token in the printed text."""
    words: tuple[Word, ...]
    tree: "Tree | None" = None
    """Constituency tree over the words, where one is known."""

    @cached_property
    def text(self) -> str:
        """The sentence as it is printed, with spaces only where the source has them: what a task file holds."""
        return print_tokens(self.tokens, self.glued)

    @property
    def length(self) -> int:
        """Number of tokens, punctuation included; a token with a space in it counts as two."""
        return sum(len(token.split()) for token in self.tokens)

    @property
    def has_double_quotes(self) -> bool:
        """True where double quotes of any script stand in it, or two single ones that stand for them."""
        return _DOUBLE_QUOTES.search(" ".join(self.tokens)) is not None

    @property
    def is_parsed(self) -> bool:
        """True where it has dependencies."""
        return any(word.head != NO_HEAD for word in self.words)

    @cached_property
    def joins(self) -> tuple[bool, ...]:
        """True where a token is written together with the next one and most are set apart: a clitic and its host.

        Punctuation does not count; in a script without spaces all are together, and none is a join.
        """
        marks = [*self.punctuation, True]
        inner = [not here and not there for here, there in pairwise(marks)]
        together = [glued and within for glued, within in zip(self.glued, inner, strict=True)]
        return tuple(together) if 2 * sum(together) <= sum(inner) else (False,) * len(together)

    @cached_property
    def root(self) -> int:
        """Index of the word that nothing governs."""
        return next(index for index, word in enumerate(self.words) if word.head < 0)

    @cached_property
    def punctuation(self) -> tuple[bool, ...]:
        """True where a token is punctuation."""
        marks = [True] * len(self.tokens)
        for word in self.words:
            marks[word.token] &= word.is_punctuation
        return tuple(marks)

    def dependents(self, governor: int, *relations: str) -> list[int]:
        """Words that hang directly on one, in order; with relations (no subtype), only those."""
        return [
            index
            for index, word in enumerate(self.words)
            if word.head == governor and (not relations or word.relation.split(":")[0] in relations)
        ]


def print_tokens(tokens: Sequence[str], glued: Sequence[bool]) -> str:
    """Tokens as one line, without a space after those that are glued."""
    return "".join(token + ("" if tight else " ") for token, tight in zip(tokens, glued, strict=True)).strip()


def head_depths(words: Sequence[Word]) -> list[int]:
    """Number of words on the way from the root down to each word, itself included; -1 on or below a circle."""
    depths = [0] * len(words)
    for start in range(len(words)):
        way, index = [], start
        while index >= 0 and not depths[index]:
            # Until it is known, as if on a circle: whoever comes back to it is.
            depths[index] = -1
            way.append(index)
            index = words[index].head
        depth = 0 if index < 0 else depths[index]
        for index in reversed(way):
            depth = depth + 1 if depth >= 0 else -1
            depths[index] = depth
    return depths
