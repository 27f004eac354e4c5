"""The phrase-structure rules of the controlled corpus, and the trees they make.

A symbol is `LABEL.role`: the label is what the tree shows, the role tells what the phrase does, and so which features
it has (`realisation` reads them): `NP.obj` takes its kind from the verb, `S.srel` its subject from the noun that it
modifies, `NP.tsubj` is the subject whose number a task asks for. Symbols that no rule expands stand for one word.
"""

from dataclasses import dataclass

_ROLES = "NP.subj NP.obj NP.iobj NP.by NP.to NP.patient"
_NAMED = f"{_ROLES} NP.place NP.event NP.tsubj NP.tobj NP.odd NP.theme NP.agent"
_FULL = "VP VP.rest VP.order VP.simple VP.main VP.lex VP.lexrest"
_PLAIN = f"{_FULL} VP.srel VP.srelrest VP.adv"

GRAMMAR = f"""
{_ROLES}                -> PRO                              : 3
{_NAMED}                -> DT N                             : 6
{_NAMED}                -> DT JJ N                          : 3
{_NAMED}                -> DT JJ JJ2 N                      : 1
{_NAMED}                -> NP.head PP.np                    : 1
{_NAMED}                -> NP.head SBAR.srel                : 0.8
{_NAMED}                -> NP.head SBAR.orel                : 0.8
NP.subj NP.obj NP.tsubj NP.tobj -> NP.owner N               : 1
NP.subj NP.obj NP.tsubj NP.tobj -> NP.owner JJ N            : 0.4
NP.subj NP.obj NP.to    -> NP.part CC NP.part               : 0.7
NP.subj NP.obj          -> NP.part , NP.part CC NP.part     : 0.3
NP.head NP.part         -> DT N                             : 3
NP.head NP.part         -> DT JJ N                          : 1
NP.owner                -> DT N POS                         : 1
NP.owner                -> NAME POS                         : 1
PP.np                   -> IN.place NP.place                : 1
PP.place                -> IN.place NP.place                : 1
PP.time                 -> IN.time NP.event                 : 1
PP.by                   -> IN.by NP.by                      : 1
PP.to                   -> IN.to NP.to                      : 1

S.emb                   -> NP.subj VP                       : 6
S.emb                   -> NP.patient VP.pass               : 1
SBAR.that               -> IN.that S.emb                    : 1
SBAR.zero               -> S.emb                            : 1
SBAR.if                 -> IN.if S.emb                      : 1
SBAR.adv SBAR.open      -> IN.adv S.adv                     : 1
S.adv                   -> NP.subj VP.adv                   : 1
SBAR.srel               -> WHNP S.srel                      : 1
SBAR.orel               -> WHNP S.orel                      : 1
SBAR.orel               -> S.orel                           : 0.35
WHNP                    -> WH                               : 1
S.srel                  -> VP.srel                          : 1
S.orel                  -> NP.subj VP.gap                   : 1
VP.gap                  -> V.gap                            : 4
VP.gap                  -> V.gap PP.place                   : 1
VP.gap                  -> MD VP.gaprest                    : 1
VP.gap                  -> HAVE VP.gaprest                  : 1
VP.gaprest              -> V.gap                            : 4
VP.gaprest              -> V.gap PP.place                   : 1

{_PLAIN}                -> V.intr                           : 2
{_PLAIN}                -> V.intr ADVP.end                  : 1
{_PLAIN}                -> V.intr PP.place                  : 2
{_PLAIN}                -> V.trans NP.obj                   : 6
{_PLAIN}                -> V.trans NP.obj PP.place          : 2
{_PLAIN}                -> V.trans NP.obj PP.time           : 1
{_FULL}                 -> V.trans NP.obj ADVP.end          : 0.7
{_FULL}                 -> V.trans NP.obj PP.place PP.time  : 0.3
{_FULL}                 -> V.trans NP.obj SBAR.adv          : 1
{_FULL}                 -> V.intr SBAR.adv                  : 0.7
{_FULL}                 -> V.ditr NP.iobj NP.theme          : 1
{_FULL}                 -> V.ditr NP.theme PP.to            : 1
{_FULL} VP.adv          -> V.said SBAR.that                 : 2
{_FULL}                 -> V.think SBAR.zero                : 0.7
{_FULL}                 -> V.ask SBAR.if                    : 1
{_FULL} VP.adv          -> V.want S.inf                     : 1.5
VP VP.main VP.lex       -> ADVP.manner V.trans NP.obj       : 1
VP VP.main VP.lex       -> ADVP.manner V.trans NP.obj PP.place : 0.5
VP.fin                  -> V.intr                           : 2
VP.fin                  -> V.trans NP.obj                   : 4
VP.fin                  -> V.trans NP.obj PP.place          : 1
VP                      -> VP.fin CC VP.fin                 : 1.5
VP                      -> MD VP.rest                       : 2
VP                      -> MD RB.not VP.rest                : 0.5
VP                      -> DO RB.not VP.rest                : 1
VP                      -> BE VP.rest                       : 2
VP                      -> HAVE VP.rest                     : 1.5
VP VP.srel              -> COP ADJP                         : 1.5
VP.srel                 -> MD VP.srelrest                   : 1
VP.srel                 -> BE VP.srelrest                   : 1
VP.srel                 -> HAVE VP.srelrest                 : 1
VP.lex                  -> MD VP.lexrest                    : 3
ADJP                    -> JJ.pred                          : 1
ADJP                    -> RB.degree JJ.pred                : 1
VP.pass                 -> BE VP.done                       : 1
VP.done                 -> V.done                           : 1
VP.done                 -> V.done PP.by                     : 1
VP.done                 -> V.done PP.place                  : 1
S.inf                   -> VP.to                            : 1
VP.to                   -> TO VP.rest                       : 1
ADVP.end                -> RB.end                           : 1
ADVP.manner             -> RB.manner                        : 1
ADVP.freq               -> RB.freq                          : 1
ADVP.open               -> RB.open                          : 1
ADVP.order              -> RB.order                         : 1
ADVP.comment            -> RB.comment                       : 1
INTJ                    -> UH                               : 1
VP.tobj                 -> V.trans NP.tobj                  : 6
VP.tobj                 -> V.trans NP.tobj PP.place         : 2
VP.tobj                 -> V.trans NP.tobj PP.time          : 1
VP.tobj                 -> ADVP.manner V.trans NP.tobj      : 1
VP.tobj                 -> V.trans NP.tobj SBAR.adv         : 1
VP.tobj                 -> V.ditr NP.tobj PP.to             : 1
VP.tobj                 -> V.ditr NP.iobj NP.tobj           : 1
VP.tobj                 -> MD VP.trest                      : 1
VP.trest                -> V.trans NP.tobj                  : 2
VP.trest                -> V.trans NP.tobj PP.place         : 1
VP.odd                  -> V.odd NP.odd                     : 3
VP.odd                  -> V.odd NP.odd PP.place            : 1
VP.odd                  -> V.odd NP.odd SBAR.adv            : 1
VP.odd                  -> ADVP.manner V.odd NP.odd         : 1
VP.odd                  -> MD VP.oddrest                    : 1
VP.oddrest              -> V.odd NP.odd                     : 1
VP.oddrest              -> V.odd NP.odd PP.place            : 1

S.plain                 -> NP.subj VP .                     : 6
S.plain                 -> NP.patient VP.pass .             : 1
S.freq                  -> NP.subj ADVP.freq VP.simple .    : 1
S.open                  -> ADVP.open NP.subj VP .           : 1
S.comment               -> ADVP.comment , NP.subj VP .      : 1
S.pp                    -> PP.place NP.subj VP .            : 1
S.pp_comma              -> PP.place , NP.subj VP .          : 3
S.pp_comma              -> PP.time , NP.subj VP .           : 1
S.sbar                  -> SBAR.open , NP.subj VP .         : 1
S.pair                  -> S.emb CC.pair S.emb .            : 1
S.pair_comma            -> S.emb , CC.pair S.emb .          : 1
S.semicolon             -> S.emb : S.emb .                  : 1
S.cc                    -> CC.first NP.subj VP .            : 1
S.cc_advp               -> CC.first ADVP.open NP.subj VP .  : 1
S.part                  -> S.ing , NP.subj VP.lex .         : 1
S.ing                   -> VP.rest                          : 1
S.order                 -> VP.order .                       : 1
SQ.did                  -> DO.did NP.subj VP.rest ?         : 1
SQ.does                 -> DO.does NP.subj VP.rest ?        : 1
SQ.md                   -> MD.q NP.subj VP.rest ?             : 1
SBARQ.what              -> WHNP.q SQ.gap ?                  : 1
SBARQ.why               -> WHADVP SQ.in ?                   : 1
SQ.gap                  -> DO NP.subj VP.gapq               : 2
SQ.gap                  -> MD.q NP.subj VP.gapq               : 1
VP.gapq                 -> V.gap                            : 1
VP.gapq                 -> V.gap PP.place                   : 1
VP.gapq                 -> V.gap PP.time                    : 0.5
SQ.in                   -> DO NP.subj VP.rest               : 2
SQ.in                   -> MD.q NP.subj VP.rest               : 1
WHNP.q                  -> WP                               : 1
WHADVP                  -> WRB                              : 1
S.other                 -> INTJ , NP.subj VP .              : 1
S.other                 -> CC.first PP.place , NP.subj VP . : 1
S.other                 -> CC.first SBAR.open , NP.subj VP . : 1
S.other                 -> PP.place , S.emb CC.pair S.emb . : 1
S.other                 -> ADVP.order VP.order .            : 1
S.other                 -> SBAR.open , VP.order .           : 1

S.tense                 -> NP.subj VP.main .                : 6
S.tense                 -> SBAR.open , NP.subj VP.main .    : 2
S.tense                 -> PP.place , NP.subj VP.main .     : 1
S.subj_number           -> NP.tsubj VP.lex .                : 6
S.subj_number           -> SBAR.open , NP.tsubj VP.lex .    : 1
S.subj_number           -> PP.place , NP.tsubj VP.lex .     : 1
S.obj_number            -> NP.subj VP.tobj .                : 6
S.obj_number            -> SBAR.open , NP.subj VP.tobj .    : 1
S.obj_number            -> PP.place , NP.subj VP.tobj .     : 1
S.story                 -> ADVP.comment , S.first CC S.second . : 2
S.story                 -> PP.time , S.first CC S.second .  : 1
S.story                 -> PP.place , S.first CC S.second . : 1
S.story                 -> SBAR.open , S.first CC S.second . : 1
S.first                 -> NP.agent VP.first                : 1
VP.first                -> V.first NP.new                   : 3
VP.first                -> V.first NP.new PP.place          : 1
VP.first                -> V.first NP.new PP.time           : 1
VP.first                -> ADVP.manner V.first NP.new       : 1
NP.new                  -> DT.new N                         : 2
NP.new                  -> DT.new JJ N                      : 1
S.second                -> NP.again VP.second               : 2
S.second                -> NP.agent VP.second               : 1
NP.again                -> PRO.again                        : 1
VP.second               -> V.second NP.it                   : 3
VP.second               -> V.second NP.it PP.place          : 1
VP.second               -> V.second NP.it PP.time           : 1
VP.second               -> V.second NP.it ADVP.end          : 0.5
VP.second               -> ADVP.manner V.second NP.it       : 1
NP.it                   -> PRO.it                           : 1
NP.it                   -> DT.it N.it                       : 0.5
NP.agent                -> NAME                             : 3
S.odd                   -> NP.subj VP.odd .                 : 6
S.odd                   -> SBAR.open , NP.subj VP.odd .     : 1
S.odd                   -> PP.place , NP.subj VP.odd .      : 1
S.odd                   -> S.emb CC.pair S.oddpart .        : 1
S.oddpart               -> NP.subj VP.odd                   : 1
"""


