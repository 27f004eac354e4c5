"""Surface baselines: what the text itself tells, which no encoder has touched, as readouts beside the layers.

Conneau et al. 2018 (arXiv 1805.01070, section 3.1) hold encoders against the number of words and against naive Bayes on
words. Here are three sets of features, each of which occurs in a text or does not: the number of words of a segment,
its words, and its runs of two to five characters. Classifier and strength are chosen as for a layer, on dev.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer

from probing.cells.fitting import Fit, encode_labels, join_folds
from probing.contracts.measure import Cell
from probing.folds import plan_folds
from probing.probes.text import TEXT_PROBES, name_text_probe
from probing.records import Text
from probing.tasks.checks.shortcuts import list_characters, list_words
from probing.tasks.words import split_words


def list_lengths(text: Text) -> list[str]:
    """The number of words of each segment, as a feature."""
    return [f"{side}:{len(split_words(segment))}" for side, segment in enumerate(text)]


FEATURES: Mapping[str, tuple[Callable[[Text], list[str]], int]] = {
    "word_count": (list_lengths, 1),
    "bag_of_words": (list_words, 1),
    "characters": (list_characters, 2),
}
"""By representation: the features of a text, and the training texts that one must stand in to count. Most runs of
characters stand in one alone, and tell nothing of others."""


def fit_text(cell: Cell) -> Fit:
    """Fit a probe of the text for every fold of the task, or once where the splits are fixed."""
    splits, n_classes = cell.task.splits, len(cell.task.classes)
    find, least = FEATURES[cell.representation]
    probes, seconds, parts = [], 0.0, {"dev": [], "test": []}
    for fold in plan_folds(cell.task):
        chosen = {split: splits[split].select(rows) for split, rows in fold.items()}
        start = time.perf_counter()
        probe = TEXT_PROBES[name_text_probe(n_classes)]()
        labels = {split: encode_labels(part, n_classes, probe) for split, part in chosen.items()}
        vectors = count_features(find, least, [chosen[split].texts for split in ("train", "dev", "test")])
        probes.append(probe.fit(vectors[0], labels["train"], vectors[1], labels["dev"]))
        seconds += time.perf_counter() - start
        for split, X in zip(("dev", "test"), vectors[1:], strict=True):
            parts[split].append((fold[split], [one.astype(np.float32) for one in probe.read(X)]))
    read = {split: join_folds(own, len(splits[split]), n_classes) for split, own in parts.items()}
    return Fit(probes, read, seconds)


def count_features(find: Callable[[Text], list[str]], least: int, texts: Sequence[Sequence[Text]]) -> list[Any]:
    """Sparse matrices, sentences x features, of 1 where a feature occurs: features of the first texts, in all of them.

    Where no feature stands in enough texts there is a single one, which is always 0.
    """
    # scikit-learn's annotations say less than it takes.
    options: dict[str, Any] = {"analyzer": find, "binary": True, "dtype": np.float64}
    vectorizer = CountVectorizer(**options, min_df=least)
    try:
        vectorizer.fit(texts[0])
    except ValueError:
        vectorizer = CountVectorizer(**options, vocabulary=["none"])
    return [vectorizer.transform(part) for part in texts]
