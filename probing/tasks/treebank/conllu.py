"""CoNLL-U files read into sentences.

Format: https://universaldependencies.org/format.html. Forms keep their Unicode and their case, contractions
(multi-word tokens) stay whole as tokens, and where no space follows a token in the printed text (`# text`, else
`SpaceAfter=No`) it is `Sentence.glued`. A sentence that cannot be used costs that sentence and no other.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from probing.records import SPLITS, InputError
from probing.tasks.treebank.sentences import NO_HEAD, Sentence, Word, head_depths

_COLUMNS = 10
_NUMBER = re.compile(r"\d{1,6}", re.ASCII)
_RANGE = re.compile(r"(\d{1,6})-(\d{1,6})", re.ASCII)
_EMPTY_NODE = re.compile(r"\d{1,6}\.\d{1,6}", re.ASCII)
_EMPTY_VALUES = {"", "_"}

Row = Sequence[str]
"""The columns of a line: ID FORM LEMMA UPOS XPOS FEATS HEAD DEPREL DEPS MISC."""


class Fault(NamedTuple):
    """A sentence that was left out."""

    line: int
    """Line where it starts, counted from 1."""
    reason: str


class Treebank(NamedTuple):
    """Content of a file."""

    sentences: list[Sentence]
    faults: list[Fault]


class _UnusableError(Exception):
    """Fault of a sentence that makes it unusable."""


def split_of(path: Path) -> str:
    """The split that a file's name tells, as in `de_gsd-ud-train.conllu` or `dev.conllu`.

    Raises:
        InputError: the name tells none, or more than one.
    """
    parts = re.split(r"[^a-z]+", path.stem.lower())
    found = [split for split in SPLITS if split in parts]
    if len(found) != 1:
        raise InputError(
            f"{path}: the name must hold one of {', '.join(SPLITS)} as a part, as in en_ewt-ud-train.conllu"
        )
    return found[0]


def read_conllu(path: Path) -> Treebank:
    """All sentences of one file, and those that cannot be used.

    Raises:
        InputError: missing, not UTF-8, or without a sentence that can be used; names file and line.
    """
    split = split_of(path)
    found = Treebank([], [])
    for line, block in _blocks(read_text(path)):
        try:
            found.sentences.append(_parse_sentence(block, split, f"{path.name}:{line}"))
        except _UnusableError as error:
            found.faults.append(Fault(line, str(error)))
    if found.faults and not found.sentences:
        first, more = found.faults[0], len(found.faults) - 1
        others = f" (and {more} more; there is no other sentence)" if more else ""
        raise InputError(f"{path}:{first.line}: the sentence that starts here {first.reason}{others}")
    if not found.sentences:
        raise InputError(f"{path}: no sentence in it; expected CoNLL-U, ten columns with tabs between")
    return found


def is_there(path: Path) -> bool:
    """True where there is such a file or folder.

    Raises:
        InputError: it cannot be looked at, such as a name too long.
    """
    try:
        return path.exists()
    except OSError as error:
        raise InputError(f"{str(path)[:80]}: cannot be looked at ({error.strerror}); check the path") from None


def read_text(path: Path) -> str:
    """A UTF-8 file's text, line ends made one.

    Raises:
        InputError: missing, unreadable or not UTF-8.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path}:{line}: byte 0x{content[error.start]:02x} is not UTF-8; save the file as UTF-8"
        ) from None


def _blocks(text: str) -> Iterator[tuple[int, list[str]]]:
    """Lines up to a blank one, and the number of the first; not of comments alone, which belong to no sentence."""
    # str.splitlines would also cut at U+2028 and U+0085, which may stand inside a form.
    start, lines = 1, []
    for number, line in enumerate([*text.split("\n"), ""], start=1):
        if line.strip():
            start = start if lines else number
            lines.append(line)
        elif lines:
            if not all(each.startswith("#") for each in lines):
                yield start, lines
            lines = []


