"""Tasks of the controlled corpus that ask for the shape of a sentence: length, depth, top constituents, word order."""

from collections.abc import Iterator, Mapping
from itertools import pairwise

from probing.tasks.controlled.agreement import Plan
from probing.tasks.controlled.grammar import Node
from probing.tasks.controlled.realisation import spell_out
from probing.tasks.controlled.sentence_source import STATEMENTS, Example, SentenceSource

LENGTH_BINS = ((5, 8), (9, 12), (13, 16), (17, 20), (21, 25), (26, 28))
"""Numbers of tokens, the final stop included."""
_LENGTH_DEPTHS = (6, 7, 8)
_DEPTHS = tuple(range(5, 13))
_DEPTH_LENGTHS = tuple(range(11, 18))

TOP_ROOTS = {
    "NP_VP_.": "S.plain",
    "NP_ADVP_VP_.": "S.freq",
    "ADVP_NP_VP_.": "S.open",
    "ADVP_,_NP_VP_.": "S.comment",
    "PP_NP_VP_.": "S.pp",
    "PP_,_NP_VP_.": "S.pp_comma",
    "SBAR_,_NP_VP_.": "S.sbar",
    "S_CC_S_.": "S.pair",
    "S_,_CC_S_.": "S.pair_comma",
    "S_:_S_.": "S.semicolon",
    "CC_NP_VP_.": "S.cc",
    "CC_ADVP_NP_VP_.": "S.cc_advp",
    "S_,_NP_VP_.": "S.part",
    "VP_.": "S.order",
    "VBD_NP_VP_.": "SQ.did",
    "VBZ_NP_VP_.": "SQ.does",
    "MD_NP_VP_.": "SQ.md",
    "WHNP_SQ_.": "SBARQ.what",
    "WHADVP_SQ_.": "SBARQ.why",
    "OTHER": "S.other",
}
"""By label: the root symbol that makes such sentences."""
_TOP_LENGTHS = tuple(range(8, 17))

_SHIFT_ROOTS = {**STATEMENTS, "SQ.did": 1, "SQ.md": 1, "SBARQ.what": 1, "S.order": 1, "S.pp": 1, "S.cc": 1}
_SHIFT_LENGTHS = tuple(range(7, 19))
_NOUN_TAGS = {"NN", "NNS"}
_OPEN_BEFORE = {
    "DT": {"NN", "NNS", "JJ"},
    "PRP$": {"NN", "NNS", "JJ"},
    "JJ": _NOUN_TAGS,
    "IN": {"DT", "PRP$"},
    "TO": {"VB", "DT", "PRP$"},
    "MD": {"VB"},
    "VBD": {"DT", "PRP$", "PRP"},
    "VBZ": {"DT", "PRP$", "PRP"},
    "VBP": {"DT", "PRP$", "PRP"},
    "VB": {"DT", "PRP$", "PRP"},
    "NN": {"MD", "VBZ", "VBD", "POS"},
    "NNS": {"MD", "VBP", "VBD"},
}
"""By tag: the tags of a right neighbour whose exchange is surely ungrammatical."""
_EITHER_SIDE = {"that", "near", "outside", "inside", "before", "after"}
"""Words that may stand on either side of their neighbours."""


def make_sentence_length(source: SentenceSource, sizes: Mapping[str, int]) -> Iterator[Example]:
    """Bins of length, equally many of each, with the same depths in each."""
    together = "length_depth" in source.confounds
    for split, size in sizes.items():
        for turn, label in enumerate(source.spread(range(len(LENGTH_BINS)), size)):
            first, last = LENGTH_BINS[label]
            depths = (_LENGTH_DEPTHS[0] + label,) if together else _LENGTH_DEPTHS
            depth = depths[turn // len(LENGTH_BINS) % len(depths)]
            tree = source.draw(STATEMENTS, range(first, last + 1), depth - 1)
            yield _label(split, str(label), tree)


def make_tree_depth(source: SentenceSource, sizes: Mapping[str, int]) -> Iterator[Example]:
    """Depths from `ROOT` to the deepest word in edges, equally many of each, with the same lengths in each."""
    together = "length_depth" in source.confounds
    for split, size in sizes.items():
        for turn, depth in enumerate(source.spread(_DEPTHS, size)):
            lengths = tuple(range(depth + 4, depth + 7)) if together else _DEPTH_LENGTHS
            length = lengths[turn // len(_DEPTHS) % len(lengths)]
            yield _label(split, str(depth), source.draw(STATEMENTS, (length,), depth - 1))


def make_top_constituents(source: SentenceSource, sizes: Mapping[str, int]) -> Iterator[Example]:
    """What stands directly below the root, equally many of each, with the same lengths in each."""
    for split, size in sizes.items():
        for label in source.spread(tuple(TOP_ROOTS), size):
            yield _label(split, label, source.draw({TOP_ROOTS[label]: 1}, _TOP_LENGTHS))


def make_bigram_shift(source: SentenceSource, sizes: Mapping[str, int]) -> Iterator[Example]:
    """`O` as it was, `I` with two neighbours exchanged; both could have been exchanged."""
    for split, size in sizes.items():
        for label in source.spread("OI", size):
            plan = Plan(banned=source.keep_out(label))
            tree = source.draw(_SHIFT_ROOTS, _SHIFT_LENGTHS, plan=plan)
            while not (places := find_shifts(tree)):
                tree = source.draw(_SHIFT_ROOTS, _SHIFT_LENGTHS, plan=plan)
            words = spell_out(tree)
            place = source.pick(places)
            if label == "I":
                words[place : place + 2] = words[place + 1], words[place]
            yield Example(split, label, " ".join(words), tree)


def find_shifts(tree: Node) -> list[int]:
    """Places of a word, not the first, that may be exchanged with the next one."""
    leaves = tree.leaves()
    return [
        place
        for place, (left, right) in enumerate(pairwise(leaves))
        if place and right.label in _OPEN_BEFORE.get(left.label, ()) and not {left.word, right.word} & _EITHER_SIDE
    ]


def _label(split: str, label: str, tree: Node) -> Example:
    return Example(split, label, " ".join(spell_out(tree)), tree)