@dataclass(frozen=True)
class Rule:
    """One symbol and what it may consist of."""

    left: str
    right: tuple[str, ...]
    weight: float
    """How often it is taken, against the other rules of the same symbol."""


@dataclass(slots=True)
class Node:
    """A phrase, or a word with its tag."""

    label: str
    """Penn Treebank label of a phrase, tag of a word."""
    children: tuple["Node", ...] = ()
    word: str = ""
    """As it stands inside a sentence; empty for a phrase."""
    lemma: str = ""
    group: tuple[str, ...] = ()
    """Words of one group may stand in for one another; empty for function words."""
    role: str = ""
    """The symbol that the rules know it by."""

    def leaves(self) -> list["Node"]:
        """The words, from left to right."""
        waiting: list[Node] = [self]
        found: list[Node] = []
        while waiting:
            node = waiting.pop()
            if node.children:
                waiting += list(reversed(node.children))
            else:
                found.append(node)
        return found

    def bracketed(self) -> str:
        """The tree in bracket notation."""
        inside = " ".join(child.bracketed() for child in self.children) if self.children else self.word
        return f"({self.label} {inside})"


def read_rules(text: str = GRAMMAR) -> dict[str, list[Rule]]:
    """The rules by their left-hand symbol; a line with several symbols on its left gives each of them the rule."""
    rules: dict[str, list[Rule]] = {}
    for line in text.strip().splitlines():
        if line:
            lefts, _, rest = line.partition("->")
            right, _, weight = rest.rpartition(" : ")
            for left in lefts.split():
                rules.setdefault(left, []).append(Rule(left, tuple(right.split()), float(weight)))
    return rules
