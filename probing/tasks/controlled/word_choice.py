"""Chooses a word for each place of a tree, by the features of its clause and its noun phrase."""

from collections.abc import Callable, Sequence
from functools import cache
from random import Random
from typing import TypeVar

from probing.tasks.controlled import lexicon
from probing.tasks.controlled.agreement import TARGET_ROLES, Clause, DeadEndError, Nominal, Plan, fitting_verbs
from probing.tasks.controlled.grammar import Node
from probing.tasks.controlled.morphology import finite_tag, inflect, inflect_be
from probing.tasks.controlled.verbs import Verb

_Item = TypeVar("_Item")

_DETERMINER_TAGS = {"many": "JJ", **dict.fromkeys(lexicon.POSSESSIVES, "PRP$")}
_NAMES = lexicon.NAMES["she"] + lexicon.NAMES["he"]
_ADJECTIVES = {
    (kind, place): tuple(words.split()) for kind, both in lexicon.ADJECTIVES.items() for place, words in enumerate(both)
}
_ADVERBS = {
    "RB.manner": lexicon.MANNER,
    "RB.freq": lexicon.FREQUENCY,
    "RB.open": lexicon.OPENERS,
    "RB.comment": lexicon.COMMENTS,
    "RB.end": lexicon.ENDINGS,
}
_SLOTS = (
    *("intr", "trans", "gap", "done", "ditr", "said", "think", "ask", "want"),
    *("act", "tell", "urge", "topic", "first", "second"),
)
_CONJUNCTIONS = ("because", "because", "although", "although", "when", "after", "before", "while")
_TIMELESS = ("because", "although")
_QUESTION_MODALS = ("will", "can", "should", "would", "could", "must")


