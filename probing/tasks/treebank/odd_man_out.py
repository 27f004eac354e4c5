"""SOMO from treebanks (arXiv 1805.01070, section 2): one noun or verb replaced by another that fits its neighbours.

Let `n(a, b)` count how often b follows a in the corpus, the sentence at hand left out. A word v may replace w between
p and q where v and w bear the same tag, all of n(p, w), n(w, q), n(p, v), n(v, q) are 1 or more, and

    |log n(p, v) - log n(p, w)| <= TOLERANCE   and   |log n(v, q) - log n(w, q)| <= TOLERANCE.
"""

import math
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from probing.records import SPLITS
from probing.tasks.files.senteval import Row
from probing.tasks.treebank.sampling import Candidate, Draft, Floor, balance, draw, separate_forms
from probing.tasks.treebank.sentences import Sentence, print_tokens

TOLERANCE = math.log(2)
"""Largest difference of two log bigram counts, natural logarithm: a factor of two; ours."""
FREQUENCIES = (4, 400)
"""Occurrences in the corpus of a word that may be replaced or replace; SentEval's are 40 to 400 in a larger corpus."""
_EDGE = "\n"
"""Stands for the end of a sentence among bigrams; no token holds a line end."""


class Slot(NamedTuple):
    """A place in a sentence, the word in it, and the words that could stand there."""

    row: int
    position: int
    word: str
    others: tuple[str, ...]


def build_odd_man_out(corpus: Sequence[Sentence], seed: int, floor: Floor) -> Draft:
    """SOMO: whether a noun or verb of the sentence has been replaced.

    In each split a word is put in (class C) as often as it stands untouched in a place where it might have been
    replaced (class O), so that no word tells the class. Each word serves in one split, each sentence once.
    """
    slots = find_slots(corpus)
    homes = _split_words(slots, corpus, seed)
    rows: list[Row] = []
    for split in SPLITS:
        mine = [slot for slot in slots if corpus[slot.row].split == split]
        order = draw(mine, len(mine), seed, "odd_man_out", "order", split)
        for original, changed, word in _match(order, homes[split]):
            rows.append((split, "O", corpus[original.row].text))
            rows.append((split, "C", _replace(corpus[changed.row], changed, word)))
    relaxed = (
        f"words of {FREQUENCIES[0]} to {FREQUENCIES[1]} occurrences in place of 40 to 400",
        f"bigrams are counted in the corpus itself, alike to within a factor of {math.exp(TOLERANCE):.0f}",
    )
    words = {split: len(found) for split, found in homes.items()}
    measures = {"places": len(slots), "words": words}
    return Draft(balance(rows, seed, "odd_man_out", floor), "tokens and tags", relaxed, measures)


def find_slots(corpus: Sequence[Sentence]) -> list[Slot]:
    """Every place where a noun or verb could be replaced, not at the start of a sentence."""
    tags = _tags_of_words(corpus)
    bigrams = Counter(pair for sentence in corpus for pair in pairwise([*sentence.tokens, _EDGE]))
    after: dict[str, set[str]] = defaultdict(set)
    before: dict[str, set[str]] = defaultdict(set)
    for left, right in bigrams:
        if right in tags:
            after[left].add(right)
        if left in tags:
            before[right].add(left)
    slots = []
    for row, sentence in enumerate(corpus):
        own = Counter(pairwise([*sentence.tokens, _EDGE]))
        for position, tag in _replaceable(sentence, tags):
            left, word, right = (*sentence.tokens, _EDGE)[position - 1 : position + 2]
            counts = bigrams[left, word] - own[left, word], bigrams[word, right] - own[word, right]
            if min(counts) < 1:
                continue
            fitting = sorted(
                other
                for other in (after[left] & before[right]).difference(sentence.tokens)
                if tag in tags[other]
                and _shape(other) == _shape(word)
                and _is_near(counts[0], bigrams[left, other])
                and _is_near(counts[1], bigrams[other, right])
            )
            if fitting:
                slots.append(Slot(row, position, word, tuple(fitting)))
    return slots


def _is_near(count: int, other: int) -> bool:
    return abs(math.log(other / count)) <= TOLERANCE + 1e-9


def _shape(word: str) -> tuple[bool, bool]:
    return word[:1].isupper(), word.isupper()


def _tags_of_words(corpus: Sequence[Sentence]) -> dict[str, set[str]]:
    tags: dict[str, set[str]] = defaultdict(set)
    counts: Counter[str] = Counter()
    for sentence in corpus:
        counts.update(sentence.tokens)
        for word in sentence.words:
            if word.upos in {"NOUN", "VERB"} and all(unicodedata.category(letter)[0] in "LM" for letter in word.form):
                tags[word.form].add(word.tag)
    return {word: found for word, found in tags.items() if FREQUENCIES[0] <= counts[word] <= FREQUENCIES[1]}


def _replaceable(sentence: Sentence, tags: dict[str, set[str]]) -> list[tuple[int, str]]:
    # A word inside a contraction is no token of its own and stays.
    return [
        (word.token, word.tag)
        for word in sentence.words
        if word.token > 0 and word.form == sentence.tokens[word.token] and word.tag in tags.get(word.form, ())
    ]


def _split_words(slots: Sequence[Slot], corpus: Sequence[Sentence], seed: int) -> dict[str, set[str]]:
    """The words that serve in each split, chosen by how many pairs each could give there."""
    held, fit = Counter(), Counter()
    for slot in slots:
        split = corpus[slot.row].split
        held[split, slot.word] += 1
        fit.update((split, other) for other in slot.others)
    pairs = [
        Candidate(split, "C", "", word)
        for split, word in sorted(held)
        for _ in range(min(held[split, word], fit[split, word]))
    ]
    homes: dict[str, set[str]] = {split: set() for split in SPLITS}
    for candidate in separate_forms(draw(pairs, len(pairs), seed, "odd_man_out", "words")):
        homes[candidate.split].add(candidate.form)
    return homes


def _match(slots: Sequence[Slot], words: set[str]) -> list[tuple[Slot, Slot, str]]:
    """Pairs of an untouched and a changed sentence about the same word, no sentence twice; rare words choose first."""
    held: dict[str, list[Slot]] = defaultdict(list)
    fit: dict[str, list[Slot]] = defaultdict(list)
    for slot in slots:
        held[slot.word].append(slot)
        for other in slot.others:
            fit[other].append(slot)
    used: set[int] = set()
    pairs = []
    for word in sorted(words, key=lambda word: (min(len(held[word]), len(fit[word])), word)):
        originals, changed = iter(held[word]), iter(fit[word])
        while True:
            original = next((slot for slot in originals if slot.row not in used), None)
            change = next(
                (slot for slot in changed if slot.row not in used and slot.row != getattr(original, "row", -1)), None
            )
            if original is None or change is None:
                break
            used |= {original.row, change.row}
            pairs.append((original, change, word))
    return pairs


def _replace(sentence: Sentence, slot: Slot, word: str) -> str:
    tokens = list(sentence.tokens)
    tokens[slot.position] = word
    return print_tokens(tokens, sentence.glued)
