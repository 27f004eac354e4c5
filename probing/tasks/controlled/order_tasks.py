"""Tasks of the controlled corpus that ask whether a whole makes sense: odd words, clauses in the wrong order.

Both are built so that a bag of words tells nothing. An odd word comes in fours: two sentences of the same form and the
same two with a word exchanged between them, so that each word is as often odd as at home and in the same company.
Inverted clauses come with something before them, so that not even the capital moves.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import cycle, product

from probing.tasks.controlled import lexicon
from probing.tasks.controlled.agreement import Plan
from probing.tasks.controlled.derivation import Derivation
from probing.tasks.controlled.grammar import Node
from probing.tasks.controlled.realisation import spell_out
from probing.tasks.controlled.sentence_source import Example, SentenceSource
from probing.tasks.controlled.verbs import NEAR_KINDS, STORIES, VERBS, Verb

_LENGTHS = tuple(range(7, 15))
_STORY_LENGTHS = tuple(range(12, 23))


def make_odd_man_out(source: SentenceSource, sizes: Mapping[str, int]) -> Iterator[Example]:
    """`O` as it was, `C` with a noun or a verb that does not go with the rest."""
    strict = [verb for verb in VERBS if verb.strict]
    nouns = [lemma for lemmas in lexicon.NOUNS.values() for lemma in lemmas]
    # together, since some words, such as `cook`, are both
    lemmas = source.part_lemmas([*nouns, *(verb.lemma for verb in strict)])
    # where each label has words of its own, one four gives sentences of one label only
    rounds = ("O", "C") if "content_words" in source.confounds else ("OC",)
    for split, size in sizes.items():
        pairs = [
            pair for pair in product(strict, strict) if {verb.lemma for verb in pair} <= lemmas[split] and _clash(*pair)
        ]
        missing = Counter(source.spread("OC", size))
        for labels in cycle(rounds):
            if not missing.total():
                break
            plans = [
                Plan(
                    nouns=lemmas[split],
                    verb_at={"odd": verb},
                    target_plural=source.random.random() < 0.5,
                    banned=source.keep_out(labels[0]),
                )
                for verb in source.pick(pairs)
            ]
            for example in _draw_four(source, split, plans):
                if example.label in labels and missing[example.label]:
                    missing[example.label] -= 1
                    yield example


def _clash(one: Verb, other: Verb) -> bool:
    """Whether the objects of each are plainly odd with the other."""
    return all(
        first != second and frozenset((first, second)) not in NEAR_KINDS
        for first, second in product(one.objects, other.objects)
    )


def _draw_four(source: SentenceSource, split: str, plans: Sequence[Plan]) -> list[Example]:
    """Two sentences and the two that arise when they exchange a word; none if no word can be exchanged."""
    derivation = source.derive("S.odd", source.pick(_LENGTHS))
    past = source.random.random() < 0.5
    one, other = (_realise(source, derivation, plan, past) for plan in plans)
    if one is None or other is None:
        return []
    role = source.pick(("N.odd", "V.odd"))
    if _find(one, role).label != _find(other, role).label:
        return []
    trees = [one, other, _exchange(one, other, role), _exchange(other, one, role)]
    sentences = [" ".join(spell_out(tree)) for tree in trees]
    if len(set(sentences)) < 4 or not all(map(source.is_new, sentences)):
        return []
    return [
        Example(split, label, *both) for label, both in zip("OOCC", zip(sentences, trees, strict=True), strict=True)
    ]


def _realise(source: SentenceSource, derivation: Derivation, plan: Plan, past: bool) -> Node | None:
    return source.realise(derivation, replace(plan, past=past))


def _find(tree: Node, role: str) -> Node:
    return next(leaf for leaf in tree.leaves() if leaf.role == role)


def _exchange(tree: Node, other: Node, role: str) -> Node:
    """The tree with its word of this role replaced by the other tree's."""
    if tree.role == role:
        return _find(other, role)
    children = tuple(_exchange(child, other, role) for child in tree.children)
    return replace(tree, children=children)


def make_coordination_inversion(source: SentenceSource, sizes: Mapping[str, int]) -> Iterator[Example]:
    """`O` as it was, `I` with its two clauses exchanged, so that what is done with a thing comes before the thing."""
    stories = [
        (Verb(first, "first", ("person",), (kind,)), Verb(second, "second", ("person",), (kind,)))
        for kind, (beginnings, endings) in STORIES.items()
        for first, second in product(beginnings.split(), endings.split())
        if first != second
    ]
    for split, size in sizes.items():
        for label in source.spread("OI", size):
            first, second = source.pick(stories)
            plan = Plan(verb_at={"first": first, "second": second}, banned=source.keep_out(label))
            tree = source.draw({"S.story": 1}, _STORY_LENGTHS, plan=plan)
            tree = invert_clauses(tree) if label == "I" else tree
            yield Example(split, label, " ".join(spell_out(tree)), tree)


def invert_clauses(tree: Node) -> Node:
    """The tree with the clauses on both sides of its conjunction exchanged."""
    *before, first, conjunction, second, stop = tree.children
    return replace(tree, children=(*before, second, conjunction, first, stop))
