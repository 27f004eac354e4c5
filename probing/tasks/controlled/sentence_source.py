"""An endless supply of distinct sentences for one task, and what one labelled sentence is."""

from bisect import bisect
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from itertools import accumulate
from random import Random
from typing import NamedTuple, TypeVar

import numpy as np

from probing.randomness import derived_seed
from probing.records import SPLITS
from probing.tasks.controlled.agreement import DeadEndError, Plan
from probing.tasks.controlled.confounds import KEPT_OUT
from probing.tasks.controlled.derivation import Derivation, DerivationSampler
from probing.tasks.controlled.grammar import Node, read_rules
from probing.tasks.controlled.realisation import Realiser, spell_out

_Item = TypeVar("_Item")

PLAIN = Plan()
STATEMENTS = {"S.plain": 8, "S.open": 1, "S.comment": 1, "S.pp_comma": 1, "S.sbar": 2, "S.pair_comma": 1, "S.freq": 1}
"""Root symbols of ordinary statements, with their shares."""


class Example(NamedTuple):
    """A labelled sentence with the tree that it comes from."""

    split: str
    label: str
    sentence: str
    tree: Node


class SentenceSource:
    """Draws trees for one task, no sentence twice."""

    def __init__(self, name: str, seed: int, confounds: Collection[str] = ()):
        """Start the task's own stream of random numbers; `confounds` are those that are switched on."""
        self.random = Random(derived_seed("controlled", name, seed))
        self.confounds = confounds
        self._name, self._seed = name, seed
        self._realiser = Realiser(self.random)
        self._seen: set[str] = set()

    def draw(
        self, roots: Mapping[str, int | float], lengths: Sequence[int], depth: int | None = None, plan: Plan = PLAIN
    ) -> Node:
        """A tree of one of the roots and lengths, of exactly this depth if one is given."""
        while True:
            root, length = self._draw_shape(tuple(roots.items()), tuple(lengths), depth)
            tree = self.realise(_sampler().draw(self.random, root, length, depth), plan)
            if tree is not None and self.is_new(" ".join(spell_out(tree))):
                return tree

    def derive(self, root: str, length: int) -> Derivation:
        """A derivation, for those who give it words more than once."""
        return _sampler().draw(self.random, root, length)

    def realise(self, derivation: Derivation, plan: Plan) -> Node | None:
        """The derivation with words, or None where no word of the plan fits."""
        try:
            return self._realiser.realise(derivation, plan)
        except DeadEndError:
            return None

    def is_new(self, sentence: str) -> bool:
        """Whether the sentence is seen for the first time; from now on it is known."""
        before = len(self._seen)
        self._seen.add(sentence)
        return len(self._seen) > before

    def pick(self, items: Sequence[_Item]) -> _Item:
        """One of the items."""
        return items[int(self.random.random() * len(items))]

    def part_lemmas(self, lemmas: Collection[str]) -> dict[str, frozenset[str]]:
        """Lemmas parted at random among the splits, 70 : 15 : 15: those of one split are targets in no other."""
        order = sorted(set(lemmas))
        if "shared_words" in self.confounds:
            return dict.fromkeys(SPLITS, frozenset(order))
        Random(derived_seed("controlled", self._name, "lemmas", self._seed)).shuffle(order)
        held_out = round(0.15 * len(order))
        dev, test, train = order[:held_out], order[held_out : 2 * held_out], order[2 * held_out :]
        return {"train": frozenset(train), "dev": frozenset(dev), "test": frozenset(test)}

    def spread(self, labels: Sequence[_Item], count: int) -> list[_Item]:
        """The labels in turn, so that no two counts differ by more than one."""
        if "uneven_classes" in self.confounds:
            labels = [either for label in labels for either in (labels[0], label)]
        return [labels[index % len(labels)] for index in range(count)]

    def keep_out(self, label: str) -> frozenset[str]:
        """Words that sentences of this label may not have."""
        return KEPT_OUT[label] if "content_words" in self.confounds else frozenset()

    def _draw_shape(
        self, roots: tuple[tuple[str, float], ...], lengths: tuple[int, ...], depth: int | None
    ) -> tuple[str, int]:
        shapes, totals = _shapes(roots, lengths, depth)
        return shapes[bisect(totals, self.random.random() * totals[-1])]


@cache
def _sampler() -> DerivationSampler:
    return DerivationSampler(read_rules())


@cache
def _shapes(
    roots: tuple[tuple[str, float], ...], lengths: tuple[int, ...], depth: int | None
) -> tuple[list[tuple[str, int]], list[float]]:
    """Roots and lengths that exist, with running weights.

    Lengths come equally often. Roots come by their shares, as far as they have sentences enough of that shape: the
    square root keeps a shape that hardly exists from being used up.
    """
    shapes, weights = [], []
    for length in lengths:
        column = np.array([share * np.sqrt(_sampler().weights(root, depth)[length]) for root, share in roots])
        if column.sum() > 0:
            shapes += [(root, length) for root, _ in roots]
            weights += list(column / column.sum())
    return shapes, list(accumulate(weights))
