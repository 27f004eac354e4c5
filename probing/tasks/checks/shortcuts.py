"""Shortcuts: what a task gives away to something that reads no sentence: its majority, its lengths, its bag of words.

A probe's score means little where one of these does as well.
"""

import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import ComplementNB
from sklearn.svm import LinearSVC

from probing.folds import plan_folds
from probing.records import Split, Task, Text
from probing.tasks.subset import limit_task
from probing.tasks.words import split_words

MOST_SENTENCES = 20_000
"""A larger split is read in part: these are estimates, and should be quick."""
_MOST_CLASSES = 50
"""Above this, classes are counted and not separated: a thousand separators take minutes."""
_LEAST_SENTENCES, _LEAST_SHARE, _MOST_BASE = 5, 0.9, 0.6


@dataclass(frozen=True)
class Shortcuts:
    """Accuracies on test, in [0, 1]."""

    majority: float
    length: float
    """Always the class that is most frequent among training sentences of that length in words."""
    bag_of_words: float
    """A linear classifier on which words occur; with many classes, naive Bayes."""
    word_pairs: float
    """The same on words and pairs of neighbours."""
    characters: float
    """The same on runs of two to five characters, within words and across them."""
    first_word: float
    """The class most frequent with the first word."""
    after_comma: float
    """The class most frequent with the first word after a comma; without a comma, the most frequent class."""
    telling_words: Sequence[str]
    """The most frequent words that tell the class of a sentence, as `word (class)`: they stand in five training
    sentences or more, nine in ten of which are of one class, and that class is not most of train anyway."""
    telling_coverage: float
    """Share of test sentences with such a word."""
    telling_accuracy: float
    """Share of those that are of the class that the word tells; 0 where there are none."""


def measure_shortcuts(task: Task) -> Shortcuts:
    """Measure them, on the first fold where the task is cross-validated."""
    task = limit_task(task, MOST_SENTENCES)
    first = plan_folds(task)[0]
    train, test = (task.splits[split].select(first[split]) for split in ("train", "test"))
    words = find_telling_words(train)
    hits = [words[found] == label for found, label in _first_telling(test, words) if found]
    return Shortcuts(
        majority=float((test.labels == np.bincount(train.labels).argmax()).mean()),
        length=score_length(train, test),
        bag_of_words=score_bag_of_words(train, test),
        word_pairs=score_bag_of_words(train, test, list_pairs),
        characters=score_bag_of_words(train, test, list_characters),
        first_word=score_cue(train, test, find_first_word),
        after_comma=score_cue(train, test, find_after_comma),
        telling_words=[f"{word} ({task.classes[words[word]]})" for word in list(words)[:8]],
        telling_coverage=len(hits) / len(test),
        telling_accuracy=float(np.mean(hits)) if hits else 0.0,
    )


def score_length(train: Split, test: Split) -> float:
    """Accuracy of the most frequent class among training sentences of the same number of words."""
    return score_cue(train, test, count_words)


def score_cue(train: Split, test: Split, find: Callable[[Text], Hashable]) -> float:
    """Accuracy of the most frequent class among training sentences with the same cue; the same where it is new."""
    by_cue: dict[Hashable, Counter[int]] = defaultdict(Counter)
    for text, label in zip(train.texts, train.labels.tolist(), strict=True):
        by_cue[find(text)][label] += 1
    fallback = Counter(train.labels.tolist())
    guesses = [(by_cue.get(find(text)) or fallback).most_common(1)[0][0] for text in test.texts]
    return float((np.array(guesses) == test.labels).mean())


def score_bag_of_words(train: Split, test: Split, features: Callable[[Text], list[str]] | None = None) -> float:
    """Accuracy of a classifier on which features occur, by default the words of each segment, case ignored."""
    analyzer: Any = features or list_words
    # what stands in one training sentence alone tells nothing of others, and most runs of characters do
    vectorizer = CountVectorizer(analyzer=analyzer, binary=True, min_df=2 if features else 1)
    try:
        vectors = vectorizer.fit_transform(train.texts)
    except ValueError:
        # No feature stands in enough texts: there is nothing to tell by.
        vectors = None
    if vectors is None or len(np.unique(train.labels)) < 2:
        return float((test.labels == np.bincount(train.labels).argmax()).mean())
    many = len(np.unique(train.labels)) > _MOST_CLASSES
    model = ComplementNB() if many else LinearSVC(C=0.1, dual="auto", max_iter=2000, tol=1e-2, random_state=0)
    with warnings.catch_warnings():
        # That half as many classes as sentences are many is told by the check itself.
        warnings.simplefilter("ignore", UserWarning)
        return float(model.fit(vectors, train.labels).score(vectorizer.transform(test.texts), test.labels))


def find_telling_words(train: Split) -> dict[str, int]:
    """Words that tell the class, the most frequent first, with that class."""
    classes: dict[str, Counter[int]] = defaultdict(Counter)
    for text, label in zip(train.texts, train.labels.tolist(), strict=True):
        for word in set(list_words(text)):
            classes[word][label] += 1
    base = np.bincount(train.labels) / len(train)
    found = {}
    for word, counts in classes.items():
        label, count = counts.most_common(1)[0]
        total = counts.total()
        if total >= _LEAST_SENTENCES and count >= _LEAST_SHARE * total and base[label] <= _MOST_BASE:
            found[word] = (total, label)
    return {word: found[word][1] for word in sorted(found, key=lambda word: (-found[word][0], word))}


def list_words(text: Text) -> list[str]:
    """The words of a text in lower case; those of a second segment are marked, for they are other words."""
    return [f"{'2:' * side}{word}" for side, segment in enumerate(text) for word in split_words(segment.lower())]


def list_pairs(text: Text) -> list[str]:
    """The words of a text, and each two of a segment that are neighbours; ends count as words, and so does case."""
    found = []
    for side, segment in enumerate(text):
        words = [f"{side}<", *split_words(segment), f"{side}>"]
        found += [*words, *map(" ".join, pairwise(words))]
    return found


def list_characters(text: Text) -> list[str]:
    """All runs of two to five characters of a text, blanks included."""
    whole = " | ".join(text)
    return [whole[start : start + size] for size in range(2, 6) for start in range(len(whole) - size + 1)]


def find_first_word(text: Text) -> str:
    """The first word of a text, in lower case."""
    return next(iter(split_words(text[0].lower())), "")


def find_after_comma(text: Text) -> str:
    """The word after the first comma of a text that is followed by one; empty if there is none."""
    words = [word for segment in text for word in split_words(segment.lower())]
    return next((after for word, after in pairwise(words) if word.endswith(",")), "")


def count_words(text: Text) -> int:
    """Number of words of all segments."""
    return sum(len(split_words(segment)) for segment in text)


def _first_telling(test: Split, words: Mapping[str, int]) -> list[tuple[str, int]]:
    return [
        (next((word for word in list_words(text) if word in words), ""), label)
        for text, label in zip(test.texts, test.labels.tolist(), strict=True)
    ]
