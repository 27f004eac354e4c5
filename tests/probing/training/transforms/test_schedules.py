from itertools import pairwise

import numpy as np
import pytest

from probing.training.transforms.schedules import follow_cubic, weigh_penalty

SHARES = {"warmup_share": 0.1, "cooldown_share": 0.2}


def follow(start=1.0, end=0.1, n_steps=100, **shares):
    return [follow_cubic(step, n_steps, start, end, **(shares or SHARES)) for step in range(n_steps + 1)]


def test_nothing_is_pruned_in_the_warmup_and_all_in_the_cooldown():
    levels = follow()
    assert levels[:11] == [1.0] * 11
    assert levels[11] < 1.0
    assert levels[80:] == [0.1] * 21
    assert levels[79] > 0.1


def test_between_them_the_level_follows_the_cubic():
    progress = (np.arange(10, 80) - 10) / 70
    np.testing.assert_allclose(follow()[10:80], 0.1 + 0.9 * (1 - progress) ** 3, rtol=1e-12)
    assert follow()[45] == pytest.approx(0.1 + 0.9 / 8)  # halfway, an eighth is left to go


def test_a_threshold_rises_as_a_share_falls():
    levels = follow(start=0.0, end=0.1)
    assert all(later >= earlier for earlier, later in pairwise(levels))
    assert levels[45] == pytest.approx(0.1 * (1 - 1 / 8))


def test_without_warmup_and_cooldown_pruning_takes_all_steps():
    levels = follow(n_steps=10, warmup_share=0.0, cooldown_share=0.0)
    assert levels[0] == 1.0
    assert 0.1 < levels[9] < 0.11
    assert levels[10] == 0.1


def test_a_warmup_and_cooldown_that_fill_the_run_make_one_jump():
    assert follow(n_steps=4, warmup_share=0.5, cooldown_share=0.5) == [1.0, 1.0, 0.1, 0.1, 0.1]


def test_the_penalty_grows_with_the_threshold():
    assert [weigh_penalty(threshold, 0.1, 400.0) for threshold in (0.0, 0.05, 0.1)] == [0.0, 200.0, 400.0]
