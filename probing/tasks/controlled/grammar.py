"""The phrase-structure rules of the controlled corpus, and the trees they make.

A symbol is `LABEL.role`: the label is what the tree shows, the role tells what the phrase does, and so which features
it has (`realisation` reads them): `NP.obj` takes its kind from the verb, `S.srel` its subject from the noun that it
modifies, `NP.tsubj` is the subject whose number a task asks for. Symbols that no rule expands stand for one word.
"""

from dataclasses import dataclass

_ROLES = "NP.subj NP.obj NP.iobj NP.by NP.to NP.patient"
_NAMED = f"{_ROLES} NP.place NP.event NP.tsubj NP.tobj NP.theme NP.agent"
_FULL = "VP VP.rest VP.z VP.bare_z"
_PLAIN = f"{_FULL} VP.srel VP.srelrest VP.adv"
_OBJECT = "VP.o VP.bare_o"

_PATTERNS = f"""
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
{_FULL}                 -> V.ask SBAR.if                    : 1.2
{_FULL}                 -> V.tell NP.obj SBAR.that          : 0.5
{_FULL}                 -> V.urge NP.obj S.inf              : 0.7
{_FULL} VP.adv          -> V.want S.inf                     : 1.5
VP VP.z                 -> ADVP.manner V.trans NP.obj       : 1
VP VP.z                 -> ADVP.manner V.trans NP.obj PP.place : 0.5
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
ADVP.comment            -> RB.comment                       : 1
INTJ                    -> UH                               : 1
{_OBJECT}           -> V.act NP.tobj                    : 6
{_OBJECT}           -> V.act NP.tobj PP.place           : 2
{_OBJECT}           -> V.act NP.tobj PP.time            : 1
{_OBJECT}           -> V.act NP.tobj ADVP.end           : 0.7
{_OBJECT}           -> V.act NP.tobj PP.place PP.time   : 0.7
{_OBJECT}           -> V.act NP.tobj SBAR.adv           : 1
{_OBJECT}           -> V.ditr NP.tobj PP.to             : 0.4
{_OBJECT}           -> V.ditr NP.iobj NP.tobj           : 0.4
{_OBJECT}           -> V.tell NP.tobj SBAR.that         : 1
{_OBJECT}           -> V.urge NP.tobj S.inf             : 1
VP.o                    -> ADVP.manner V.act NP.tobj        : 1
VP.o                    -> ADVP.manner V.act NP.tobj PP.place : 0.5

S.plain_*               -> NP.tsubj VP.* .                  : 1
S.freq_*                -> NP.tsubj ADVP.freq VP.bare_* .   : 1
S.open_*                -> ADVP.open NP.tsubj VP.* .        : 1
S.comment_*             -> ADVP.comment , NP.tsubj VP.* .   : 1
S.pp_*                  -> PP.place NP.tsubj VP.* .         : 1
S.pp_comma_*            -> PP.place , NP.tsubj VP.* .       : 3
S.pp_comma_*            -> PP.time , NP.tsubj VP.* .        : 1
S.sbar_*                -> SBAR.open , NP.tsubj VP.* .      : 1
S.pair_*                -> S.main_* CC.pair S.main_* .      : 1
S.pair_comma_*          -> S.main_* , CC.pair S.main_* .    : 1
S.semicolon_*           -> S.main_* : S.main_* .            : 1
S.cc_*                  -> CC.first NP.tsubj VP.* .         : 1
S.cc_advp_*             -> CC.first ADVP.open NP.tsubj VP.* . : 1
S.part_*                -> S.ing , NP.tsubj VP.* .          : 1
S.other_*               -> INTJ , NP.tsubj VP.* .           : 1
S.other_*               -> CC.first PP.place , NP.tsubj VP.* . : 1
S.other_*               -> CC.first SBAR.open , NP.tsubj VP.* . : 1
S.main_*                -> NP.tsubj VP.*                    : 1
S.ing                   -> VP.rest                          : 1
S.order_*               -> VP.bare_* .                      : 1
SQ.did_*                -> DO.did NP.tsubj VP.bare_* ?      : 1
SQ.md_*                 -> MD.q NP.tsubj VP.bare_* ?        : 1
SQ.does_*               -> DO.does NP.tsubj VP.bare_* ?      : 1
SBARQ.why_*             -> WHADVP SQ.in_* ?                 : 1
SQ.in_*                 -> DO.did NP.tsubj VP.bare_*        : 2
SQ.in_*                 -> MD.q NP.tsubj VP.bare_*          : 1
SBARQ.what_*            -> WHNP.q SQ.gap ?                  : 1
SQ.gap                  -> DO.did NP.tsubj VP.gapq          : 2
SQ.gap                  -> MD.q NP.tsubj VP.gapq            : 1
VP.gapq                 -> V.gap                            : 1
VP.gapq                 -> V.gap PP.place                   : 1
VP.gapq                 -> V.gap PP.time                    : 0.5
WHNP.q                  -> WP                               : 1
WHADVP                  -> WRB                              : 1

S.story_*               -> PP.topic , S.first_* CC S.second_* . : 1
S.story_*               -> SBAR.topic , S.first_* CC S.second_* . : 1
PP.topic                -> IN.as PP.for                     : 1
PP.for                  -> IN.for NP.topic                  : 1
SBAR.topic              -> IN.adv S.topic                   : 1
S.topic                 -> NP.subj VP.topic                 : 1
VP.topic                -> V.topic NP.topic                 : 2
VP.topic                -> V.topic NP.topic PP.place        : 1
NP.topic                -> DT N                             : 3
NP.topic                -> DT JJ N                          : 1
S.first_o               -> NP.tsubj VP.first                : 1
S.second_o              -> NP.tsubj VP.second               : 1
S.first_z               -> NP.agent VP.first                : 1
S.second_z              -> NP.agent VP.second               : 1
NP.agent                -> PRO                              : 5
NP.agent                -> NAME                             : 3
VP.first                -> V.first NP.it                    : 2
VP.first                -> V.first NP.it PP.place           : 2
VP.first                -> V.first NP.it PP.time            : 2
VP.first                -> V.first NP.it ADVP.end           : 0.5
VP.first                -> V.first NP.it SBAR.adv           : 0.5
VP.first                -> ADVP.manner V.first NP.it        : 1
VP.first                -> ADVP.manner V.first NP.it PP.place : 1
VP.second               -> V.second NP.it                   : 2
VP.second               -> V.second NP.it PP.place          : 2
VP.second               -> V.second NP.it PP.time           : 2
VP.second               -> V.second NP.it ADVP.end          : 0.5
VP.second               -> V.second NP.it SBAR.adv          : 0.5
VP.second               -> ADVP.manner V.second NP.it       : 1
VP.second               -> ADVP.manner V.second NP.it PP.place : 1
NP.it                   -> PRO.it                           : 1
"""
GRAMMAR = "\n".join(
    pattern.replace("*", variant) for pattern in _PATTERNS.splitlines() for variant in ("oz" if "*" in pattern else " ")
)
"""A star stands for either variant: `o` has an object whose number may be asked for (in a story: subjects that are
nouns), `z` need not have one."""


@dataclass(frozen=True)
class Rule:
    """One symbol and what it may consist of."""

    left: str
    right: tuple[str, ...]
    weight: float
    """Weight of the rule against the other rules of the same symbol: how often it is taken."""


@dataclass(slots=True)
class Node:
    """A phrase, or a word with its tag."""

    label: str
    """Penn Treebank label of a phrase, tag of a word."""
    children: tuple["Node", ...] = ()
    word: str = ""
    """The word inside a sentence; empty for a phrase."""
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
        if line.strip():
            lefts, _, rest = line.partition("->")
            right, _, weight = rest.rpartition(" : ")
            for left in lefts.split():
                rules.setdefault(left, []).append(Rule(left, tuple(right.split()), float(weight)))
    return rules
