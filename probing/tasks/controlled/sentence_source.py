"""An endless supply of distinct sentences, and what one labelled sentence is."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple, TypeVar

from probing.randomness import derived_seed
from probing.records import SPLITS
from probing.tasks.controlled.agreement import DeadEndError, Plan
from probing.tasks.controlled.confounds import KEPT_OUT
from probing.tasks.controlled.derivation import Derivation
from probing.tasks.controlled.grammar import Node
from probing.tasks.controlled.realisation import Realiser, spell_words

_Item = TypeVar("_Item")


class Example(NamedTuple):
    """A labelled sentence with the tree that it comes from."""

    split: str
    label: str
    sentence: str
    tree: Node | None


@dataclass(slots=True, eq=False)
class Sentence:
    """A sentence of the pool, and what the tasks need to know of it."""

    split: str
    words: tuple[str, ...]
    """Words in the form that they have inside a sentence: `written` has them as they are written."""
    tags: tuple[str, ...]
    labels: Mapping[str, str]
    """By task that only reads the sentence."""
    side: str
    """The label that the sentence has words for; empty if they go with any."""
    verb_at: int
    """Place of the verb that makes objects of other kinds odd; -1 if there is none."""
    noun_at: int
    """Place of the noun of its object."""
    verb: str
    """That verb's lemma."""
    clauses: tuple[int, int, int]
    """Of a story: where its first clause, its conjunction and its second clause begin; else zeros."""
    tree: Node | None
    """Kept only where it is asked for: it takes ten times the memory of all else."""

    def written(self) -> list[str]:
        """The words as they are written."""
        return spell_words(self.words)


class SentenceSource:
    """Random choices, words for derivations, and which sentences there have been."""

    def __init__(self, name: str, seed: int, confounds: Collection[str] = ()):
        """Start a stream of random numbers of its own; `confounds` are those that are switched on."""
        self.random = Random(derived_seed("controlled", name, seed))
        self.confounds = confounds
        self._name, self._seed = name, seed
        self._realiser = Realiser(self.random)
        self._seen: set[str] = set()

    def realise(self, derivation: Derivation, plan: Plan) -> Node | None:
        """The derivation with words, or None where no word of the plan fits."""
        try:
            return self._realiser.realise(derivation, plan)
        except DeadEndError:
            return None

    def is_new(self, sentence: str) -> bool:
        """True where the sentence is seen for the first time; from now on it is known."""
        before = len(self._seen)
        self._seen.add(sentence)
        return len(self._seen) > before

    def pick(self, items: Sequence[_Item]) -> _Item:
        """One of the items."""
        return items[int(self.random.random() * len(items))]

    def part_lemmas(self, groups: Sequence[Collection[str]]) -> Mapping[str, Collection[str]]:
        """Lemmas parted at random among the splits, 70 : 15 : 15: those of one split are targets in no other.

        Each group is parted by itself, so that each split has some of it; a lemma of two groups counts for the first.
        """
        random = Random(derived_seed("controlled", "lemmas", self._seed))
        parts: dict[str, set[str]] = {split: set() for split in SPLITS}
        for group in groups:
            order = sorted(set(group).difference(*parts.values()))
            random.shuffle(order)
            held_out = max(1, round(0.15 * len(order)))
            parts["dev"].update(order[:held_out])
            parts["test"].update(order[held_out : 2 * held_out])
            parts["train"].update(order[2 * held_out :])
        together = set().union(*parts.values())
        return dict.fromkeys(SPLITS, together) if "shared_words" in self.confounds else parts

    def spread(self, labels: Sequence[_Item], count: int) -> list[_Item]:
        """The labels in turn, so that no two counts differ by more than one."""
        if "uneven_classes" in self.confounds:
            labels = [either for label in labels for either in (labels[0], label)]
        return [labels[index % len(labels)] for index in range(count)]

    def keep_out(self, label: str) -> frozenset[str]:
        """Words that sentences of this label may not have."""
        return KEPT_OUT[label] if label and "content_words" in self.confounds else frozenset()
