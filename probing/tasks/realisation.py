"""From a derivation to a tree with words: features go down, agreement and selection go from left to right.

A clause has a tense, a subject with kind and number, and what its latest verb selects; a noun phrase has a kind and a
number. Whoever stands later in the clause reads what earlier words have settled.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import TypeVar

from probing.tasks import lexicon
from probing.tasks.derivation import Derivation
from probing.tasks.grammar import Node
from probing.tasks.lexicon import Verb
from probing.tasks.morphology import article_before, finite_tag, inflect, inflect_be

_Item = TypeVar("_Item")

_ALL_KINDS = tuple(lexicon.NOUNS)
_DETERMINER_TAGS = {"many": "JJ", **dict.fromkeys(lexicon.POSSESSIVES, "PRP$")}
_NAMES = lexicon.NAMES["she"] + lexicon.NAMES["he"]
_ADJECTIVES = {
    (kind, place): tuple(words.split()) for kind, both in lexicon.ADJECTIVES.items() for place, words in enumerate(both)
}
_SUBJECTS = {
    "intr": ("person",) * 30 + ("animal",) * 10 + ("vehicle", "event", "plant", "device") + _ALL_KINDS,
    "trans": ("person",) * 14 + ("animal",) * 3 + ("idea", "event", "text"),
    "gap": ("person",) * 6 + ("animal",),
    "done": _ALL_KINDS,
    "pred": ("person",) * 14 + _ALL_KINDS,
}
_PRONOUNS = {  # by plural, then by object case
    (False, False): ("he", "she"),
    (False, True): ("him", "her", "me"),
    (True, False): ("we", "they", "they", "you"),
    (True, True): ("us", "them", "them"),
}
_FIXED = {
    "IN.that": ("IN", ("that",)),
    "IN.if": ("IN", ("whether",)),
    "IN.time": ("IN", ("before", "after", "during")),
    "IN.by": ("IN", ("by",)),
    "IN.to": ("TO", ("to",)),
    "CC": ("CC", ("and",)),
    "CC.pair": ("CC", ("and", "but")),
    "CC.first": ("CC", ("and", "but")),
    "RB.not": ("RB", ("not",)),
    "RB.degree": ("RB", lexicon.DEGREES),
    "UH": ("UH", ("yes", "no", "well", "oh")),
    "WRB": ("WRB", ("why", "when", "how", "where")),
    ",": (",", (",",)),
    ".": (".", (".",)),
    "?": (".", ("?",)),
    ":": (":", (";",)),
}
_ADVERBS = {
    "RB.manner": lexicon.MANNER,
    "RB.freq": lexicon.FREQUENCY,
    "RB.open": lexicon.OPENERS,
    "RB.comment": lexicon.COMMENTS,
    "RB.end": lexicon.ENDINGS,
}
_VERB_SYMBOLS = tuple(
    f"V.{slot}"
    for slot in "intr trans gap done ditr said ask want odd first second".split()  # noqa: SIM905
)
_CONJUNCTIONS = ("because", "because", "although", "although", "when", "after", "before", "while")
_TIMELESS = ("because", "although")
_TARGET_ROLES = frozenset({"tsubj", "tobj", "odd"})
_QUESTION_MODALS = ("will", "can", "should", "would", "could", "must")


class DeadEndError(Exception):
    """No word fits here: the derivation has to be drawn anew."""


@dataclass(frozen=True)
class Plan:
    """What a task asks of the words of one sentence."""

    past: bool | None = None
    """Tense of the main clause; drawn where it is None."""
    target_plural: bool | None = None
    """Number of the target noun."""
    nouns: Collection[str] | None = None
    """Lemmas that the target noun may be taken from."""
    verbs: Collection[str] | None = None
    """Lemmas that the finite verb of the main clause may be taken from."""
    banned: Collection[str] = ()
    """Forms that may not occur."""
    shift: float = 0.15
    """Probability that a dependent clause has another tense than its parent; 0.5 makes them independent."""
    verb_at: Mapping[str, Verb] = field(default_factory=dict)
    """Verbs that are settled beforehand, by slot."""


@dataclass(slots=True)
class _Clause:
    past: bool
    kind: str = "person"
    plural: bool = False
    main: bool = False
    gap: str = ""
    tag: str = ""
    subject: str = ""
    objects: tuple[str, ...] = ()
    place: tuple[str, ...] = ()
    same_tense: bool = False
    active: bool = False
    neutral: bool = False


@dataclass(slots=True)
class _Nominal:
    kind: str
    plural: bool
    role: str
    lemma: str = ""


@dataclass
class Realiser:
    """Turns derivations into trees."""

    random: Random
    plan: Plan = field(default_factory=Plan)

    def realise(self, derivation: Derivation, plan: Plan) -> Node:
        """The tree of one sentence.

        Raises:
            DeadEndError: no word of the plan fits somewhere.
        """
        self.plan = plan
        self._used: set[str] = set()
        past = self.random.random() < 0.5 if plan.past is None else plan.past
        return self._build(derivation, _Clause(past, main=True), None, root=True)

    def _build(self, derivation: Derivation, clause: _Clause, nominal: _Nominal | None, root: bool = False) -> Node:
        symbol, parts = derivation
        if not parts:
            return self._word(symbol, clause, nominal)
        label = symbol.partition(".")[0]
        if label == "NP":
            nominal = self._open_nominal(symbol, parts, clause, nominal)
        elif label in {"S", "SQ"}:
            clause = self._open_clause(symbol, parts, clause, nominal, root)
        elif symbol == "SBARQ.what":
            nominal = _Nominal(self._pick(_ALL_KINDS), False, "gap")
        children = tuple([self._build(part, clause, nominal) for part in parts])
        if symbol == "S.ing":
            clause.tag = ""  # its subject, and with it the finite verb, is still to come
        return Node(label, children, role=symbol)

    def _open_clause(
        self, symbol: str, parts: Sequence[Derivation], parent: _Clause, nominal: _Nominal | None, root: bool
    ) -> _Clause:
        if symbol in {"S.inf", "S.ing"}:
            parent.tag = "VBG" if symbol == "S.ing" else "VB"
            return parent
        clause = parent if root else _Clause(self._dependent_tense(parent))
        if symbol == "S.srel" and nominal is not None:
            clause.kind, clause.plural = nominal.kind, nominal.plural
            clause.neutral = self.plan.target_plural is not None and nominal.role in {"tsubj", "tobj"}
            clause.past |= clause.neutral
            return clause
        if symbol in {"S.orel", "SQ.gap"} and nominal is not None:
            clause.gap = nominal.kind
        if symbol == "S.second":
            clause.past = parent.past
        clause.past = {"SQ.did": True, "SQ.does": False}.get(symbol, clause.past)
        if parts[-2:-1] and parts[-2][0] == "VP.order":
            clause.tag, clause.active = "VB", True
        slot = _verb_slot(parts)
        clause.kind = "person" if symbol == "S.part" else self._pick(_SUBJECTS.get(slot, ("person",)))
        clause.plural = _joins_subjects(parts) or (symbol != "SQ.does" and self.random.random() < 0.5)
        if clause.plural and symbol == "SQ.does":
            raise DeadEndError
        return clause

    def _dependent_tense(self, parent: _Clause) -> bool:
        same, parent.same_tense = parent.same_tense, False
        return parent.past if same or self.random.random() >= self.plan.shift else not parent.past

    def _open_nominal(
        self, symbol: str, parts: Sequence[Derivation], clause: _Clause, outer: _Nominal | None
    ) -> _Nominal:
        role = symbol[3:]
        if role == "head" and outer is not None:
            return outer
        if role == "it":
            return self._topic
        if role == "again":
            return self._agent
        plural = self.random.random() < 0.5
        if role in _TARGET_ROLES and self.plan.target_plural is not None:
            plural = self.plan.target_plural
        elif role in {"subj", "patient"}:
            plural = clause.plural
        nominal = _Nominal(self._choose_kind(role, clause, outer), plural, role)
        if role in {"tsubj", "agent"}:
            clause.plural = plural
        if role == "agent":
            self._agent = nominal
        elif role == "new":
            self._topic = nominal
        return nominal

    def _choose_kind(self, role: str, clause: _Clause, outer: _Nominal | None) -> str:
        if role in {"subj", "tsubj", "patient"}:
            return clause.kind
        if role in {"obj", "tobj", "odd", "theme", "new"}:
            return self._pick(clause.objects)
        if role == "place":
            return self._pick(clause.place)
        if role == "part" and outer is not None:
            return outer.kind
        return "event" if role == "event" else "person"

    def _word(self, symbol: str, clause: _Clause, nominal: _Nominal | None) -> Node:
        if symbol in _FIXED:
            tag, words = _FIXED[symbol]
            return Node(tag, (), words[0] if len(words) == 1 else self._pick(words), role=symbol)
        if symbol in _NOMINAL_WORDS:
            if nominal is None:
                raise ValueError(f"{symbol} stands outside a noun phrase")
            return _NOMINAL_WORDS[symbol](self, nominal, clause)
        return _CLAUSE_WORDS[symbol](self, clause, symbol)

    # words of the noun phrase

    def _noun(self, nominal: _Nominal, clause: _Clause) -> Node:
        tag = "NNS" if nominal.plural else "NN"
        lemmas: Sequence[str] = lexicon.NOUNS[nominal.kind]
        if self.plan.nouns is not None and nominal.role in _TARGET_ROLES:
            lemmas = [lemma for lemma in lemmas if lemma in self.plan.nouns]
        lemma = self._fresh(lemmas, lambda lemma: inflect(lemma, tag))
        nominal.lemma = lemma
        return Node(
            tag, word=inflect(lemma, tag), lemma=lemma, group=("N", nominal.kind, tag), role=f"N.{nominal.role}"
        )

    def _determiner(self, nominal: _Nominal, clause: _Clause) -> Node:
        neutral = self.plan.target_plural is not None and nominal.role in {"tsubj", "tobj"}
        word = self._pick(lexicon.NEUTRAL_DETERMINERS if neutral else lexicon.DETERMINERS[nominal.plural])
        return Node(_DETERMINER_TAGS.get(word, "DT"), word=word, role="DT")

    def _adjective(self, nominal: _Nominal, clause: _Clause) -> Node:
        return self._describe(nominal.kind, 0)

    def _inner_adjective(self, nominal: _Nominal, clause: _Clause) -> Node:
        return self._describe(nominal.kind, 1)

    def _describe(self, kind: str, place: int) -> Node:
        word = self._fresh(_ADJECTIVES[kind, place], str)
        return Node("JJ", word=word, lemma=word, group=("JJ", kind, str(place)), role="JJ")

    def _pronoun(self, nominal: _Nominal, clause: _Clause) -> Node:
        is_object = nominal.role not in {"subj", "patient"}
        if nominal.kind != "person":
            word = ("them" if is_object else "they") if nominal.plural else "it"
        elif not nominal.plural and self.random.random() < 0.5:
            return self._name(nominal, clause)
        else:
            word = self._pick(_PRONOUNS[nominal.plural, is_object])
        if is_object and (clause.subject, word) == ("we", "us"):
            word = "them"
        if not is_object:
            clause.subject = word
        return Node("PRP", word=word, role="PRO")

    def _name(self, nominal: _Nominal, clause: _Clause) -> Node:
        word = self._fresh(_NAMES, str)
        nominal.lemma = word
        nominal.plural = False
        if nominal.role == "agent":
            clause.plural = False
        return Node("NNP", word=word, role="NAME")

    def _new_determiner(self, nominal: _Nominal, clause: _Clause) -> Node:
        return Node("DT", word="some" if nominal.plural else "a", role="DT")

    def _known_determiner(self, nominal: _Nominal, clause: _Clause) -> Node:
        return Node("DT", word="the", role="DT")

    def _known_noun(self, nominal: _Nominal, clause: _Clause) -> Node:
        tag = "NNS" if nominal.plural else "NN"
        return Node(tag, word=inflect(nominal.lemma, tag), lemma=nominal.lemma, role="N.it")

    def _anaphor(self, nominal: _Nominal, clause: _Clause) -> Node:
        if nominal.kind != "person":
            return Node("PRP", word="them" if nominal.plural else "it", role="PRO.it")
        clause.plural = nominal.plural
        lemma = nominal.lemma
        she = lemma in lexicon.WOMEN or lemma in lexicon.NAMES["she"]
        he = lemma in lexicon.MEN or lemma in lexicon.NAMES["he"]
        either = "she" if self.random.random() < 0.5 else "he"
        return Node("PRP", word="they" if nominal.plural else "she" if she else "he" if he else either, role="PRO")

    def _possessive(self, nominal: _Nominal, clause: _Clause) -> Node:
        return Node("POS", word="'" if nominal.plural else "'s", role="POS")

    def _relative(self, nominal: _Nominal, clause: _Clause) -> Node:
        word = self._pick(("who", "who", "that") if nominal.kind == "person" else ("which", "that"))
        return Node("WP" if word == "who" else "WDT", word=word, role="WH")

    def _interrogative(self, nominal: _Nominal, clause: _Clause) -> Node:
        return Node("WP", word="who" if nominal.kind == "person" else "what", role="WP")

    # words of the clause

    def _adverb(self, clause: _Clause, symbol: str) -> Node:
        word = self._fresh(_ADVERBS[symbol], str)
        clause.active |= symbol == "RB.manner"
        return Node("RB", word=word, lemma=word, group=(symbol,), role=symbol)

    def _verb(self, clause: _Clause, symbol: str) -> Node:
        slot = symbol[2:]
        progressive = clause.active or clause.tag == "VBG"
        finite = not clause.tag and slot != "done"
        tag = "VBN" if slot == "done" else clause.tag or finite_tag(clause.past, clause.plural)
        if slot in self.plan.verb_at:
            verb = self.plan.verb_at[slot]
        else:
            frames: Sequence[Verb] = _frames(slot, clause.kind, clause.gap, progressive)
            if finite and clause.main and self.plan.verbs is not None:
                frames = [frame for frame in frames if frame.lemma in self.plan.verbs]
            verb = self._fresh(frames, lambda frame: inflect(frame.lemma, tag))
        clause.objects = verb.objects
        word = inflect(verb.lemma, tag)
        return Node(tag, word=word, lemma=verb.lemma, group=group_verb(verb, tag, progressive), role=symbol)

    def _modal(self, clause: _Clause, symbol: str) -> Node:
        clause.tag = "VB"
        return Node("MD", word=self._pick(_QUESTION_MODALS if symbol == "MD.q" else lexicon.MODALS), role=symbol)

    def _auxiliary(self, clause: _Clause, symbol: str) -> Node:
        tag = finite_tag(clause.past, clause.plural)
        lemma = {"DO": "do", "HA": "have"}.get(symbol[:2], "be")
        if clause.neutral and lemma == "be":
            raise DeadEndError  # `was` and `were` would tell the number of the target noun
        clause.tag = {"do": "VB", "have": "VBN", "be": "VBG"}[lemma]
        word = inflect_be(tag, clause.plural) if lemma == "be" else inflect(lemma, tag)
        return Node(tag, word=word, lemma=lemma, role=symbol)

    def _to(self, clause: _Clause, symbol: str) -> Node:
        clause.tag = "VB"
        return Node("TO", word="to", role=symbol)

    def _place(self, clause: _Clause, symbol: str) -> Node:
        word = self._pick(tuple(lexicon.PLACES))
        clause.place = lexicon.PLACES[word]
        return Node("IN", word=word, role=symbol)

    def _conjunction(self, clause: _Clause, symbol: str) -> Node:
        word = self._pick(_TIMELESS if self.plan.shift == 0.5 else _CONJUNCTIONS)
        clause.same_tense = word not in _TIMELESS
        return Node("IN", word=word, role=symbol)

    def _predicate(self, clause: _Clause, symbol: str) -> Node:
        return self._describe(clause.kind, 0)

    def _pick(self, items: Sequence[_Item]) -> _Item:
        return items[int(self.random.random() * len(items))]

    def _fresh(self, items: Sequence[_Item], spell: Callable[[_Item], str]) -> _Item:
        """An item whose word is allowed and has not occurred in the sentence yet."""
        for _ in range(8 if items else 0):
            item = self._pick(items)
            word = spell(item)
            if word not in self._used and word not in self.plan.banned:
                self._used.add(word)
                return item
        raise DeadEndError


_NOMINAL_WORDS = {
    "N": Realiser._noun,
    "DT": Realiser._determiner,
    "JJ": Realiser._adjective,
    "JJ2": Realiser._inner_adjective,
    "PRO": Realiser._pronoun,
    "NAME": Realiser._name,
    "POS": Realiser._possessive,
    "DT.new": Realiser._new_determiner,
    "DT.it": Realiser._known_determiner,
    "N.it": Realiser._known_noun,
    "PRO.it": Realiser._anaphor,
    "PRO.again": Realiser._anaphor,
    "WH": Realiser._relative,
    "WP": Realiser._interrogative,
}
_CLAUSE_WORDS = {
    "MD": Realiser._modal,
    "MD.q": Realiser._modal,
    "DO": Realiser._auxiliary,
    "DO.did": Realiser._auxiliary,
    "DO.does": Realiser._auxiliary,
    "HAVE": Realiser._auxiliary,
    "BE": Realiser._auxiliary,
    "COP": Realiser._auxiliary,
    "TO": Realiser._to,
    "IN.place": Realiser._place,
    "IN.adv": Realiser._conjunction,
    "JJ.pred": Realiser._predicate,
    **dict.fromkeys(_ADVERBS, Realiser._adverb),
    **dict.fromkeys(_VERB_SYMBOLS, Realiser._verb),
}


@cache
def group_verb(verb: Verb, tag: str, active: bool) -> tuple[str, ...]:
    """The group of verbs with the same frame in the same form; `active` where no stative may stand."""
    return "V", verb.slot, " ".join(verb.subjects), " ".join(verb.objects), tag, str(active)


def spell_out(tree: Node) -> list[str]:
    """The words as they are written: `a` or `an`, a capital at the start."""
    return spell_words([leaf.word for leaf in tree.leaves()])


def spell_words(words: Sequence[str]) -> list[str]:
    """The same for words in any order."""
    following = [*words[1:], "."]
    tokens = [article_before(after) if word == "a" else word for word, after in zip(words, following, strict=True)]
    return [tokens[0][0].upper() + tokens[0][1:], *tokens[1:]]


_FRAMES: dict[tuple[str, str, str, bool], tuple[Verb, ...]] = {}


def _frames(slot: str, kind: str, gap: str, progressive: bool) -> tuple[Verb, ...]:
    key = slot, kind, gap, progressive
    if key not in _FRAMES:
        _FRAMES[key] = tuple(verb for verb in lexicon.VERBS if _fits(verb, *key))
    return _FRAMES[key]


def _fits(verb: Verb, slot: str, kind: str, gap: str, progressive: bool) -> bool:
    if progressive and verb.stative:
        return False
    if slot == "done":
        return verb.slot == "trans" and kind in verb.objects and "person" in verb.subjects
    if slot == "gap":
        return verb.slot == "trans" and kind in verb.subjects and gap in verb.objects
    if slot == "odd":
        return verb.strict and kind in verb.subjects
    return verb.slot == slot and kind in verb.subjects


def _verb_slot(parts: Sequence[Derivation]) -> str:
    """What the first verb of a clause needs, read off its derivation: `pred` stands for an adjective."""
    for symbol, inner in parts:
        if symbol == "ADJP":
            return "pred"
        if symbol.startswith("V."):
            return symbol[2:]
        if symbol.startswith("VP"):
            return _verb_slot(inner)
    return ""


def _joins_subjects(parts: Sequence[Derivation]) -> bool:
    return any(
        symbol == "NP.subj" and any(inner_symbol == "CC" for inner_symbol, _ in inner) for symbol, inner in parts
    )
