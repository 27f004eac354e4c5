"""From a derivation to a tree with words: features go down, agreement and selection go from left to right.

A clause has a tense, a subject with kind and number, and what its latest verb selects; a noun phrase has a kind and a
number. Whoever stands later in the clause reads what earlier words have settled.
"""

from collections.abc import Sequence
from random import Random

from probing.tasks.controlled.agreement import (
    ALL_KINDS,
    MAIN_CLAUSES,
    SUBJECT_KINDS,
    Clause,
    Nominal,
    Plan,
    find_slot,
    joins_subjects,
)
from probing.tasks.controlled.derivation import Derivation
from probing.tasks.controlled.grammar import Node
from probing.tasks.controlled.morphology import article_before
from probing.tasks.controlled.word_choice import WordChooser


class Realiser:
    """Turns derivations into trees."""

    def __init__(self, random: Random):
        """Take the generator to draw from."""
        self._words = WordChooser(random)

    def realise(self, derivation: Derivation, plan: Plan) -> Node:
        """The tree of one sentence.

        Raises:
            DeadEndError: no word of the plan fits somewhere.
        """
        self.plan = plan
        self._words.start(plan)
        past = self._words.toss() if plan.past is None else plan.past
        return self._build(derivation, Clause(past, main=True), None, root=True)

    def _build(self, derivation: Derivation, clause: Clause, nominal: Nominal | None, root: bool = False) -> Node:
        symbol, parts = derivation
        if not parts:
            return self._words.choose(symbol, clause, nominal)
        label = symbol.partition(".")[0]
        if label == "NP":
            nominal = self._open_nominal(symbol, parts, clause, nominal)
        elif label in {"S", "SQ"}:
            clause = self._open_clause(symbol, parts, clause, nominal, root)
        elif symbol.startswith("SBARQ.what"):
            nominal = Nominal(self._words.pick(ALL_KINDS), False, "gap")
        children = tuple([self._build(part, clause, nominal) for part in parts])
        if symbol == "S.ing":
            clause.tag = ""  # its subject, and with it the finite verb, is still to come
        return Node(label, children, role=symbol)

    def _open_clause(
        self, symbol: str, parts: Sequence[Derivation], parent: Clause, nominal: Nominal | None, root: bool
    ) -> Clause:
        if symbol in {"S.inf", "S.ing"}:
            parent.tag = "VBG" if symbol == "S.ing" else "VB"
            return parent
        if root:
            clause = parent
        elif symbol.startswith(MAIN_CLAUSES):
            clause = Clause(parent.past, main=True)
        else:
            clause = Clause(self._dependent_tense(parent))
        if symbol == "S.srel" and nominal is not None:
            self._share_subject(clause, nominal)
            return clause
        if symbol in {"S.orel", "SQ.gap"} and nominal is not None:
            clause.gap = nominal.kind
        if symbol.startswith("S.order"):
            clause.tag, clause.active = "VB", True
        self._settle_subject(symbol, parts, clause)
        return clause

    def _share_subject(self, clause: Clause, nominal: Nominal) -> None:
        """The subject of a relative clause is the noun that it modifies."""
        clause.kind, clause.plural = nominal.kind, nominal.plural
        clause.neutral = self.plan.hides_number_of(nominal)
        clause.past |= clause.neutral

    def _settle_subject(self, symbol: str, parts: Sequence[Derivation], clause: Clause) -> None:
        """Kind and number of the subject to come, since an auxiliary may stand before it."""
        does = symbol.startswith("SQ.does")
        if symbol.startswith("SQ"):
            clause.past = not does
        kinds = SUBJECT_KINDS.get(find_slot(parts), ("person",))
        clause.kind = "person" if symbol.startswith("S.part") else self._words.pick(kinds)
        clause.plural = not does and (joins_subjects(parts) or self._words.toss())

    def _dependent_tense(self, parent: Clause) -> bool:
        same, parent.same_tense = parent.same_tense, False
        return parent.past if same or self._words.random.random() >= self.plan.shift else not parent.past

    def _open_nominal(self, symbol: str, parts: Sequence[Derivation], clause: Clause, outer: Nominal | None) -> Nominal:
        role = symbol[3:]
        if role == "head" and outer is not None:
            return outer
        if role == "it":
            return self._topic
        plural = self.plan.plurals[role] if role in self.plan.plurals else self._words.toss()
        if role in {"subj", "patient"}:
            plural = clause.plural
        nominal = Nominal(self._choose_kind(role, clause, outer), plural, role)
        if role in {"tsubj", "agent"}:
            clause.plural = plural
        elif role == "topic":
            self._topic = nominal
        return nominal

    def _choose_kind(self, role: str, clause: Clause, outer: Nominal | None) -> str:
        if role in {"subj", "tsubj", "patient"}:
            return clause.kind
        if role in {"obj", "tobj", "theme"}:
            return self._words.pick(clause.objects)
        if role == "topic":
            return self.plan.topic
        if role == "place":
            return self._words.pick(clause.place)
        if role == "part" and outer is not None:
            return outer.kind
        return "event" if role == "event" else "person"


def spell_out(tree: Node) -> list[str]:
    """The words as they are written: `a` or `an`, a capital at the start."""
    return spell_words([leaf.word for leaf in tree.leaves()])


def spell_words(words: Sequence[str]) -> list[str]:
    """The same for words in any order."""
    following = [*words[1:], "."]
    tokens = [article_before(after) if word == "a" else word for word, after in zip(words, following, strict=True)]
    return [tokens[0][0].upper() + tokens[0][1:], *tokens[1:]]