class WordChooser:
    """Chooses words that fit, no content word twice in a sentence."""

    def __init__(self, random: Random):
        """Take the generator to draw from."""
        self.random = random
        self.start(Plan())

    def start(self, plan: Plan) -> None:
        """Begin a new sentence."""
        self.plan = plan
        self._used: set[str] = set()

    def pick(self, items: Sequence[_Item]) -> _Item:
        """One of the items."""
        return items[int(self.random.random() * len(items))]

    def toss(self) -> bool:
        """A fair coin."""
        return self.random.random() < 0.5

    def choose(self, symbol: str, clause: Clause, nominal: Nominal | None) -> Node:
        """The word for a place, as a leaf; later words of the clause and the phrase learn from it."""
        if symbol in lexicon.FUNCTION_WORDS:
            tag, words = lexicon.FUNCTION_WORDS[symbol]
            return Node(tag, (), words[0] if len(words) == 1 else self.pick(words), role=symbol)
        if symbol in _NOMINAL_WORDS:
            if nominal is None:
                raise ValueError(f"{symbol} stands outside a noun phrase")
            return _NOMINAL_WORDS[symbol](self, nominal, clause)
        return _CLAUSE_WORDS[symbol](self, clause, symbol)

    def _noun(self, nominal: Nominal, clause: Clause) -> Node:
        tag = "NNS" if nominal.plural else "NN"
        lemmas: Sequence[str] = lexicon.NOUNS[nominal.kind]
        if self.plan.nouns is not None and nominal.role in TARGET_ROLES:
            lemmas = [lemma for lemma in lemmas if lemma in self.plan.nouns]
        bearer = nominal.role in TARGET_ROLES
        lemma = self._fresh(lemmas, lambda lemma: inflect(lemma, tag), bearer)
        nominal.lemma = lemma
        # what bears a label has no group: no other word may take its place
        group = () if bearer else ("N", nominal.kind, tag)
        return Node(tag, word=inflect(lemma, tag), lemma=lemma, group=group, role=f"N.{nominal.role}")

    def _determiner(self, nominal: Nominal, clause: Clause) -> Node:
        if nominal.role == "topic":
            words = ("the",)
        elif self.plan.cued == nominal.role:
            words = lexicon.TELLING_DETERMINERS[nominal.plural]
        elif self.plan.cued or self.plan.hides_number_of(nominal):
            words = lexicon.NEUTRAL_DETERMINERS
        elif nominal.kind in lexicon.PUBLIC_KINDS:
            words = lexicon.PUBLIC_DETERMINERS[nominal.plural]
        else:
            words = lexicon.DETERMINERS[nominal.plural]
        word = self.pick(words)
        return Node(_DETERMINER_TAGS.get(word, "DT"), word=word, role="DT")

    def _adjective(self, nominal: Nominal, clause: Clause) -> Node:
        return self._describe(nominal.kind, 0)

    def _inner_adjective(self, nominal: Nominal, clause: Clause) -> Node:
        return self._describe(nominal.kind, 1)

    def _describe(self, kind: str, place: int) -> Node:
        word = self._fresh(_ADJECTIVES[kind, place], str)
        return Node("JJ", word=word, lemma=word, group=("JJ", kind, str(place)), role="JJ")

    def _pronoun(self, nominal: Nominal, clause: Clause) -> Node:
        is_object = nominal.role not in {"subj", "patient", "agent"}
        if nominal.kind != "person":
            word = ("them" if is_object else "they") if nominal.plural else "it"
        elif not nominal.plural and self.toss():
            return self._name(nominal, clause)
        else:
            word = self.pick(lexicon.PRONOUNS[nominal.plural, is_object])
        if is_object and (clause.subject, word) == ("we", "us"):
            word = "them"
        if not is_object:
            clause.subject = word
        return Node("PRP", word=word, role="PRO")

    def _name(self, nominal: Nominal, clause: Clause) -> Node:
        word = self._fresh(_NAMES, str)
        nominal.lemma = word
        nominal.plural = False
        if nominal.role == "agent":
            clause.plural = False
        return Node("NNP", word=word, role="NAME")

    def _anaphor(self, nominal: Nominal, clause: Clause) -> Node:
        return Node("PRP", word="them" if nominal.plural else "it", role="PRO.it")

    def _possessive(self, nominal: Nominal, clause: Clause) -> Node:
        ends_in_s = nominal.plural and inflect(nominal.lemma, "NNS").endswith("s")
        return Node("POS", word="'" if ends_in_s else "'s", role="POS")

    def _relative(self, nominal: Nominal, clause: Clause) -> Node:
        word = self.pick(("who", "who", "that") if nominal.kind == "person" else ("which", "that"))
        return Node("WP" if word == "who" else "WDT", word=word, role="WH")

    def _interrogative(self, nominal: Nominal, clause: Clause) -> Node:
        return Node("WP", word="who" if nominal.kind == "person" else "what", role="WP")

    def _adverb(self, clause: Clause, symbol: str) -> Node:
        word = self._fresh(_ADVERBS[symbol], str)
        clause.active |= symbol == "RB.manner"
        return Node("RB", word=word, lemma=word, group=(symbol,), role=symbol)

    def _verb(self, clause: Clause, symbol: str) -> Node:
        slot = symbol[2:]
        active = clause.active or clause.tag == "VBG"
        finite = not clause.tag and slot != "done"
        tag = "VBN" if slot == "done" else clause.tag or finite_tag(clause.past, clause.plural)
        if slot in self.plan.verb_at:
            verb = self.plan.verb_at[slot]
        else:
            frames: Sequence[Verb] = fitting_verbs(slot, clause.kind, clause.gap, active)
            if slot == "act" and self.plan.strict:
                frames = [frame for frame in frames if frame.strict]
            if finite and clause.main and self.plan.verbs is not None:
                frames = [frame for frame in frames if frame.lemma in self.plan.verbs]
            verb = self._fresh(frames, lambda frame: inflect(frame.lemma, tag), clause.main)
        clause.objects = verb.objects
        word = inflect(verb.lemma, tag)
        group = () if clause.main else group_verb(verb, tag, active)
        return Node(tag, word=word, lemma=verb.lemma, group=group, role=symbol)

    def _modal(self, clause: Clause, symbol: str) -> Node:
        clause.tag = "VB"
        return Node("MD", word=self.pick(_QUESTION_MODALS if symbol == "MD.q" else lexicon.MODALS), role=symbol)

    def _auxiliary(self, clause: Clause, symbol: str) -> Node:
        tag = finite_tag(clause.past, clause.plural)
        lemma = {"DO": "do", "HA": "have"}.get(symbol[:2], "be")
        if clause.neutral and lemma == "be":
            raise DeadEndError  # `was` and `were` would tell the number of the target noun
        clause.tag = {"do": "VB", "have": "VBN", "be": "VBG"}[lemma]
        word = inflect_be(tag, clause.plural) if lemma == "be" else inflect(lemma, tag)
        return Node(tag, word=word, lemma=lemma, role=symbol)

    def _to(self, clause: Clause, symbol: str) -> Node:
        clause.tag = "VB"
        return Node("TO", word="to", role=symbol)

    def _place(self, clause: Clause, symbol: str) -> Node:
        word = self.pick(tuple(lexicon.PLACES))
        clause.place = lexicon.PLACES[word]
        return Node("IN", word=word, role=symbol)

    def _conjunction(self, clause: Clause, symbol: str) -> Node:
        word = self.pick(_TIMELESS if self.plan.shift == 0.5 else _CONJUNCTIONS)
        clause.same_tense = word not in _TIMELESS
        return Node("IN", word=word, role=symbol)

    def _predicate(self, clause: Clause, symbol: str) -> Node:
        return self._describe(clause.kind, 0)

    def _fresh(self, items: Sequence[_Item], spell: Callable[[_Item], str], bearer: bool = False) -> _Item:
        """An item whose word is allowed and has not occurred in the sentence yet."""
        kept = self.plan.spent if bearer else self.plan.reserved
        for _ in range(8 if items else 0):
            item = self.pick(items)
            word = spell(item)
            if word not in self._used and word not in self.plan.banned and word not in kept:
                self._used.add(word)
                return item
        raise DeadEndError


_NOMINAL_WORDS = {
    "N": WordChooser._noun,
    "DT": WordChooser._determiner,
    "JJ": WordChooser._adjective,
    "JJ2": WordChooser._inner_adjective,
    "PRO": WordChooser._pronoun,
    "NAME": WordChooser._name,
    "POS": WordChooser._possessive,
    "PRO.it": WordChooser._anaphor,
    "WH": WordChooser._relative,
    "WP": WordChooser._interrogative,
}
_CLAUSE_WORDS = {
    "MD": WordChooser._modal,
    "MD.q": WordChooser._modal,
    "DO": WordChooser._auxiliary,
    "DO.did": WordChooser._auxiliary,
    "DO.does": WordChooser._auxiliary,
    "HAVE": WordChooser._auxiliary,
    "BE": WordChooser._auxiliary,
    "COP": WordChooser._auxiliary,
    "TO": WordChooser._to,
    "IN.place": WordChooser._place,
    "IN.adv": WordChooser._conjunction,
    "JJ.pred": WordChooser._predicate,
    **dict.fromkeys(_ADVERBS, WordChooser._adverb),
    **{f"V.{slot}": WordChooser._verb for slot in _SLOTS},
}


@cache
def group_verb(verb: Verb, tag: str, active: bool) -> tuple[str, ...]:
    """The group of verbs with the same frame in the same form; `active` where no stative may stand."""
    return "V", verb.slot, " ".join(verb.subjects), " ".join(verb.objects), tag, str(active)
