"""The features that words share within a clause and within a noun phrase, and what selects what."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from probing.tasks.controlled.derivation import Derivation
from probing.tasks.controlled.lexicon import NOUNS
from probing.tasks.controlled.verbs import VERBS, Verb

ALL_KINDS = tuple(NOUNS)
SUBJECT_KINDS = {
    "intr": ("person",) * 30 + ("animal",) * 10 + ("vehicle", "event", "plant", "device") + ALL_KINDS,
    "trans": ("person",) * 14 + ("animal",) * 3 + ("idea", "event", "text"),
    "gap": ("person",) * 6 + ("animal",),
    "act": ("person",) * 11 + ("animal",),
    "done": ALL_KINDS,
    "pred": ("person",) * 14 + ALL_KINDS,
}
"""Kinds that the subject of a clause may have, as often as they stand here, by what its verb needs; else a person."""
TARGET_ROLES = frozenset({"tsubj", "tobj"})
"""Noun phrases whose noun a task asks for."""
MAIN_CLAUSES = ("S.main", "S.first", "S.second", "SQ")
"""Beginnings of the symbols of main clauses below the root."""


class DeadEndError(Exception):
    """No word fits here: the derivation has to be drawn anew."""


@dataclass(frozen=True)
class Plan:
    """Demands of a task on the words of one sentence."""

    past: bool | None = None
    """Tense of the main clause; drawn where it is None."""
    plurals: Mapping[str, bool] = field(default_factory=dict)
    """Number of the target nouns, by the role of their phrase."""
    nouns: Collection[str] | None = None
    """Lemmas that a target noun may be taken from."""
    verbs: Collection[str] | None = None
    """Lemmas that the finite verb of the main clause may be taken from."""
    strict: bool = False
    """True where the verb of a target object is one that makes objects of other kinds odd."""
    banned: Collection[str] = ()
    """Forms that may not occur."""
    reserved: Collection[str] = ()
    """Forms that may not occur but where a label is borne."""
    spent: Collection[str] = ()
    """Forms that may not occur there either."""
    shift: float = 0.15
    """Probability that a dependent clause has another tense than its parent; 0.5 makes them independent."""
    verb_at: Mapping[str, Verb] = field(default_factory=dict)
    """Verbs that are settled beforehand, by slot."""
    topic: str = ""
    """Kind of the thing that a story is about."""
    cued: str = ""
    """The role whose determiner tells the number of its noun, while that of no other noun does; empty if none does."""

    def hides_number_of(self, nominal: "Nominal") -> bool:
        """True where nothing but the noun itself may tell its number."""
        return nominal.role in self.plurals and nominal.role != self.cued


@dataclass(slots=True)
class Clause:
    """Features that the words of a clause agree in, and what its latest words select."""

    past: bool
    kind: str = "person"
    """Kind of the subject."""
    plural: bool = False
    """Number of the subject."""
    main: bool = False
    gap: str = ""
    """Kind of the object that stands elsewhere, as in a relative clause or a question."""
    tag: str = ""
    """Form that the next verb takes; empty if it is the finite one."""
    subject: str = ""
    """The subject, if it is a pronoun."""
    objects: tuple[str, ...] = ()
    """Kinds that the latest verb selects."""
    place: tuple[str, ...] = ()
    """Kinds that the latest preposition selects."""
    same_tense: bool = False
    """True where the clause that comes next keeps the tense."""
    active: bool = False
    """True where no stative may stand, as after an adverb of manner."""
    neutral: bool = False
    """True where no verb may tell the number of the subject."""


@dataclass(slots=True)
class Nominal:
    """Features that the words of a noun phrase agree in."""

    kind: str
    plural: bool
    role: str
    """Role of the phrase; the part of its symbol after the dot."""
    lemma: str = ""
    """The noun, once it is chosen."""


@cache
def fitting_verbs(slot: str, kind: str, gap: str, active: bool) -> tuple[Verb, ...]:
    """Verbs for a slot that go with a subject of this kind and, in a clause with a gap, with what belongs there."""
    return tuple(verb for verb in VERBS if _fits(verb, slot, kind, gap) and not (active and verb.stative))


def _fits(verb: Verb, slot: str, kind: str, gap: str) -> bool:
    if slot == "done":
        return verb.slot == "trans" and kind in verb.objects and "person" in verb.subjects
    if slot == "gap":
        return verb.slot == "trans" and kind in verb.subjects and gap in verb.objects
    if slot == "act":
        return verb.slot == "trans" and kind in verb.subjects
    return verb.slot == slot and kind in verb.subjects


def find_slot(parts: Sequence[Derivation]) -> str:
    """Find what the first verb of a clause needs, read off its derivation: `pred` stands for an adjective."""
    for symbol, inner in parts:
        if symbol == "ADJP":
            return "pred"
        if symbol.startswith("V."):
            return symbol[2:]
        if symbol.startswith("VP"):
            return find_slot(inner)
    return ""


def joins_subjects(parts: Sequence[Derivation]) -> bool:
    """True where the subject consists of several."""
    return any(
        symbol == "NP.subj" and any(inner_symbol == "CC" for inner_symbol, _ in inner) for symbol, inner in parts
    )