def _parse_sentence(block: Sequence[str], split: str, place: str) -> Sentence:
    comments = dict(_split_comment(line) for line in block if line.startswith("#"))
    rows = [line.split("\t") for line in block if not line.startswith("#")]
    if any(len(row) < _COLUMNS for row in rows):
        raise _UnusableError("is not CoNLL-U: expected lines of ten columns with tabs between")
    tokens, place_of = _read_tokens(rows)
    words = tuple(_read_word(row, place_of[row[0]]) for row in rows if _NUMBER.fullmatch(row[0]))
    _check_words(words)
    forms = tuple(" ".join(row[1].split()) for row in tokens)
    glued = find_glue(comments.get("text", ""), forms) or ["SpaceAfter=No" in row[9].split("|") for row in tokens]
    return Sentence(comments.get("sent_id") or place, split, forms, tuple(glued), words)


def _split_comment(line: str) -> tuple[str, str]:
    key, _, value = line.lstrip("#").partition("=")
    return key.strip(), value.strip()


def _read_tokens(rows: Sequence[Row]) -> tuple[list[Row], dict[str, int]]:
    """The rows of surface tokens, and by the number of each word the token that holds it."""
    numbers = [row[0] for row in rows if _NUMBER.fullmatch(row[0])]
    if not numbers or numbers != [str(number) for number in range(1, len(numbers) + 1)]:
        raise _UnusableError("does not number its words 1, 2, 3, ...")
    tokens: list[Row] = []
    place_of: dict[str, int] = {}
    for row in rows:
        span = _RANGE.fullmatch(row[0])
        if span:
            first, last = map(int, span.groups())
            if first != len(place_of) + 1 or not first <= last <= len(numbers):
                raise _UnusableError(f"has a token {row[0]} that is no run of the words after it")
            place_of |= {str(number): len(tokens) for number in range(first, last + 1)}
            tokens.append(row)
        elif _NUMBER.fullmatch(row[0]):
            if row[0] not in place_of:
                place_of[row[0]] = len(tokens)
                tokens.append(row)
        elif not _EMPTY_NODE.fullmatch(row[0]):
            raise _UnusableError(f"is not CoNLL-U: {row[0][:20]!r} is no number of a word (column 1)")
    if not all(row[1].split() for row in rows if not _EMPTY_NODE.fullmatch(row[0])):
        raise _UnusableError("has a word without a form (column 2)")
    return tokens, place_of


def _read_word(row: Row, token: int) -> Word:
    head = row[6]
    if head not in _EMPTY_VALUES and not _NUMBER.fullmatch(head):
        raise _UnusableError(f"is not CoNLL-U: the head {head[:20]!r} is no number (column 7)")
    feats = dict(part.split("=", 1) for part in row[5].split("|") if "=" in part)
    governor = NO_HEAD if head in _EMPTY_VALUES else int(head) - 1
    return Word(row[1], row[3] or "_", row[4] or "_", feats, governor, row[7] or "_", token, row[2] or "_")


def _check_words(words: tuple[Word, ...]) -> None:
    heads = [word.head for word in words]
    if set(heads) == {NO_HEAD}:
        return
    if not all(-1 <= head < len(words) for head in heads):
        raise _UnusableError("has a head (column 7) that is no word of it, or none for some words")
    if heads.count(-1) != 1:
        raise _UnusableError(f"has {heads.count(-1)} roots; expected one word with head 0")
    if any(depth < 0 for depth in head_depths(words)):
        raise _UnusableError("has words that govern one another in a circle")


def find_glue(text: str, tokens: Sequence[str]) -> list[bool]:
    """After which tokens no space stands in the printed text; empty where it is not made of these tokens."""
    glued: list[bool] = []
    position = 0
    for token in tokens:
        for number, piece in enumerate(token.split()):
            start = position
            while text[position : position + 1].isspace():
                position += 1
            if number == 0 and glued:
                glued[-1] = position == start
            if not text.startswith(piece, position):
                return []
            position += len(piece)
        glued.append(False)
    return [] if text[position:].strip() else glued
