"""SentLen and WC from treebanks (arXiv 1805.01070, section 2)."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence

from probing.records import SPLITS
from probing.tasks.files.senteval import Row
from probing.tasks.treebank.sampling import Draft, Floor, UnsupportedTaskError, balance
from probing.tasks.treebank.sentences import Sentence

LENGTH_BINS = ((5, 8), (9, 12), (13, 16), (17, 20), (21, 25), (26, 28))
"""SentEval's bins, in tokens, both ends included; the class is the bin's index."""
TARGET_FLOOR = Floor(train=10, held_out=2)
"""Fewest sentences of a target word; SentEval's thousand targets have 100 in train and 10 in dev and in test."""
TARGET_SHARES = (0.002, 0.003, 0.005, 0.008, 0.012)
"""Bounds tried on the share of sentences that hold a target: above them a word is not of middle frequency."""
_SHORTEST = 4


def build_sentence_length(corpus: Sequence[Sentence], seed: int, floor: Floor) -> Draft:
    """SentLen: which of six bins the number of tokens falls in."""
    counts = Counter((sentence.split, _length_bin(sentence.length)) for sentence in corpus)
    bins = [str(index) for index in range(len(LENGTH_BINS))]
    kept = [label for label in bins if all(counts[split, label] >= floor.of(split) for split in SPLITS)]
    rows = [(sentence.split, _length_bin(sentence.length), sentence.text) for sentence in corpus]
    relaxed = tuple(
        f"no class of {low} to {high} tokens: below {floor.train} sentences in train or {floor.held_out} in dev or test"
        for label, (low, high) in zip(bins, LENGTH_BINS, strict=True)
        if label not in kept
    )
    rows = [row for row in rows if row[1] in kept or len(kept) < 2]
    if 2 * sum(" " not in sentence.text for sentence in corpus) > len(corpus):
        relaxed += ("counted are the treebank's tokens: its script sets no spaces",)
    return Draft(balance(rows, seed, "sentence_length", floor), "tokens", relaxed)


def _length_bin(length: int) -> str:
    return next(str(index) for index, (low, high) in enumerate(LENGTH_BINS) if low <= length <= high)


def build_word_content(corpus: Sequence[Sentence], seed: int, floor: Floor) -> Draft:
    """WC: which one of many words of middle frequency stands in the sentence, exactly once, and no other of them.

    The targets are the largest set found for which every word keeps `TARGET_FLOOR` sentences in each split.
    """
    del floor  # the floor of a class is its own here: hundreds of classes share the corpus
    bags = [Counter(filter(_is_target, (token.lower() for token in sentence.tokens))) for sentence in corpus]
    splits = [sentence.split for sentence in corpus]
    targets = max((_find_targets(bags, splits, share) for share in TARGET_SHARES), key=len)
    if len(targets) < 2:
        raise UnsupportedTaskError(
            f"no two words of middle frequency have {TARGET_FLOOR.train} sentences of their own in train and "
            f"{TARGET_FLOOR.held_out} in dev and test ({len(corpus)} sentences in all)"
        )
    rows: list[Row] = []
    for sentence, bag in zip(corpus, bags, strict=True):
        present = [word for word in bag if word in targets]
        if len(present) == 1 and bag[present[0]] == 1:
            rows.append((sentence.split, present[0], sentence.text))
    relaxed = (
        f"{len(targets)} target words in place of 1,000: as many as keep {TARGET_FLOOR.train} sentences in train"
        f" and {TARGET_FLOOR.held_out} in dev and test",
    )
    return Draft(balance(rows, seed, "word_content", TARGET_FLOOR), "tokens", relaxed)


def _is_target(word: str) -> bool:
    # Scripts without case and vowel signs (Han, Devanagari) say more per letter: the length bounds cased scripts only.
    letters = all(unicodedata.category(letter)[0] in "LM" for letter in word)
    return letters and (len(word) >= _SHORTEST or word.upper() == word)


def _find_targets(bags: Sequence[Counter[str]], splits: Sequence[str], share: float) -> set[str]:
    """Drop the word that falls short most, again and again: each one dropped sets sentences free for the others."""
    where = _words_of_middle_frequency(bags, splits, share)
    holders = defaultdict(set)
    for word, rows in where.items():
        for row in rows:
            holders[row].add(word)
    own = {
        word: Counter(splits[row] for row in rows if _is_own(word, row, bags, holders)) for word, rows in where.items()
    }
    while own:
        worst = min(own, key=lambda word: (_supply(own[word]), -len(where[word]), word))
        if _supply(own[worst]) >= 1:
            break
        del own[worst]
        for row in where[worst]:
            holders[row].discard(worst)
            for word in holders[row]:
                own[word][splits[row]] += _is_own(word, row, bags, holders)
    return set(own)


def _words_of_middle_frequency(
    bags: Sequence[Counter[str]], splits: Sequence[str], share: float
) -> dict[str, list[int]]:
    where: dict[str, list[int]] = defaultdict(list)
    for row, bag in enumerate(bags):
        for word in bag:
            where[word].append(row)
    most = share * len(bags)
    return {
        word: rows
        for word, rows in where.items()
        if len(rows) <= most and _supply(Counter(splits[row] for row in rows)) >= 1
    }


def _is_own(word: str, row: int, bags: Sequence[Counter[str]], holders: dict[int, set[str]]) -> bool:
    return len(holders[row]) == 1 and bags[row][word] == 1


def _supply(counts: Counter[str]) -> float:
    return min(counts[split] / TARGET_FLOOR.of(split) for split in SPLITS)
