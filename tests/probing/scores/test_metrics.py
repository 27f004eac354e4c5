import numpy as np
from sklearn.metrics import accuracy_score

from probing.scores.metrics import accuracy


def pairs(labels, predicted):
    distinct, counts = np.unique(np.stack([labels, predicted]), axis=1, return_counts=True)
    return distinct[0], distinct[1], counts[None]


def test_accuracy_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    for n_classes in (2, 5):
        labels, predicted = rng.integers(0, n_classes, 200), rng.integers(0, n_classes, 200)
        assert accuracy(*pairs(labels, predicted))[0] == accuracy_score(labels, predicted)


def test_accuracy_of_all_right_is_one_and_of_all_wrong_zero():
    labels = np.array([0, 1, 2, 1])
    assert accuracy(*pairs(labels, labels)).tolist() == [1]
    assert accuracy(*pairs(labels, labels + 1)).tolist() == [0]


def test_each_row_of_counts_is_a_sample_of_its_own():
    labels, predicted = np.array([0, 1]), np.array([0, 0])
    assert accuracy(labels, predicted, np.array([[3, 1], [0, 4], [5, 0]])).tolist() == [0.75, 0, 1]
