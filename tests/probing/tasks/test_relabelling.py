from collections import Counter

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.linear_model import LogisticRegression

from probing.records import SPLITS, Split, Task, TaskSpec
from probing.tasks.relabelling import choose_word, count_sentences, draw_classes, label_by_word, shuffle_labels

SIZES = {"train": 900, "dev": 200, "test": 300}


def build(n_classes=3, shares=None, seed=0, vocabulary=120):
    """Sentences of eight words from a Zipfian vocabulary, with labels that have nothing to do with them."""
    rng = np.random.default_rng(seed)
    words = np.array([f"w{number}" for number in range(vocabulary)])
    frequency = 1 / np.arange(1, vocabulary + 1)
    splits = {}
    for split, n in SIZES.items():
        drawn = rng.choice(words, size=(n, 8), p=frequency / frequency.sum())
        labels = rng.choice(n_classes, size=n, p=shares)
        splits[split] = Split(tuple((" ".join(row),) for row in drawn), labels)
    return Task(TaskSpec("made", "Made", "semantic"), tuple("abcdefgh"[:n_classes]), splits)


@pytest.mark.parametrize("seed", range(3))
def test_the_class_is_a_function_of_one_word_of_the_sentence(seed):
    task = build(seed=seed)
    control = label_by_word(task, seed)
    counts = count_sentences(task.splits["train"].texts)
    class_of = {}
    for split in SPLITS:
        for text, label in zip(control.splits[split].texts, control.splits[split].labels, strict=True):
            word = choose_word(text, counts, SIZES["train"] / 50)
            assert word in text[0].split()
            assert class_of.setdefault(word, label) == label


def test_sentences_and_their_order_stay_as_they_were():
    task = build()
    for control in (label_by_word(task), shuffle_labels(task)):
        assert all(control.splits[split].texts == task.splits[split].texts for split in SPLITS)
        assert control.spec == task.spec


@pytest.mark.parametrize("shares", [[1 / 3] * 3, [0.6, 0.3, 0.1]])
def test_classes_are_about_as_frequent_as_in_the_task(shares):
    task = build(shares=shares)
    found = np.bincount(label_by_word(task).splits["train"].labels) / SIZES["train"]
    wanted = np.bincount(task.splits["train"].labels) / SIZES["train"]
    # A type labels at most a fiftieth of the sentences, and a class is overdrawn by its last type.
    assert found == pytest.approx(wanted, abs=0.04)


@pytest.mark.parametrize("vocabulary", [60, 400, 4000])
def test_the_ceiling_is_the_accuracy_of_a_dictionary_of_the_words_of_train(vocabulary):
    task = build(vocabulary=vocabulary)
    control = label_by_word(task)
    counts = count_sentences(task.splits["train"].texts)
    chosen = {s: [choose_word(text, counts, SIZES["train"] / 50) for text in task.splits[s].texts] for s in SPLITS}
    train, test = (control.splits[split].labels.tolist() for split in ("train", "test"))
    dictionary = dict(zip(chosen["train"], train, strict=True))
    commonest = Counter(train).most_common(1)[0][0]
    found = [dictionary.get(word, commonest) for word in chosen["test"]]
    assert control.ceiling == pytest.approx(np.mean(np.array(found) == test))
    assert np.isnan(task.ceiling)
    assert np.isnan(shuffle_labels(task).ceiling)


def test_it_can_be_learnt_from_words_and_holds_on_test():
    control = label_by_word(build(vocabulary=60))
    vocabulary = {f"w{number}": number for number in range(60)}
    bags = {split: np.zeros((SIZES[split], 60)) for split in ("train", "test")}
    for split, bag in bags.items():
        for row, (text,) in zip(bag, control.splits[split].texts, strict=True):
            row[[vocabulary[word] for word in text.split()]] = 1
    probe = LogisticRegression(C=10, max_iter=2000).fit(bags["train"], control.splits["train"].labels)
    # Chance is a third; which of the words counts has to be learnt too.
    assert probe.score(bags["test"], control.splits["test"].labels) > 0.6


def test_another_seed_draws_other_labels_and_the_same_seed_the_same():
    task = build()
    one, again, other = (label_by_word(task, seed).splits["test"].labels for seed in (0, 0, 1))
    assert (one == again).all()
    assert (one == other).mean() < 0.6


def test_every_class_that_remains_is_in_train():
    rare = build(n_classes=8, shares=[0.5, 0.44, *[0.01] * 6])
    control = label_by_word(rare)
    assert set(control.splits["train"].labels) == set(range(len(control.classes)))
    assert max(control.splits["test"].labels) < len(control.classes)
    assert set(control.classes) <= set(rare.classes)


def test_the_word_that_counts_is_the_commonest_one_within_the_cap():
    counts = Counter({"the": 90, "dog": 9, "cat": 5, "ran": 30})
    assert choose_word(("The cat saw the dog",), counts, cap=10.0) == "dog"
    assert choose_word(("the ran",), counts, cap=10.0) == "ran"
    assert choose_word(("the unheard",), counts, cap=10.0) == "the"
    assert choose_word(("b a",), counts, cap=10.0) == "a"


def test_quotas_are_met_as_far_as_types_allow():
    sizes = {f"w{number}": 1 for number in range(100)}
    drawn = draw_classes(sizes, np.array([70, 30]), np.random.default_rng(0))
    assert Counter(drawn.values()) == {0: 70, 1: 30}


@pytest.mark.parametrize("seed", range(3))
def test_shuffled_labels_are_the_same_labels_and_say_nothing_of_the_old_ones(seed):
    task = build(n_classes=2, seed=seed)
    control = shuffle_labels(task, seed)
    for split in SPLITS:
        old, new = task.splits[split].labels, control.splits[split].labels
        assert (np.bincount(old) == np.bincount(new)).all()
    low, high = binom.interval(1 - 1e-5, SIZES["train"], 0.5)
    assert low <= (task.splits["train"].labels == control.splits["train"].labels).sum() <= high
