from types import SimpleNamespace

import numpy as np
import pytest

from probing.records import InputError
from probing.settings.training import TrainSettings
from probing.training.data.labelled import LabelledData, batches_by_length, limit_splits, order_batches
from tests.helpers import build_task


@pytest.fixture
def lengths():
    return np.random.default_rng(0).integers(3, 60, 1000)


def list_data(lengths, seed=0):
    class Split(SimpleNamespace):
        def __len__(self):
            return len(self.lengths)

    return LabelledData(Split(lengths=lengths), 32, seed)


def test_every_sentence_comes_once_an_epoch(lengths):
    rows = np.concatenate(order_batches(lengths, 32, seed=0, epoch=0))
    np.testing.assert_array_equal(np.sort(rows), np.arange(1000))


def test_all_batches_but_one_are_full(lengths):
    sizes = sorted(len(batch) for batch in order_batches(lengths, 32, seed=0, epoch=0))
    assert sizes == [1000 % 32, *[32] * (1000 // 32)]
    assert len(sizes) == list_data(lengths).n_steps_per_epoch


def test_batches_of_like_lengths_hold_hardly_any_padding(lengths):
    def padding(batches):
        padded = sum(len(batch) * lengths[batch].max() for batch in batches)
        return 1 - lengths.sum() / padded

    shuffled = np.random.default_rng(1).permutation(1000)
    assert padding(order_batches(lengths, 32, seed=0, epoch=0)) < 0.05
    assert padding([shuffled[start : start + 32] for start in range(0, 1000, 32)]) > 0.3


def test_the_order_of_batches_says_nothing_of_their_lengths(lengths):
    batches = order_batches(lengths, 8, seed=0, epoch=0)
    means = [lengths[batch].mean() for batch in batches]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.3


def test_epochs_and_seeds_differ_and_repeat_themselves(lengths):
    first = np.concatenate(order_batches(lengths, 32, seed=0, epoch=0))
    np.testing.assert_array_equal(first, np.concatenate(order_batches(lengths, 32, seed=0, epoch=0)))
    for other in ({"seed": 1, "epoch": 0}, {"seed": 0, "epoch": 1}):
        assert not np.array_equal(first, np.concatenate(order_batches(lengths, 32, **other)))


@pytest.mark.parametrize("start", [0, 5, 31, 32, 70])
def test_the_batch_of_a_step_is_the_same_whatever_was_asked_for_before(lengths, start):
    whole, late = list_data(lengths, seed=3), list_data(lengths, seed=3)
    expected = [whole.batch(step).rows for step in range(80)]
    for step in range(start, 80):
        np.testing.assert_array_equal(late.batch(step).rows, expected[step])
    epochs = [np.sort(np.concatenate(expected[first : first + 32])) for first in (0, 32)]
    np.testing.assert_array_equal(epochs, [np.arange(1000)] * 2)


def test_a_split_is_read_whole_in_batches_of_at_most_so_many_tokens(lengths):
    batches = batches_by_length(lengths, 512)
    np.testing.assert_array_equal(np.sort(np.concatenate(batches)), np.arange(1000))
    assert max(len(batch) * lengths[batch].max() for batch in batches) <= 512


def test_a_sentence_longer_than_a_batch_is_a_batch():
    assert [len(batch) for batch in batches_by_length(np.array([5, 700, 5]), 512)] == [2, 1]


@pytest.mark.parametrize(("flag", "split"), [("limit", "train"), ("limit_dev", "dev")])
def test_a_limit_that_leaves_one_class_of_a_split_is_refused(flag, split):
    task = build_task()
    limited = limit_splits(task, TrainSettings(**{flag: 2}))
    assert sorted(limited.splits[split].labels.tolist()) == [0, 1]
    message = f"--{flag.replace('_', '-')} 1: leaves one class of past_present in {split}; expected two or more"
    with pytest.raises(InputError, match=message):
        limit_splits(task, TrainSettings(**{flag: 1}))
