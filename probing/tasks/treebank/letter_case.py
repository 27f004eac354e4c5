"""Capital letters at the beginning of sentences: given and taken without changing anything else of a word.

What a capital is depends on the language: Turkish has i/İ and ı/I, Dutch IJs, Georgian none; ß has none that a word
could begin with. So only first letters change, only where the change can be taken back, and how a word is written
inside sentences is learnt from the treebank. Where it is not sure, the caller is told so.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from probing.tasks.treebank.sentences import Sentence

_DOTLESS = "\u0131"
_TURKIC = {"i": "\u0130", _DOTLESS: "I"}
_TURKIC_SHARE = 0.1
"""Share of sentences with a dotless i from which the language is taken for one that has two kinds of i."""
_APOSTROPHES = "'\u2019\u02bc"


@dataclass(frozen=True)
class Casing:
    """Rules of a treebank's language for the case of first letters."""

    spelling: Mapping[str, str] = field(default_factory=dict)
    """A word with a small first letter -> how it is mostly written inside sentences."""
    capitalised: frozenset[str] = frozenset({"PROPN"})
    """Parts of speech that mostly have a capital inside sentences, such as German nouns."""
    is_turkic: bool = False

    def exchange(self, old: str, upos: str, new: str) -> tuple[str, str] | None:
        """The first word of a sentence as it is written inside one, and an inner word as a sentence begins with it.

        Args:
            old: the first word.
            upos: its part of speech.
            new: the inner word.

        Returns:
            Both, as they are where the sentence begins without a capital; none where it is not sure.
        """
        if old[:1] in _APOSTROPHES:
            return None  # 's Avonds: the capital is that of the next word.
        if not (old[:1].isupper() or old[:1].istitle()):
            return old, new
        inside, first = self.write_inside(old, upos), self.capitalise(new)
        return (inside, first) if inside and first else None

    def capitalise(self, word: str) -> str:
        """The word as a sentence begins with it; empty where that is not sure."""
        first = word[:1]
        if not first.islower():
            return "" if first in _APOSTROPHES else word
        capital = _TURKIC.get(first, first.title()) if self.is_turkic else first.title()
        sure = capital == first or self.lower(capital) == first
        return capital + word[1:] if sure and _is_plain(word) and word[1:] == word[1:].lower() else ""

    def lower(self, word: str) -> str:
        """The word with a small first letter; as it is where that letter has no small one."""
        turkic = {large: small for small, large in _TURKIC.items()} if self.is_turkic else {}
        small = turkic.get(word[:1], word[:1].lower())
        return (small if len(small) == 1 else word[:1]) + word[1:]

    def write_inside(self, word: str, upos: str) -> str:
        """The first word of a sentence as it is written inside one; empty where that is not sure."""
        small, head = self.lower(word), re.split(f"[{_APOSTROPHES}]", word)[0]
        if upos in self.capitalised:
            return word
        if small in self.spelling:
            return self.spelling[small]
        if word[1:] != word[1:].lower() or self.spelling.get(self.lower(head)) == head:
            return word  # NASA; I've, where I is known
        return small if small != word and _is_plain(word) else ""


def _is_plain(word: str) -> bool:
    """True where a capital of this word is a matter of its first letter alone: not so of Dutch IJs, nor of ß."""
    return word[:2].lower() != "ij" and len(word[0].title()) == 1


def learn_casing(corpus: Sequence[Sentence]) -> Casing:
    """Learn how first letters are written inside the sentences of a treebank."""
    dotless = sum(_DOTLESS in sentence.text for sentence in corpus)
    plain = Casing(is_turkic=dotless > _TURKIC_SHARE * len(corpus))
    counts: Counter[str] = Counter()
    capitals: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for sentence in corpus:
        counts.update(sentence.tokens[1:])
        for word in sentence.words:
            if word.token and word.form[:1].isalpha():
                capitals[word.upos][plain.lower(word.form) != word.form] += 1
    ordered = sorted(counts, key=lambda token: (counts[token], token))
    spelling = {plain.lower(token): token for token in ordered}
    mostly = {upos for upos, (small, large) in capitals.items() if large > small}
    return Casing(spelling, frozenset({"PROPN"} | mostly), plain.is_turkic)
