"""What the text itself tells is found where it was planted, and only by the readout that can see it."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from probing.cells.selectivity import subtract_controls
from probing.cells.surface import FEATURES, count_features, fit_text, list_lengths
from probing.contracts.measure import Cell
from probing.probes.text import MOST_CLASSES, STRENGTHS, NaiveBayesProbe, SparseLinearProbe, name_text_probe
from probing.records import Split, Task, TaskSpec
from tests.probing.cells.test_selectivity import result

SIZES = {"train": 400, "dev": 100, "test": 200}
WORDS = [f"w{number}" for number in range(30)]


def make_task(label, n_classes=2, sizes=SIZES, pairs=False):
    """Random texts, whose labels are a function of their words."""
    rng, splits = np.random.default_rng(0), {}
    for split, n in sizes.items():
        drawn = [rng.choice(WORDS, size=rng.integers(3, 9)).tolist() for _ in range(n)]
        texts = tuple((" ".join(words), *(["a b"] if pairs else [])) for words in drawn)
        splits[split] = Split(texts, np.array([label(words) for words in drawn]))
    return Task(TaskSpec("made", "Made", "own"), tuple(map(str, range(n_classes))), splits)


def accuracy(task, representation, split="test"):
    fit = fit_text(Cell(task, representation))
    return float((fit.read[split][0].argmax(axis=1) == task.splits[split].labels).mean())


def has_word(words):
    return int(bool(set(WORDS[:5]) & set(words)))


def is_long(words):
    return int(len(words) > 5)


def test_the_bag_finds_words_and_the_number_of_words_does_not():
    task = make_task(has_word)
    majority = max(task.splits["test"].labels.mean(), 1 - task.splits["test"].labels.mean())
    assert accuracy(task, "bag_of_words") > 0.97
    assert accuracy(task, "word_count") < majority + 0.12, "longer texts hold such a word more often"


def test_the_number_of_words_finds_length():
    assert accuracy(make_task(is_long), "word_count") == 1.0


def test_only_runs_of_characters_see_which_words_are_neighbours():
    splits = {}
    for name, split in make_task(is_long).splits.items():
        labels = np.arange(len(split)) % 2
        pairs = zip(split.texts, labels, strict=True)
        splits[name] = Split(tuple((f"{text[0]} {'xa yb' if label else 'yb xa'}",) for text, label in pairs), labels)
    task = replace(make_task(is_long), splits=splits)
    assert accuracy(task, "characters") == 1.0
    assert abs(accuracy(task, "bag_of_words") - 0.5) < 0.1


def test_shuffled_labels_leave_nothing_to_find():
    rng = np.random.default_rng(1)
    task = make_task(lambda words: int(rng.integers(2)), sizes={"train": 400, "dev": 100, "test": 800})
    for representation in FEATURES:
        # Standard error .018.
        assert abs(accuracy(task, representation) - 0.5) < 0.07


def test_many_classes_are_counted():
    task = make_task(lambda words: int(words[0][1:]), 30)
    wide = replace(task, classes=tuple(map(str, range(MOST_CLASSES + 1))))
    for one, expected in ((task, "sparse_linear"), (wide, "naive_bayes")):
        assert name_text_probe(len(one.classes)) == expected
        log_probs = fit_text(Cell(one, "bag_of_words")).read["test"][0]
        assert log_probs.shape == (200, len(one.classes))
        assert accuracy(one, "bag_of_words") > 0.15


def test_a_class_that_train_lacks_keeps_the_places_of_the_others():
    X, y = np.eye(4), np.array([0, 2, 3, 3])
    (log_probs,) = NaiveBayesProbe().fit(X, y, X, y).read(X)
    assert log_probs.argmax(axis=1).tolist() == [0, 2, 3, 3]
    assert (log_probs[:, 1] == -np.inf).all()


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_optimum_is_that_of_scikit_learn(n_classes):
    task = make_task(lambda words: sum(int(word[1:]) for word in words) % n_classes, n_classes)
    X, X_dev = count_features(*FEATURES["bag_of_words"], [task.splits[split].texts for split in ("train", "dev")])
    y, y_dev = task.splits["train"].labels, task.splits["dev"].labels
    probe = SparseLinearProbe().fit(X, y, X_dev, y_dev)
    assert probe.converged_
    assert probe.strength_ in STRENGTHS
    # Two classes: one vector of slopes there, two here, of which each has half the penalty.
    theirs = LogisticRegression(C=(2 if n_classes == 2 else 1) / (probe.strength_ * len(y)), tol=1e-8, max_iter=5000)
    expected = theirs.fit(X, y).predict_log_proba(X_dev)
    (found,) = probe.read(X_dev)
    # A gradient of a thousandth of the first one, against one of 1e-8.
    assert np.abs(found - expected).max() < 0.05


def test_the_strength_is_the_best_on_dev():
    task = make_task(has_word)
    parts = [task.splits[split] for split in ("train", "dev")]
    X, X_dev = count_features(*FEATURES["bag_of_words"], [part.texts for part in parts])
    probe = SparseLinearProbe().fit(X, parts[0].labels, X_dev, parts[1].labels)

    def score(strength):
        model = LogisticRegression(C=2 / (strength * X.shape[0]), tol=1e-8, max_iter=5000)
        return model.fit(X, parts[0].labels).score(X_dev, parts[1].labels)

    assert score(probe.strength_) >= max(map(score, STRENGTHS)) - 0.01


def test_scores_on_a_scale_are_told_by_their_words():
    task = make_task(lambda words: min(4, sum(word in WORDS[:10] for word in words)), 5)
    splits = {name: replace(split, targets=split.labels.astype(float)) for name, split in task.splits.items()}
    graded = replace(task, splits=splits, spec=replace(task.spec, metrics=("pearson",)))
    log_probs = fit_text(Cell(graded, "bag_of_words")).read["test"][0]
    expected = np.exp(log_probs) @ np.arange(5)
    assert np.corrcoef(expected, splits["test"].targets)[0, 1] > 0.8


def test_each_sentence_of_a_cross_validation_is_told_by_its_own_fold():
    task = make_task(is_long, sizes={"train": 300})
    whole = dict.fromkeys(("train", "dev", "test"), task.splits["train"])
    task = replace(task, splits=whole, folds=3)
    fit = fit_text(Cell(task, "word_count"))
    assert len(fit.probes) == 3
    assert (fit.read["test"][0].argmax(axis=1) == task.splits["test"].labels).mean() == 1.0


def test_the_segments_of_a_pair_are_counted_apart():
    assert list_lengths(("one two", "three")) == ["0:2", "1:1"]
    assert accuracy(make_task(is_long, pairs=True), "word_count") == 1.0


def test_texts_without_a_common_feature_leave_the_majority():
    train, test = [("a",), ("b",)], [("c",)]
    X, X_test = count_features(list, 2, [train, test])
    assert X.shape == (2, 1)
    assert X.nnz == X_test.nnz == 0


def test_every_readout_is_held_against_the_one_of_the_text():
    bag = result("bag_of_words", {-1: 0.6}, representation="bag_of_words")
    mixed = result("none", {-1: 0.9}, representation="scalar_mix")
    found = subtract_controls([result("none", {0: 0.6, 1: 0.8}), mixed, bag])
    assert [(one.representation, one.layer, one.control) for one in found] == [
        ("layer", 0, "bag_of_words"), ("layer", 1, "bag_of_words"), ("scalar_mix", -1, "bag_of_words"),
    ]  # fmt: skip
