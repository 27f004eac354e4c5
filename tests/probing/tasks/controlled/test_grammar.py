"""The grammar gives what is asked of it: exact shapes, agreement, and no more of a rule than its weight."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk import Tree

from probing.tasks.controlled.agreement import DeadEndError, Plan
from probing.tasks.controlled.derivation import DerivationSampler
from probing.tasks.controlled.grammar import read_rules
from probing.tasks.controlled.morphology import article_before, inflect
from probing.tasks.controlled.realisation import Realiser, spell_out
from probing.tasks.controlled.verbs import Verb

ROOTS = (
    *("S.plain_o", "S.sbar_z", "S.pair_o", "S.part_z", "S.order_o", "SQ.did_o", "SBARQ.what_z", "S.other_z"),
    *("S.story_o", "S.story_z"),
)
SINGULAR = {"he", "she", "it", "him", "her", "me"}
SAMPLER = DerivationSampler(read_rules())
STORY_PLAN = Plan(
    topic="food",
    verb_at={slot: Verb(lemma, slot, ("person",), ("food",)) for slot, lemma in (("first", "cook"), ("second", "eat"))},
)


def derivation_depth(derivation):
    _, parts = derivation
    return 1 + max((derivation_depth(part) for part in parts), default=0)


def derivation_words(derivation):
    _, parts = derivation
    return sum(map(derivation_words, parts)) if parts else 1


def draw_tree(random, root, length):
    realiser = Realiser(random)
    while True:
        try:
            return realiser.realise(SAMPLER.draw(random, root, length), STORY_PLAN)
        except DeadEndError:
            continue


def is_plural(phrase):
    """Number of a noun phrase in brackets, found from its head."""
    labels = [child.label() for child in phrase]
    if "CC" in labels:
        return True
    if labels[0] == "NP" and {"PP", "SBAR"} & set(labels[1:]):
        return is_plural(phrase[0])
    word, label = phrase[-1][0], labels[-1]
    return word not in SINGULAR if label == "PRP" else label == "NNS"


def disagreements(tree, subject=None):
    """Finite verbs whose form does not fit the subject of their clause; a relative clause has that of its noun."""
    found = []
    if tree.label() in {"S", "SQ"}:
        own = [child for child in tree if child.label() == "NP"]
        subject = own[-1] if own else subject
        found += [verb for verb in finite_verbs(tree) if subject is not None and not agrees(verb, is_plural(subject))]
    for place, child in enumerate(tree):
        if isinstance(child[0], Tree):
            head = tree[place - 1] if child.label() == "SBAR" and tree.label() == "NP" else None
            found += disagreements(child, head if head is not None else subject if child.label() == "S" else None)
    return found


def disagreements_of(tree):
    return disagreements(Tree.fromstring(tree.bracketed()))


def finite_verbs(clause):
    """First verbs of the verb phrases of a clause, conjuncts included, and an auxiliary before the subject."""
    found = [child for child in clause if child.label() in {"VBD", "VBZ", "VBP"}]
    waiting = [child for child in clause if child.label() == "VP"]
    while waiting:
        phrase = waiting.pop()
        if any(child.label() == "CC" for child in phrase):
            waiting += [child for child in phrase if child.label() == "VP"]
        found += [child for child in phrase if child.label() in {"VBD", "VBZ", "VBP"}]
    return found


def agrees(verb, plural):
    return (
        verb[0] == ("were" if plural else "was")
        if verb[0] in {"was", "were"}
        else verb.label() != ("VBZ" if plural else "VBP")
    )


@settings(deadline=None, max_examples=100)
@given(st.integers(0), st.sampled_from(ROOTS), st.integers(5, 12), st.integers(5, 28))
def test_a_derivation_has_exactly_the_depth_and_the_length_asked_for(seed, root, depth, length):
    if SAMPLER.weights(root, depth)[length] == 0:
        with pytest.raises(ValueError, match="no derivation"):
            SAMPLER.draw(Random(seed), root, length, depth)
        return
    drawn = SAMPLER.draw(Random(seed), root, length, depth)
    assert (derivation_depth(drawn), derivation_words(drawn)) == (depth, length)


@settings(deadline=None, max_examples=150)
@given(st.integers(0), st.sampled_from(ROOTS), st.integers(17, 20))
def test_every_finite_verb_agrees_with_its_subject(seed, root, length):
    tree = draw_tree(Random(seed), root, length)
    assert disagreements_of(tree) == [], " ".join(spell_out(tree))


def test_the_agreement_check_can_fail():
    assert disagreements(Tree.fromstring("(S (NP (DT the) (NNS dogs)) (VP (VBZ sleeps)) (. .))"))
    relative = "(S (NP (NP (DT the) (NN dog)) (SBAR (WHNP (WDT that)) (S (VP (VBP bark))))) (VP (VBZ sleeps)) (. .))"
    assert [verb[0] for verb in disagreements(Tree.fromstring(relative))] == ["bark"]


def test_rules_are_drawn_in_proportion_to_their_weights():
    sampler = DerivationSampler(read_rules("S -> A : 3\nS -> B : 1\n"))
    random = Random(0)
    share = sum(sampler.draw(random, "S", 1)[1][0][0] == "A" for _ in range(4000)) / 4000
    assert abs(share - 0.75) < 4 * (0.75 * 0.25 / 4000) ** 0.5  # four standard errors


@pytest.mark.parametrize(
    ("lemma", "tag", "form"),
    [("child", "NNS", "children"), ("wolf", "NNS", "wolves"), ("ride", "VBD", "rode"), ("write", "VBN", "written")],
)
def test_irregular_forms_are_right(lemma, tag, form):
    assert inflect(lemma, tag) == form


@pytest.mark.parametrize(("word", "article"), [("apple", "an"), ("uniform", "a"), ("honest", "an"), ("dog", "a")])
def test_the_article_follows_the_sound(word, article):
    assert article_before(word) == article
