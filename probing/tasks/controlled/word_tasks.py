"""Tasks of the controlled corpus that ask for one word: which one occurs, its number, its tense."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from probing.tasks.controlled import lexicon
from probing.tasks.controlled.agreement import Plan
from probing.tasks.controlled.grammar import Node
from probing.tasks.controlled.morphology import inflect
from probing.tasks.controlled.realisation import spell_out
from probing.tasks.controlled.sentence_source import STATEMENTS, Example, SentenceSource
from probing.tasks.controlled.verbs import VERBS
from probing.tasks.controlled.word_choice import group_verb

N_TARGETS = 250
"""Forty training sentences for each. The lexicon has a thousand, as SentEval; each would have ten sentences."""
_LENGTHS = tuple(range(8, 17))
Group = tuple[str, ...]
"""What `Node.group` holds: words of one group may stand in for one another."""


@dataclass(frozen=True)
class Target:
    """A word form to be recognised."""

    word: str
    lemma: str
    groups: tuple[Group, ...]


_SCARCITY = {"V": 0, "JJ": 1, "N": 2}
_VERB_TAGS = (("VBD",), ("VBZ",), ("VB", "VBP"))
_NUMBER_LABELS = {"NN": False, "NNS": True}
_CONTENT_ROOTS = {**STATEMENTS, "S.order": 1, "SQ.did": 1}


def make_past_present(source: SentenceSource, sizes: Mapping[str, int]) -> Iterator[Example]:
    """Tense of the main clause, carried by its verb; there are other clauses, with either tense regardless of it."""
    # a verb such as `read` looks the same in both tenses
    lemmas = {verb.lemma for verb in VERBS if inflect(verb.lemma, "VBD") != verb.lemma}
    parts = source.part_lemmas(lemmas)
    shift = 0.0 if "function_words" in source.confounds else 0.5
    for split, size in sizes.items():
        for label in source.spread(("PAST", "PRES"), size):
            plan = Plan(past=label == "PAST", shift=shift, verbs=parts[split])
            tree = source.draw({"S.tense": 1}, _LENGTHS, plan=plan)
            while _count_finite(tree) < 2:
                tree = source.draw({"S.tense": 1}, _LENGTHS, plan=plan)
            yield _label(split, label, tree)


def _count_finite(tree: Node) -> int:
    return sum(leaf.label in {"VBD", "VBZ", "VBP"} for leaf in tree.leaves())


def make_subj_number(source: SentenceSource, sizes: Mapping[str, int]) -> Iterator[Example]:
    """Number of the subject of the main clause, told by the noun alone."""
    yield from _make_number(source, sizes, "subj_number")


def make_obj_number(source: SentenceSource, sizes: Mapping[str, int]) -> Iterator[Example]:
    """Number of the direct object of the main clause, told by the noun alone."""
    yield from _make_number(source, sizes, "obj_number")


def _make_number(source: SentenceSource, sizes: Mapping[str, int], name: str) -> Iterator[Example]:
    parts = source.part_lemmas([lemma for lemmas in lexicon.NOUNS.values() for lemma in lemmas])
    told = "function_words" in source.confounds
    for split, size in sizes.items():
        for label in source.spread(tuple(_NUMBER_LABELS), size):
            # nothing but `be` agrees in the past, and the rules keep it out of the main clause
            plan = Plan(past=True, shift=0.3, target_plural=_NUMBER_LABELS[label], nouns=parts[split], number_told=told)
            yield _label(split, label, source.draw({f"S.{name}": 1}, _LENGTHS, plan=plan))


def make_word_content(source: SentenceSource, sizes: Mapping[str, int]) -> Iterator[Example]:
    """Which one of many words occurs; each sentence has exactly one of them, and its other forms occur as well."""
    targets = target_words()
    missing: dict[str, list[str]] = {}
    for split, size in sizes.items():
        for target in source.spread(targets, size):
            missing.setdefault(target.word, []).append(split)
    of_group: dict[Group, list[Target]] = {}
    for target in targets:
        for group in target.groups if target.word in missing else ():
            of_group.setdefault(group, []).append(target)
    plan = Plan(banned=frozenset(target.word for target in targets))
    while of_group:
        tree = source.draw(_CONTENT_ROOTS, _LENGTHS, plan=plan)
        target = _place_target(source, tree, of_group)
        if target is not None and source.is_new(" ".join(spell_out(tree))):
            yield _label(missing[target.word].pop(), target.word, tree)
            if not missing[target.word]:
                _drop_target(of_group, target)


def _place_target(source: SentenceSource, tree: Node, of_group: Mapping[Group, Sequence[Target]]) -> Target | None:
    """Let a target that is still wanted take the place of a like word; None if the tree has none."""
    places = [leaf for leaf in tree.leaves() if leaf.group in of_group]
    if not places:
        return None
    # verbs have the fewest places to stand in, nouns the most
    leaf = min(places, key=lambda leaf: _SCARCITY[leaf.group[0]])
    target = source.pick(of_group[leaf.group])
    leaf.word, leaf.lemma = target.word, target.lemma
    return target


def _drop_target(of_group: dict[Group, list[Target]], target: Target) -> None:
    for group in target.groups:
        of_group[group].remove(target)
        if not of_group[group]:
            del of_group[group]


def target_words(count: int = N_TARGETS) -> list[Target]:
    """The target forms, as many as asked for: nouns, verbs and adjectives in the lexicon's proportions.

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
    targets = [Target(*key, tuple(where)) for key, where in groups.items() if len(owners[key[0]]) == 1]
    return targets[:: len(targets) // count][:count]


def _own(owners: dict[str, set[str]], owner: str, lemma: str, tags: Sequence[str]) -> None:
    for tag in tags:
        owners.setdefault(inflect(lemma, tag), set()).add(owner)


def _label(split: str, label: str, tree: Node) -> Example:
    return Example(split, label, " ".join(spell_out(tree)), tree)
