"""CoNLL-U files read into sentences.

Format: https://universaldependencies.org/format.html. Forms keep their Unicode and their case, contractions
(multi-word tokens) stay whole as tokens, and `SpaceAfter=No` is kept as `Sentence.glued`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import conllu
from conllu.exceptions import ParseException

from probing.records import SPLITS, InputError
from probing.tasks.treebank.sentences import Sentence, Word, head_depths

_COLUMNS = 10


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


def read_conllu(path: Path) -> list[Sentence]:
    """All sentences of one file.

    Raises:
        InputError: missing, not UTF-8, not CoNLL-U, or a sentence that is no tree; names file and line.
    """
    split = split_of(path)
    sentences = [_parse_sentence(path, line, block, split) for line, block in _blocks(read_text(path))]
    if not sentences:
        raise InputError(f"{path}: no sentence in it; expected CoNLL-U, ten columns with tabs between")
    return sentences


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


def _blocks(text: str) -> Iterator[tuple[int, str]]:
    # str.splitlines would also cut at U+2028 and U+0085, which may stand inside a form.
    start, lines = 1, []
    for number, line in enumerate([*text.split("\n"), ""], start=1):
        if line.strip():
            start = start if lines else number
            lines.append(line)
        elif lines:
            yield start, "\n".join(lines) + "\n\n"
            lines = []


def _parse_sentence(path: Path, line: int, block: str, split: str) -> Sentence:
    where = f"{path}:{line}: the sentence that starts here"
    try:
        parsed = conllu.parse(block)[0]
    except ParseException as error:
        raise InputError(f"{where} is not CoNLL-U: {' '.join(str(error).split())}") from None
    if not parsed or any(len(row) < _COLUMNS for row in parsed):
        raise InputError(f"{where} is not CoNLL-U: expected lines of ten columns with tabs between")
    tokens, glued, place = _read_tokens(parsed)
    rows = [row for row in parsed if isinstance(row["id"], int)]
    words = tuple(_read_word(row, place[row["id"]]) for row in rows)
    fault = _find_fault(rows, words)
    if fault:
        raise InputError(f"{where} {fault}")
    sent_id = parsed.metadata.get("sent_id") or f"{path.name}:{line}"
    return Sentence(sent_id, split, tuple(tokens), tuple(glued), words)


def _read_tokens(parsed: conllu.TokenList) -> tuple[list[str], list[bool], dict[int, int]]:
    tokens, glued, place = [], [], {}
    for row in parsed:
        inside = row["id"] in place if isinstance(row["id"], int) else row["id"][1] == "."
        if inside:
            continue
        span = range(row["id"], row["id"] + 1) if isinstance(row["id"], int) else range(row["id"][0], row["id"][2] + 1)
        place.update(dict.fromkeys(span, len(tokens)))
        tokens.append(" ".join(row["form"].split()))
        glued.append((row["misc"] or {}).get("SpaceAfter") == "No")
    return tokens, glued, place


def _read_word(row: conllu.Token, token: int) -> Word:
    head = -1 if row["head"] is None else row["head"] - 1
    feats = {key: str(value) for key, value in (row["feats"] or {}).items()}
    return Word(row["form"], row["upos"] or "_", row["xpos"] or "_", feats, head, row["deprel"] or "_", token)


def _find_fault(rows: list[conllu.Token], words: tuple[Word, ...]) -> str:
    if [row["id"] for row in rows] != list(range(1, len(rows) + 1)):
        return "does not number its words 1, 2, 3, ..."
    if not all(row["form"].split() for row in rows):
        return "has a word without a form (column 2)"
    if any(row["head"] is None or not 0 <= row["head"] <= len(rows) for row in rows):
        return "has a head (column 7) that is no word of it; expected basic dependencies"
    if sum(word.head < 0 for word in words) != 1:
        return f"has {sum(word.head < 0 for word in words)} roots; expected one word with head 0"
    if any(depth < 0 for depth in head_depths(words)):
        return "has words that govern one another in a circle"
    return ""
