"""The words of a text, whether it is printed as books are or token by token."""

from itertools import groupby

_MARKS = (
    '.,;:!?\u2026()[]{}"\u00ab\u00bb\u201c\u201d\u201e\u2039\u203a\u00bf\u00a1'
    "\u3002\u3001\uff0c\uff1b\uff1a\uff01\uff1f\u300c\u300d\uff08\uff09"
)


def split_words(segment: str) -> list[str]:
    """The pieces between spaces, with the punctuation at their ends set apart.

    A text in which punctuation stands alone is tokenised already: there, `Mr.` is one word.
    """
    pieces = segment.split()
    if not all(piece.strip(_MARKS) for piece in pieces):
        return pieces
    return [word for piece in pieces for word in _set_apart(piece)]


def _set_apart(piece: str) -> list[str]:
    core = piece.strip(_MARKS)
    start = piece.index(core)
    before, after = piece[:start], piece[start + len(core) :]
    return [*_split_marks(before), core, *_split_marks(after)]


def _split_marks(marks: str) -> list[str]:
    """One word for each mark; a run of the same one, such as three dots, is one word."""
    return ["".join(run) for _, run in groupby(marks)]
