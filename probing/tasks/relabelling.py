"""Control labels: the sentences of a task with other labels, to see what a probe learns by itself.

`label_by_word` adapts the control tasks of Hewitt & Liang 2019 (arXiv 1909.03368, section 2) from words to
sentences. There, every word type is given a class at random, once, and the probe has to memorise it. Here, one word
is chosen in each sentence by a fixed rule, and the sentence bears that word's class: no property of language is in the
labels, they can be learnt by memorising word types only, and what is memorised holds on dev and test.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import replace

import numpy as np
from jaxtyping import Int

from probing.randomness import stream
from probing.records import SPLITS, Split, Task, Text
from probing.tasks.words import split_words

_SMALLEST_SHARE = 50
"""The word that counts stands in at most one of so many training sentences, or of as many as there are classes."""


def label_by_word(task: Task, seed: int = 0) -> Task:
    """A task whose classes are drawn per word type, in the task's own proportions.

    The word that counts is the commonest one of the sentence that stands in at most one of `max(50, classes)`
    training sentences: common enough to be met again in test, rare enough that there are many types to memorise.

    Types are shuffled and given their classes one after the other, a class with the probability of the sentences
    that it still lacks, so that the classes are about as frequent as the task's. Types that train never saw are
    drawn from the task's proportions. Classes that no training sentence got are left out.
    """
    counts = count_sentences(task.splits["train"].texts)
    cap = len(task.splits["train"]) / max(_SMALLEST_SHARE, len(task.classes))
    words = {split: [choose_word(text, counts, cap) for text in task.splits[split].texts] for split in SPLITS}
    quotas = np.bincount(task.splits["train"].labels, minlength=len(task.classes))
    class_of = draw_classes(Counter(words["train"]), quotas, stream(seed, "control_task", task.name))
    used = sorted(set(class_of.values()))
    unseen = {word for split in SPLITS for word in words[split]} - class_of.keys()
    shares = quotas[used] / quotas[used].sum()
    for word in unseen:
        class_of[word] = int(stream(seed, "control_task", task.name, word).choice(used, p=shares))
    labels = {split: np.searchsorted(used, [class_of[word] for word in words[split]]) for split in SPLITS}
    ceiling = find_ceiling(set(words["train"]), words["test"], labels["train"], labels["test"])
    return replace(_relabel(task, labels, tuple(task.classes[number] for number in used)), ceiling=ceiling)


def find_ceiling(
    known: Set[str], words: Sequence[str], train: Int[np.ndarray, " train"], test: Int[np.ndarray, " test"]
) -> float:
    """The accuracy of an oracle that knows which word counts and, of those in `known`, the class; else the commonest.

    With nearly as many types as sentences it is hardly above the majority: then nothing could be memorised, and a
    selectivity is the score less the majority.
    """
    most_frequent = np.bincount(train).argmax()
    seen = np.array([word in known for word in words])
    return float((seen | (test == most_frequent)).mean())


def shuffle_labels(task: Task, seed: int = 0) -> Task:
    """The task with the labels of every split permuted, each split for itself: nothing is left to be found.

    A probe must be at chance on it. Unlike a control task, it cannot be learnt by memorising.
    """
    labels = {
        split: stream(seed, "shuffled_labels", task.name, split).permutation(task.splits[split].labels)
        for split in SPLITS
    }
    return _relabel(task, labels, task.classes)


def count_sentences(texts: Iterable[Text]) -> Counter[str]:
    """In how many texts each word type stands; case does not count."""
    return Counter(word for text in texts for word in set(_words(text)))


def choose_word(text: Text, counts: Mapping[str, int], cap: float) -> str:
    """The commonest word within the cap; else the rarest above it; else the first one, which train never saw."""
    return min(((_rank(counts.get(word, 0), cap), word) for word in _words(text)), default=((), ""))[1]


def draw_classes(
    sizes: Mapping[str, int], quotas: Int[np.ndarray, " classes"], generator: np.random.Generator
) -> dict[str, int]:
    """A class for every word type, such that the classes get about as many sentences as their quotas.

    Args:
        sizes: how many sentences each type labels.
        quotas: how many sentences each class should have.
        generator: of the draws.
    """
    lacking = quotas.astype(float)
    class_of = {}
    for word in generator.permutation(sorted(sizes)).tolist():
        open_seats = np.maximum(lacking, 0)
        total = open_seats.sum()
        chosen = int(generator.choice(len(quotas), p=open_seats / total if total > 0 else quotas / quotas.sum()))
        class_of[word] = chosen
        lacking[chosen] -= sizes[word]
    return class_of


def _rank(count: int, cap: float) -> tuple[int, int]:
    if 0 < count <= cap:
        return (0, -count)
    return (1, count) if count else (2, 0)


def _words(text: Text) -> list[str]:
    return [word for segment in text for word in split_words(segment.casefold())]


def _relabel(task: Task, labels: Mapping[str, np.ndarray], classes: tuple[str, ...]) -> Task:
    splits = {split: Split(task.splits[split].texts, labels[split]) for split in SPLITS}
    return replace(task, classes=classes, splits=splits)


RELABELLINGS: Mapping[str, Callable[[Task, int], Task]] = {
    "control_task": label_by_word,
    "shuffled_labels": shuffle_labels,
}
"""By the key that a control of the catalogue names."""
