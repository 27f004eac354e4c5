"""Confounds of the controlled corpus: each one is off unless it is switched on, to see what a probe makes of it."""

from collections.abc import Iterable

from probing.records import InputError
from probing.suggestions import suggest
from probing.tasks.controlled import lexicon

_BINARY = ("bigram_shift", "odd_man_out", "coordination_inversion")
_NUMBER = ("subj_number", "obj_number")

CONFOUNDS: dict[str, tuple[str, ...]] = {
    # The longer a sentence, the deeper its tree.
    "length_depth": ("sentence_length", "tree_depth"),
    # The words that bear the label are the same in all splits, so that it can be learned word by word.
    "shared_words": ("past_present", *_NUMBER, "odd_man_out"),
    # Every other clause has the main clause's tense, auxiliaries included; the target noun's determiner has its number.
    "function_words": ("past_present", *_NUMBER),
    # Each label has adjectives and adverbs of its own.
    "content_words": _BINARY,
    # Every other sentence is of the first class, beside that class's own share.
    "uneven_classes": (
        *("sentence_length", "word_content", "tree_depth", "top_constituents", "past_present"),
        *_NUMBER,
        *_BINARY,
    ),
}
"""Confounds that can be switched on, and the tasks that each changes; the sentences of all others stay as they are."""


def find_confounds(wanted: Iterable[str]) -> frozenset[str]:
    """The names of confounds to be switched on, once they are known.

    Raises:
        InputError: a name that no confound bears.
    """
    names = [name.lower().replace("-", "_") for name in wanted]
    for name in names:
        if name not in CONFOUNDS:
            raise InputError(f"unknown confound {name!r}: {suggest(name, CONFOUNDS)}")
    return frozenset(names)


def _halve_describing_words() -> tuple[frozenset[str], frozenset[str]]:
    """Adjectives and adverbs in two halves that share no word."""
    adjectives = [word for both in lexicon.ADJECTIVES.values() for words in both for word in words.split()]
    adverbs = [*lexicon.MANNER, *lexicon.FREQUENCY, *lexicon.OPENERS, *lexicon.COMMENTS, *lexicon.ENDINGS]
    words = sorted({*adjectives, *adverbs})
    return frozenset(words[::2]), frozenset(words[1::2])


_FIRST_HALF, _SECOND_HALF = _halve_describing_words()
KEPT_OUT = {"O": _SECOND_HALF, "I": _FIRST_HALF, "C": _FIRST_HALF}
"""By label: the words that it does not have while `content_words` is on."""
