"""Tasks of the controlled corpus that alter half of their sentences: two words or two clauses exchanged, an odd word.

The odd word and the clauses come with their originals, so that a bag of words tells nothing: an odd word in fours, two
sentences and the same two with a word exchanged between them, so that each word is as often odd as at home and in the
same company; inverted clauses with the same sentence in its own order, and with something before them, so that not
even the capital moves.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise, product
from random import Random
from typing import NamedTuple

from probing.randomness import derived_seed
from probing.tasks.controlled.grammar import Node
from probing.tasks.controlled.realisation import spell_words
from probing.tasks.controlled.sentence_source import Sentence, SentenceSource
from probing.tasks.controlled.verbs import NEAR_KINDS, VERBS

_NOUN_TAGS = {"NN", "NNS"}
_OPEN_BEFORE = {
    "DT": {"NN", "NNS", "JJ"},
    "PRP$": {"NN", "NNS", "JJ"},
    "JJ": _NOUN_TAGS,
    "IN": {"DT", "PRP$"},
    "TO": {"VB", "DT", "PRP$"},
    "MD": {"VB"},
    "VBD": {"DT", "PRP$", "PRP"},
    "VBZ": {"DT", "PRP$", "PRP"},
    "VBP": {"DT", "PRP$", "PRP"},
    "VB": {"DT", "PRP$", "PRP"},
    "NN": {"MD", "VBZ", "VBD", "POS"},
    "NNS": {"MD", "VBP", "VBD"},
}
"""By tag: the tags of a right neighbour whose exchange is surely ungrammatical."""
_EITHER_SIDE = {"that", "near", "outside", "inside", "before", "after"}
"""Words that may stand on either side of their neighbours."""
_STRICT_OBJECTS = {verb.lemma: verb.objects for verb in VERBS if verb.strict}
_WAITING = 40
"""Number of sentences that still lack a partner and are looked at."""


class Altered(NamedTuple):
    """A sentence of the pool and what it becomes."""

    sentence: Sentence
    written: str
    tree: Node | None


def shift_words(sentences: Sequence[Sentence], random: Random) -> Iterator[Altered]:
    """Two neighbours exchanged, in each sentence that has such a pair; the order of sentences is drawn."""
    for sentence in random.sample(sentences, len(sentences)):
        if places := find_shifts(sentence.words, sentence.tags):
            words, place = sentence.written(), random.choice(places)
            words[place : place + 2] = words[place + 1], words[place]
            yield Altered(sentence, " ".join(words), sentence.tree)


def find_shifts(words: Sequence[str], tags: Sequence[str]) -> list[int]:
    """Places of a word, not the first, that may be exchanged with the next one."""
    return [
        place
        for place, ((word, left), (after, right)) in enumerate(pairwise(zip(words, tags, strict=True)))
        if place and right in _OPEN_BEFORE.get(left, ()) and not {word, after} & _EITHER_SIDE
    ]


def exchange_words(sentences: Sequence[Sentence], random: Random) -> Iterator[Altered]:
    """A verb or a noun exchanged with that of another sentence, where it does not go with the rest; always in twos."""
    waiting: list[Sentence] = []
    for sentence in random.sample(sentences, len(sentences)):
        if sentence.verb_at < 0:
            continue
        partner = next(
            (each for each in waiting[-_WAITING:] if _clash(each, sentence) and _same_tags(each, sentence)), None
        )
        if partner is None:
            waiting.append(sentence)
            continue
        waiting.remove(partner)
        role = random.choice(_same_tags(partner, sentence))
        yield _exchange(partner, sentence, role)
        yield _exchange(sentence, partner, role)


def _clash(one: Sentence, other: Sentence) -> bool:
    """True where the objects of each verb are plainly odd with the other."""
    return all(
        first != second and frozenset((first, second)) not in NEAR_KINDS
        for first, second in product(_STRICT_OBJECTS[one.verb], _STRICT_OBJECTS[other.verb])
    )


def _same_tags(one: Sentence, other: Sentence) -> list[str]:
    """List which of the two words may be exchanged without breaking agreement."""
    return [role for role in ("verb_at", "noun_at") if one.tags[getattr(one, role)] == other.tags[getattr(other, role)]]


def _exchange(sentence: Sentence, other: Sentence, role: str) -> Altered:
    """The sentence with a word of the other one, which has not got it from elsewhere."""
    place, source = getattr(sentence, role), getattr(other, role)
    words = [*sentence.words]
    words[place] = other.words[source]
    tree = sentence.tree
    if tree is not None and other.tree is not None:
        tree = _replace_leaf(tree, tree.leaves()[place], other.tree.leaves()[source])
    return Altered(sentence, " ".join(spell_words(words)), tree)


def _replace_leaf(tree: Node, leaf: Node, other: Node) -> Node:
    if tree is leaf:
        return other
    return replace(tree, children=tuple(_replace_leaf(child, leaf, other) for child in tree.children))


def invert_clauses(sentences: Sequence[Sentence], random: Random) -> Iterator[Altered]:
    """The two clauses of a story exchanged, so that what is done with a thing comes before what has to come first."""
    for sentence in random.sample(sentences, len(sentences)):
        first, conjunction, second = sentence.clauses
        if second:
            words = sentence.words
            order = (words[:first], words[second:-1], words[conjunction:second], words[first:conjunction], words[-1:])
            written = " ".join(spell_words([word for part in order for word in part]))
            yield Altered(sentence, written, sentence.tree and invert_tree(sentence.tree))


def invert_tree(tree: Node) -> Node:
    """The tree with the clauses on both sides of its conjunction exchanged."""
    *before, first, conjunction, second, stop = tree.children
    return replace(tree, children=(*before, second, conjunction, first, stop))


ALTERATIONS: dict[str, tuple[str, Callable[[Sequence[Sentence], Random], Iterator[Altered]]]] = {
    "bigram_shift": ("OI", shift_words),
    "odd_man_out": ("OC", exchange_words),
    "coordination_inversion": ("OI", invert_clauses),
}
"""By task: the label of sentences as they were and of altered ones, and what alters them."""


def split_sides(source: SentenceSource, task: str, size: int) -> dict[str, Counter[str]]:
    """Count the sentences of each label that a task has; by side, where each label has words of its own."""
    labels = ALTERATIONS[task][0]
    counts = Counter(source.spread(labels, size))
    if "content_words" not in source.confounds:
        return {"": counts}
    return {label: Counter({label: counts[label]}) for label in labels if counts[label]}


def count_missing(task: str, sentences: Sequence[Sentence], side: str, labels: Counter[str]) -> int:
    """Number of further sentences, at least, that a task needs."""
    needed = labels.total() if task == "bigram_shift" else max(labels.values())
    return needed - sum(1 for _ in _alter(task, sentences, side, 0))


def choose(
    task: str, sentences: Sequence[Sentence], sides: Mapping[str, Counter[str]], seed: int
) -> Iterator[tuple[str, str, Node | None]]:
    """Label, sentence and tree of each sentence of a task, of one split of the pool."""
    same, other = ALTERATIONS[task][0]
    for side, labels in sides.items():
        made = [*_alter(task, sentences, side, seed)]
        # words in the wrong order need no original beside them: a bag of words has nothing to go by
        changed = made[labels[same] :] if task == "bigram_shift" else made
        yield from ((same, " ".join(each.sentence.written()), each.sentence.tree) for each in made[: labels[same]])
        yield from ((other, each.written, each.tree) for each in changed[: labels[other]])


def _alter(task: str, sentences: Sequence[Sentence], side: str, seed: int) -> Iterator[Altered]:
    random = Random(derived_seed("controlled", task, side, seed))
    return ALTERATIONS[task][1]([sentence for sentence in sentences if sentence.side == side], random)
