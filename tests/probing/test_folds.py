"""Parts that are even, alike every time, and never share a text."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probing.folds import assign_folds, plan_folds
from probing.records import Split, Task, TaskSpec


def make_texts(n: int) -> tuple[tuple[str, ...], ...]:
    return tuple((f"text {number}",) for number in range(n))


@given(st.lists(st.integers(0, 3), min_size=1, max_size=120), st.integers(2, 10), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_each_class_is_spread_evenly_and_so_is_the_whole(labels: list[int], n_folds: int, seed: int) -> None:
    folds = assign_folds(make_texts(len(labels)), np.array(labels), n_folds, seed)
    for label in (None, *set(labels)):
        chosen = [fold for fold, one in zip(folds.tolist(), labels, strict=True) if label in (None, one)]
        sizes = [Counter(chosen)[fold] for fold in range(n_folds)]
        assert max(sizes) - min(sizes) <= 1


def test_order_does_not_matter_and_the_seed_does() -> None:
    rng = np.random.default_rng(0)
    texts, labels = make_texts(300), rng.integers(0, 3, size=300)
    order = rng.permutation(300)
    folds = assign_folds(texts, labels)
    assert np.array_equal(assign_folds([texts[row] for row in order], labels[order]), folds[order])
    assert not np.array_equal(assign_folds(texts, labels, seed=1), folds)


def test_copies_share_a_part_even_under_two_labels() -> None:
    texts = (*make_texts(50), *make_texts(50), ("one", "two"), ("one two",))
    labels = np.array([0] * 50 + [1] * 50 + [0, 0])
    folds = assign_folds(texts, labels)
    assert np.array_equal(folds[:50], folds[50:100])
    # Segments are not glued: a pair is another text than its words in one segment.
    many = [assign_folds([("one", "two"), ("one two",)], np.array([0, 0]), 2, seed).tolist() for seed in range(5)]
    assert all(one[0] != one[1] for one in many)


def test_fixed_splits_are_one_round_of_everything() -> None:
    splits = {name: Split(make_texts(n), np.arange(n) % 2) for name, n in (("train", 6), ("dev", 4), ("test", 2))}
    (only,) = plan_folds(Task(TaskSpec("t", "T", "own"), ("a", "b"), splits))
    assert {split: rows.tolist() for split, rows in only.items()} == {
        "train": list(range(6)),
        "dev": list(range(4)),
        "test": [0, 1],
    }


@pytest.mark.parametrize("n", [10, 97])
def test_a_cross_validation_trains_on_all_but_two_parts(n: int) -> None:
    whole = Split(make_texts(n), np.arange(n) % 2)
    task = Task(TaskSpec("t", "T", "own"), ("a", "b"), dict.fromkeys(("train", "dev", "test"), whole), folds=10)
    for one in plan_folds(task):
        rows = np.concatenate(list(one.values()))
        assert np.array_equal(np.sort(rows), np.arange(n))
        assert len(one["test"]) in (n // 10, n // 10 + 1)
