"""The words of the task that asks which word occurs, and how a sentence comes to have exactly one of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from probing.tasks.controlled import lexicon
from probing.tasks.controlled.grammar import Node
from probing.tasks.controlled.morphology import inflect
from probing.tasks.controlled.sentence_source import SentenceSource
from probing.tasks.controlled.verbs import VERBS
from probing.tasks.controlled.word_choice import group_verb

N_TARGETS = 250
"""Forty training sentences for each. The lexicon has a thousand, as SentEval; each would have ten sentences."""
Group = tuple[str, ...]
"""Content of `Node.group`: words of one group may stand in for one another."""
_USUAL_SUBJECTS = {"person", " ".join(lexicon.NOUNS)}
_RARE_OBJECTS = {
    *("idea", "vehicle", "vessel", "drink", "jewel vessel", "garment", "text", "device", "animal", "event idea text"),
    *("vehicle device instrument", " ".join(lexicon.THINGS)),
}
_SCARCE = {
    *(("V", slot) for slot in ("tell", "urge", "ask", "topic", "said", "ditr")),
    *(("N", kind) for kind in ("animal", "jewel", "idea", "vessel")),
}
"""Beginnings of groups that sentences seldom have a place for."""
_VERB_TAGS = (("VBD",), ("VBZ",), ("VB", "VBP"))


@dataclass(frozen=True)
class Target:
    """A word form to be recognised."""

    word: str
    lemma: str
    groups: tuple[Group, ...]


class Targets:
    """The words that sentences of one split still lack; their other forms occur as well."""

    def __init__(self, source: SentenceSource, size: int):
        """Want a word for each of so many sentences, all words equally often."""
        self._source = source
        targets = target_words()
        self._words = frozenset(target.word for target in targets)
        self.missing: dict[str, int] = {}
        for target in source.spread(targets, size):
            self.missing[target.word] = self.missing.get(target.word, 0) + 1
        self.reserved = self._words if self.missing else frozenset()
        """Words that other words than targets are not chosen from, as long as some targets are missing."""
        self.spent: set[str] = set()
        """Words of `reserved` that are no longer missing."""
        self._of_group: dict[Group, list[Target]] = {}
        for target in targets:
            for group in target.groups if target.word in self.missing else ():
                self._of_group.setdefault(group, []).append(target)

    def place(self, tree: Node) -> str:
        """The one target that a tree has, if it is still wanted; where it has none, one takes the place of a like word.

        Words that bear the label of another task stay.
        """
        leaves = tree.leaves() if self.missing else []
        there = [leaf.word for leaf in leaves if leaf.word in self._words]
        if there:
            return there[0] if len(there) == 1 and there[0] in self.missing else ""
        found = [(leaf, target) for leaf in leaves for target in self._of_group.get(leaf.group, ())]
        if not found:
            return ""
        # words that few places fit are taken wherever they can be, so that none is missing for long
        most = max(self.missing[target.word] for _, target in found)
        leaf, target = self._source.pick([each for each in found if self.missing[each[1].word] == most])
        leaf.word, leaf.lemma = target.word, target.lemma
        return target.word

    def take(self, word: str) -> None:
        """One sentence less lacks this word."""
        self.missing[word] -= 1
        if not self.missing[word]:
            del self.missing[word]
            self.reserved, self.spent = (self.reserved, {*self.spent, word}) if self.missing else (frozenset(), set())
            self._of_group = {
                group: left
                for group, targets in self._of_group.items()
                if (left := [target for target in targets if target.word != word])
            }


def target_words() -> list[Target]:
    """The target forms, `N_TARGETS` of them: nouns, verbs and adjectives in the lexicon's proportions.

    A noun gives its singular or its plural in turn, a verb one of three of its forms, an adjective of odd length
    itself; what is a form of two entries of the lexicon is left out.
    """
    owners: dict[str, set[str]] = {}
    groups: dict[tuple[str, str], list[Group]] = {}
    for place, (kind, lemma) in enumerate((kind, lemma) for kind, nouns in lexicon.NOUNS.items() for lemma in nouns):
        _own(owners, f"{lemma}/noun", lemma, ("NN", "NNS"))
        tag = ("NN", "NNS")[place % 2]
        groups.setdefault((inflect(lemma, tag), lemma), []).append(("N", kind, tag))
    order = {lemma: place for place, lemma in enumerate(dict.fromkeys(verb.lemma for verb in VERBS))}
    for verb in VERBS:
        _own(owners, f"{verb.lemma}/verb", verb.lemma, ("VB", "VBD", "VBG", "VBN", "VBZ"))
        tags = _VERB_TAGS[order[verb.lemma] % len(_VERB_TAGS)]
        where = groups.setdefault((inflect(verb.lemma, tags[0]), verb.lemma), [])
        where += [
            group_verb(verb, tag, active) for tag in tags for active in ((False,) if verb.stative else (False, True))
        ]
    for (kind, adjectives), place in product(lexicon.ADJECTIVES.items(), (0, 1)):
        for lemma in adjectives[place].split():
            owners.setdefault(lemma, set()).add(f"{lemma}/adjective")
            if len(lemma) % 2:
                groups.setdefault((lemma, lemma), []).append(("JJ", kind, str(place)))
    targets = [
        Target(*key, tuple(where))
        for key, where in groups.items()
        if len(owners[key[0]]) == 1 and not any(_is_scarce(group) for group in where)
    ]
    # every other verb will do: verbs other than those of main clauses are few
    verbs = [target for target in targets if target.groups[0][0] == "V"]
    targets = [target for target in targets if target not in verbs[::2]]
    return [targets[place * len(targets) // N_TARGETS] for place in range(N_TARGETS)]


def _is_scarce(group: Group) -> bool:
    """True where sentences seldom have a place for a group."""
    return group[:2] in _SCARCE or (group[0] == "V" and (group[2] not in _USUAL_SUBJECTS or group[3] in _RARE_OBJECTS))


def _own(owners: dict[str, set[str]], owner: str, lemma: str, tags: Sequence[str]) -> None:
    for tag in tags:
        owners.setdefault(inflect(lemma, tag), set()).add(owner)
