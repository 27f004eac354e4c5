"""A sentence of a treebank: surface tokens to write, syntactic words to reason about.

A *token* is what stands in the text (`don't`, `zum`); a *word* is what the syntax speaks of (`do` + `n't`,
`zu` + `dem`). Task files get tokens, labels come from words.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from nltk.tree import Tree

_DOUBLE_QUOTES = re.compile(
    '["\u00ab\u00bb\u201c-\u201f\u300c-\u300f\u301d-\u301f\uff02]'  # straight, angle, curly, corner, full-width
    "|``|''|\u2018\u2018|\u2019\u2019"
)


@dataclass(frozen=True)
class Word:
    """One syntactic word."""

    form: str
    upos: str
    xpos: str
    feats: Mapping[str, str]
    head: int
    """Index of the governor among the sentence's words; -1 at the root."""
    relation: str
    """Dependency relation with its subtype, such as `nsubj:pass`."""
    token: int
    """Index of the surface token that holds this word."""

    @property
    def is_punctuation(self) -> bool:
        """Whether the word is a punctuation mark; symbols such as `$` are not."""
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
    """Whether no space follows the token in the original text (`SpaceAfter=No`)."""
    words: tuple[Word, ...]
    tree: Tree | None = None
    """Constituency tree over the words, where one is known."""

    @property
    def text(self) -> str:
        """The tokens with one space between: what a task file holds."""
        return " ".join(self.tokens)

    @property
    def raw(self) -> str:
        """The sentence as it was printed, with spaces only where the source has them."""
        return "".join(
            token + ("" if glued else " ") for token, glued in zip(self.tokens, self.glued, strict=True)
        ).strip()

    @property
    def length(self) -> int:
        """Number of space-separated tokens, punctuation included."""
        return len(self.text.split())

    @property
    def has_double_quotes(self) -> bool:
        """Whether double quotes of any script stand in it, or two single ones that stand for them."""
        return _DOUBLE_QUOTES.search(self.text) is not None

    @cached_property
    def root(self) -> int:
        """Index of the word that nothing governs."""
        return next(index for index, word in enumerate(self.words) if word.head < 0)

    @cached_property
    def punctuation(self) -> tuple[bool, ...]:
        """Which tokens are punctuation."""
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


def head_depths(words: tuple[Word, ...]) -> list[int]:
    """How many words stand on the way from the root down to each word, itself included; -1 on a circle."""
    depths = []
    for index in range(len(words)):
        depth, above = 1, words[index].head
        while above >= 0 and depth <= len(words):
            depth, above = depth + 1, words[above].head
        depths.append(depth if above < 0 else -1)
    return depths
