"""CoNLL-U read into sentences: surface tokens to write, syntactic words to reason about.

Format: https://universaldependencies.org/format.html. A *token* is what stands in the text (`don't`, `zum`); a
*word* is what the syntax speaks of (`do` + `n't`, `zu` + `dem`). Task files get tokens, labels come from words.
Forms keep their Unicode and their case as annotated; `SpaceAfter=No` is kept as `Sentence.glued`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import conllu
from conllu.exceptions import ParseException
from nltk.tree import Tree

from probing.records import SPLITS, InputError


@dataclass(frozen=True)
class Word:
    """One syntactic word."""

    form: str
    upos: str
    xpos: str
    feats: Mapping[str, str]
    head: int
    """Index of the governor among the sentence's words; -1 at the root."""
    relation: str
    """Dependency relation with its subtype, such as `nsubj:pass`."""
    token: int
    """Index of the surface token that holds this word."""

    @property
    def is_punctuation(self) -> bool:
        """Whether the word is a punctuation mark; symbols such as `$` are not."""
        return self.upos == "PUNCT" or self.relation.startswith("punct")

    @property
    def tag(self) -> str:
        """Everything that must agree before one word can stand in another's place."""
        return "|".join([self.upos, self.xpos, *(f"{key}={self.feats[key]}" for key in sorted(self.feats))])


@dataclass(frozen=True)
class Sentence:
    """One sentence of a treebank."""

    sent_id: str
    split: str
    """One of `SPLITS`."""
    tokens: tuple[str, ...]
    """Surface tokens; white space within one (as in Vietnamese or in French numbers) is a single space."""
    glued: tuple[bool, ...]
    """Whether no space follows the token in the original text (`SpaceAfter=No`)."""
    words: tuple[Word, ...]
    tree: Tree | None = None
    """Constituency tree over the words, where one is known."""

    @property
    def text(self) -> str:
        """The tokens with one space between: what a task file holds."""
        return " ".join(self.tokens)

    @property
    def raw(self) -> str:
        """The sentence as it was printed, with spaces only where the source has them."""
        return "".join(token + ("" if glued else " ") for token, glued in zip(self.tokens, self.glued)).strip()

    @property
    def length(self) -> int:
        """Number of space-separated tokens, punctuation included."""
        return len(self.text.split())

    @cached_property
    def root(self) -> int:
        """Index of the word that nothing governs."""
        return next(index for index, word in enumerate(self.words) if word.head < 0)

    @cached_property
    def punctuation(self) -> tuple[bool, ...]:
        """Which tokens are punctuation."""
        marks = [True] * len(self.tokens)
        for word in self.words:
            marks[word.token] &= word.is_punctuation
        return tuple(marks)

    def dependents(self, governor: int, *relations: str) -> list[int]:
        """Words that hang directly on one, in order; with relations (no subtype), only those."""
        return [
            index
            for index, word in enumerate(self.words)
            if word.head == governor and (not relations or word.relation.split(":")[0] in relations)
        ]


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
    try:
        (parsed,) = conllu.parse(block)
    except (ParseException, ValueError) as error:
        reason = " ".join(str(error).split()) or "no token line"
        raise InputError(f"{path}:{line}: the sentence that starts here is not CoNLL-U: {reason}") from None
    tokens, glued, place = _read_tokens(parsed)
    rows = [row for row in parsed if isinstance(row["id"], int)]
    words = tuple(_read_word(row, place.get(row["id"], 0)) for row in rows)
    fault = _find_fault(rows, words)
    if fault:
        raise InputError(f"{path}:{line}: the sentence that starts here {fault}")
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
    if any(row["head"] is None or not 0 <= row["head"] <= len(rows) for row in rows):
        return "has a head (column 7) that is no word of it; expected basic dependencies"
    if sum(word.head < 0 for word in words) != 1:
        return f"has {sum(word.head < 0 for word in words)} roots; expected one word with head 0"
    if any(depth < 0 for depth in head_depths(words)):
        return "has words that govern one another in a circle"
    return ""


def head_depths(words: tuple[Word, ...]) -> list[int]:
    """How many words stand on the way from the root down to each word, itself included; -1 on a circle."""
    depths = []
    for index in range(len(words)):
        depth = 0
        while index >= 0 and depth <= len(words):
            depth, index = depth + 1, words[index].head
        depths.append(depth if index < 0 else -1)
    return depths
