"""Tasks of the controlled corpus that ask for one word: which one occurs, its number, its tense."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from probing.tasks import lexicon
from probing.tasks.grammar import Node
from probing.tasks.morphology import inflect
from probing.tasks.realisation import Plan, group_verb, spell_out
from probing.tasks.sentence_source import STATEMENTS, Example, SentenceSource, part_lemmas, spread

N_TARGETS = 1000
_LENGTHS = tuple(range(8, 17))
Group = tuple[str, ...]
"""What `Node.group` holds: words of one group may stand in for one another."""


@dataclass(frozen=True)
class Target:
    """A word form to be recognised."""

    word: str
    lemma: str
    groups: tuple[Group, ...]


_VERB_TAGS = (("VBD",), ("VBZ",), ("VB", "VBP"))
_NUMBER_LABELS = {"NN": False, "NNS": True}
_CONTENT_ROOTS = {**STATEMENTS, "S.order": 1, "SQ.did": 1}


def make_past_present(source: SentenceSource, sizes: Mapping[str, int], seed: int) -> list[Example]:
    """Tense of the main clause, carried by its verb; all other clauses have either tense regardless of it."""
    # a verb such as `read` looks the same in both tenses
    lemmas = {verb.lemma for verb in lexicon.VERBS if inflect(verb.lemma, "VBD") != verb.lemma}
    parts = part_lemmas("past_present", seed, lemmas)
    examples = []
    for split, size in sizes.items():
        for label in spread(("PAST", "PRES"), size):
            plan = Plan(past=label == "PAST", shift=0.5, verbs=parts[split])
            examples.append(_label(split, label, source.draw({"S.tense": 1}, _LENGTHS, plan=plan)))
    return examples


def make_subj_number(source: SentenceSource, sizes: Mapping[str, int], seed: int) -> list[Example]:
    """Number of the subject of the main clause, told by the noun alone."""
    return _make_number(source, sizes, seed, "subj_number")


def make_obj_number(source: SentenceSource, sizes: Mapping[str, int], seed: int) -> list[Example]:
    """Number of the direct object of the main clause, told by the noun alone."""
    return _make_number(source, sizes, seed, "obj_number")


def _make_number(source: SentenceSource, sizes: Mapping[str, int], seed: int, name: str) -> list[Example]:
    parts = part_lemmas(name, seed, [lemma for lemmas in lexicon.NOUNS.values() for lemma in lemmas])
    examples = []
    for split, size in sizes.items():
        for label in spread(tuple(_NUMBER_LABELS), size):
            # nothing but `be` agrees in the past, and the rules keep it out of the main clause
            plan = Plan(past=True, shift=0.3, target_plural=_NUMBER_LABELS[label], nouns=parts[split])
            examples.append(_label(split, label, source.draw({f"S.{name}": 1}, _LENGTHS, plan=plan)))
    return examples


def make_word_content(source: SentenceSource, sizes: Mapping[str, int]) -> list[Example]:
    """Which one of many words occurs; each sentence has exactly one of them, and its other forms occur as well."""
    of_group: dict[Group, list[Target]] = {}
    targets = target_words()
    for target in targets:
        for group in target.groups:
            of_group.setdefault(group, []).append(target)
    words = [target.word for target in targets]
    wanted = {split: Counter(spread(words, size)) for split, size in sizes.items()}
    found = _find_targets(source, of_group, sum(wanted.values(), Counter()), Plan(banned=frozenset(words)))
    return [
        _label(split, word, found[word].pop())
        for split, counts in wanted.items()
        for word, count in counts.items()
        for _ in range(count)
    ]


def _find_targets(
    source: SentenceSource, of_group: Mapping[Group, Sequence[Target]], missing: Counter[str], plan: Plan
) -> dict[str, list[Node]]:
    """For each word as many trees as are missing: trees without targets in which it has taken a like word's place."""
    found: dict[str, list[Node]] = {word: [] for word in missing}
    open_targets = {group: [t for t in targets if missing[t.word]] for group, targets in of_group.items()}
    n_missing = missing.total()
    while n_missing:
        tree = source.draw(_CONTENT_ROOTS, _LENGTHS, plan=plan)
        places = [leaf for leaf in tree.leaves() if open_targets.get(leaf.group)]
        if not places:
            continue
        # the group with the longest waiting list last would keep the rarest waiting longest
        leaf = min(places, key=lambda leaf: _frequency(leaf.group))
        target = source.pick(open_targets[leaf.group])
        leaf.word, leaf.lemma = target.word, target.lemma
        if source.is_new(" ".join(spell_out(tree))):
            found[target.word].append(tree)
            n_missing -= 1
            if len(found[target.word]) == missing[target.word]:
                for group in target.groups:
                    open_targets[group].remove(target)
    return found


def _frequency(group: Group) -> int:
    return {"V": 0, "JJ": 1}.get(group[0], 2)


def target_words(count: int = N_TARGETS) -> list[Target]:
    """The target forms: nouns before verbs before adjectives, as many as asked for.

    A noun gives its singular or its plural in turn, a verb one of three of its forms, every other adjective itself;
    what is a form of two entries of the lexicon is left out.
    """
    owners: dict[str, set[str]] = {}
    groups: dict[tuple[str, str], list[Group]] = {}
    for place, (kind, lemma) in enumerate((kind, lemma) for kind, nouns in lexicon.NOUNS.items() for lemma in nouns):
        _own(owners, f"{lemma}/noun", lemma, ("NN", "NNS"))
        tag = ("NN", "NNS")[place % 2]
        groups.setdefault((inflect(lemma, tag), lemma), []).append(("N", kind, tag))
    order = {lemma: place for place, lemma in enumerate(dict.fromkeys(verb.lemma for verb in lexicon.VERBS))}
    for verb in lexicon.VERBS:
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
    return [Target(*key, tuple(where)) for key, where in groups.items() if len(owners[key[0]]) == 1][:count]


def _own(owners: dict[str, set[str]], owner: str, lemma: str, tags: Sequence[str]) -> None:
    for tag in tags:
        owners.setdefault(inflect(lemma, tag), set()).add(owner)


def _label(split: str, label: str, tree: Node) -> Example:
    return Example(split, label, " ".join(spell_out(tree)), tree)
