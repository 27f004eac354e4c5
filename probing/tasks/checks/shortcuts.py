"""What a task gives away to something that reads no sentence: to its majority, its lengths, its bag of words.

A probe's score means little where one of these does as well.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import ComplementNB
from sklearn.svm import LinearSVC

from probing.folds import plan_rounds
from probing.records import Split, Task, Text
from probing.tasks.subset import limit_task

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
    telling_words: Sequence[str]
    """The most frequent words that tell the class of a sentence, as `word (class)`: they stand in five training
    sentences or more, nine in ten of which are of one class, and that class is not most of train anyway."""
    telling_coverage: float
    """Share of test sentences with such a word."""
    telling_accuracy: float
    """How many of those are of the class that the word tells; 0 where there are none."""


def measure_shortcuts(task: Task) -> Shortcuts:
    """Measure them, on the first fold where the task is cross-validated."""
    task = limit_task(task, MOST_SENTENCES)
    first = plan_rounds(task)[0]
    train, test = (task.splits[split].select(first[split]) for split in ("train", "test"))
    words = find_telling_words(train)
    hits = [words[found] == label for found, label in _first_telling(test, words) if found]
    return Shortcuts(
        majority=float((test.labels == np.bincount(train.labels).argmax()).mean()),
        length=score_length(train, test),
        bag_of_words=score_bag_of_words(train, test),
        telling_words=[f"{word} ({task.classes[words[word]]})" for word in list(words)[:8]],
        telling_coverage=len(hits) / len(test),
        telling_accuracy=float(np.mean(hits)) if hits else 0.0,
    )


def score_length(train: Split, test: Split) -> float:
    """Accuracy of the most frequent class among training sentences of the same number of words."""
    by_length: dict[int, Counter[int]] = defaultdict(Counter)
    for text, label in zip(train.texts, train.labels.tolist(), strict=True):
        by_length[count_words(text)][label] += 1
    fallback = Counter(train.labels.tolist())
    guesses = [(by_length.get(count_words(text)) or fallback).most_common(1)[0][0] for text in test.texts]
    return float((np.array(guesses) == test.labels).mean())


def score_bag_of_words(train: Split, test: Split) -> float:
    """Accuracy of a classifier on which words occur in each segment, case ignored."""
    analyzer: Any = list_words
    vectorizer = CountVectorizer(analyzer=analyzer, binary=True)
    vectors = vectorizer.fit_transform(train.texts)
    many = len(np.unique(train.labels)) > _MOST_CLASSES
    model = ComplementNB() if many else LinearSVC(C=0.1, dual="auto", max_iter=2000, tol=1e-2, random_state=0)
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
    return [f"{'2:' * side}{word}" for side, segment in enumerate(text) for word in segment.lower().split()]


def count_words(text: Text) -> int:
    """Number of words of all segments."""
    return sum(len(segment.split()) for segment in text)


def _first_telling(test: Split, words: Mapping[str, int]) -> list[tuple[str, int]]:
    return [
        (next((word for word in list_words(text) if word in words), ""), label)
        for text, label in zip(test.texts, test.labels.tolist(), strict=True)
    ]
