"""The forms that a sentence may have: its root symbols, and which lengths and depths each of them can have."""

from collections.abc import Iterable
from functools import cache
from random import Random

import numpy as np

from probing.tasks.controlled.derivation import Derivation, DerivationSampler
from probing.tasks.controlled.grammar import read_rules

TOP_FORMS = {
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
"""By label of the top constituents: the form that has them."""
STATEMENTS = frozenset(form for form in TOP_FORMS.values() if form.startswith("S.")) - {"S.order"}
"""Forms with a subject and a finite verb of their own: their tense can be asked for."""
NEUTRAL_QUESTIONS = frozenset({"SQ.did", "SQ.md", "SBARQ.what", "SBARQ.why"})
"""Questions whose auxiliary does not agree with the subject."""
STORY = "S.story"
"""Two clauses whose order matters."""
_LEAST_WEIGHT = 1e-5
"""A shape with less has too few derivations for words to be found for many of them."""
COMMON_FORMS = {
    **{"S.plain": 8, "S.open": 1, "S.comment": 1, "S.freq": 1, "S.pp": 1, "S.pp_comma": 1, "S.sbar": 2},
    **{"S.pair_comma": 1, "S.part": 1},
}
"""Forms of sentences of which no form is asked, with their shares."""


@cache
def find_variants(form: str, length: int, depth: int | None) -> str:
    """The variants of a form, `o` and `z`, that can have this many words and levels; without a depth, any."""
    return "".join(each for each in "oz" if _sampler().weights(f"{form}_{each}", depth)[length] > _LEAST_WEIGHT)


def find_lengths(forms: Iterable[str], lengths: Iterable[int], depth: int | None = None) -> list[int]:
    """The lengths that some of the forms can have."""
    return [length for length in lengths if any(find_variants(form, length, depth) for form in forms)]


def draw_form(random: Random, length: int, depth: int | None) -> str:
    """One of the common forms that can have this shape.

    They come by their shares, as far as they have sentences enough of that shape: the square root keeps a form that
    hardly exists there from being used up.
    """
    return random.choices(list(COMMON_FORMS), _weigh_forms(length, depth))[0]


@cache
def _weigh_forms(length: int, depth: int | None) -> tuple[float, ...]:
    return tuple(
        share * float(np.sqrt(sum(_sampler().weights(f"{form}_{each}", depth)[length] for each in variants)))
        for form, share in COMMON_FORMS.items()
        for variants in [find_variants(form, length, depth)]
    )


def derive(random: Random, symbol: str, length: int, depth: int | None = None) -> Derivation:
    """A derivation of exactly this length, and of exactly this depth if one is given."""
    return _sampler().draw(random, symbol, length, depth)


@cache
def _sampler() -> DerivationSampler:
    return DerivationSampler(read_rules())
