"""Tasks of the controlled corpus that ask for the shape of a sentence: length, depth, top constituents, word order."""

from collections.abc import Mapping

from probing.tasks.grammar import Node
from probing.tasks.realisation import spell_out
from probing.tasks.sentence_source import STATEMENTS, Example, SentenceSource, spread

LENGTH_BINS = ((6, 8), (9, 12), (13, 16), (17, 20), (21, 25), (26, 28))
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


def make_sentence_length(source: SentenceSource, sizes: Mapping[str, int]) -> list[Example]:
    """Bins of length, equally many of each, with the same depths in each."""
    examples = []
    for split, size in sizes.items():
        for turn, label in enumerate(spread(range(len(LENGTH_BINS)), size)):
            first, last = LENGTH_BINS[label]
            depth = _LENGTH_DEPTHS[turn // len(LENGTH_BINS) % len(_LENGTH_DEPTHS)]
            tree = source.draw(STATEMENTS, range(first, last + 1), depth - 1)
            examples.append(_label(split, str(label), tree))
    return examples


def make_tree_depth(source: SentenceSource, sizes: Mapping[str, int]) -> list[Example]:
    """Depths from `ROOT` to the deepest word in edges, equally many of each, with the same lengths in each."""
    examples = []
    for split, size in sizes.items():
        for turn, depth in enumerate(spread(_DEPTHS, size)):
            length = _DEPTH_LENGTHS[turn // len(_DEPTHS) % len(_DEPTH_LENGTHS)]
            examples.append(_label(split, str(depth), source.draw(STATEMENTS, (length,), depth - 1)))
    return examples


def make_top_constituents(source: SentenceSource, sizes: Mapping[str, int]) -> list[Example]:
    """What stands directly below the root, equally many of each, with the same lengths in each."""
    return [
        _label(split, label, source.draw({TOP_ROOTS[label]: 1}, _TOP_LENGTHS))
        for split, size in sizes.items()
        for label in spread(tuple(TOP_ROOTS), size)
    ]


def make_bigram_shift(source: SentenceSource, sizes: Mapping[str, int]) -> list[Example]:
    """`O` as it was, `I` with two neighbours exchanged; both could have been exchanged."""
    examples = []
    for split, size in sizes.items():
        for label in spread("OI", size):
            places: list[int] = []
            while not places:
                tree = source.draw(_SHIFT_ROOTS, _SHIFT_LENGTHS)
                places = find_shifts(tree)
            words = spell_out(tree)
            place = source.pick(places)
            if label == "I":
                words[place : place + 2] = words[place + 1], words[place]
            examples.append(Example(split, label, " ".join(words), tree))
    return examples


def find_shifts(tree: Node) -> list[int]:
    """Places of a word, not the first, that may be exchanged with the next one."""
    leaves = list(tree.leaves())
    return [
        place
        for place, (left, right) in enumerate(zip(leaves, leaves[1:], strict=False))
        if place and right.label in _OPEN_BEFORE.get(left.label, ()) and not {left.word, right.word} & _EITHER_SIDE
    ]


def _label(split: str, label: str, tree: Node) -> Example:
    return Example(split, label, " ".join(spell_out(tree)), tree)
