"""Word forms: nouns by number, verbs by tag, `a` or `an` by the word that follows."""

from functools import cache

from lemminflect import getInflection

_BE = {"VB": "be", "VBG": "being", "VBN": "been"}
_OUR_FORMS = {  # where the first form that the library offers is American or rare
    ("tuba", "NNS"): "tubas",
    ("cancel", "VBD"): "cancelled",
    ("cancel", "VBN"): "cancelled",
    ("cancel", "VBG"): "cancelling",
    ("travel", "VBD"): "travelled",
    ("travel", "VBN"): "travelled",
    ("travel", "VBG"): "travelling",
    ("refuel", "VBD"): "refuelled",
    ("refuel", "VBG"): "refuelling",
    ("smell", "VBN"): "smelled",
}
_SOUNDS_LIKE_CONSONANT = ("uni", "use", "uku", "eur", "one")
_SOUNDS_LIKE_VOWEL = ("honest", "hour", "heir")


@cache
def inflect(lemma: str, tag: str) -> str:
    """The form of a lemma under a Penn Treebank tag (`NN NNS VB VBD VBG VBN VBP VBZ`)."""
    if tag in {"NN", "VB", "VBP"}:
        return lemma
    return _OUR_FORMS.get((lemma, tag)) or next(iter(getInflection(lemma, tag=tag)))


def inflect_be(tag: str, plural: bool) -> str:
    """The form of `be`, the one verb whose past agrees with its subject."""
    if tag == "VBD":
        return "were" if plural else "was"
    return _BE.get(tag) or ("are" if plural else "is")


def finite_tag(past: bool, plural: bool) -> str:
    """The tag of a finite verb; nothing but the third person occurs in the singular."""
    if past:
        return "VBD"
    return "VBP" if plural else "VBZ"


def article_before(word: str) -> str:
    """`an` before a vowel sound, else `a`."""
    word = word.lower()
    if word.startswith(_SOUNDS_LIKE_CONSONANT):
        return "a"
    return "an" if word[0] in "aeiou" or word.startswith(_SOUNDS_LIKE_VOWEL) else "a"
