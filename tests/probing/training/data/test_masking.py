"""What is hidden: how much, which tokens, behind what."""

import numpy as np
import pytest

from probing.training.data.masking import Masking, draw_inputs, draw_places
from probing.training.data.vocabulary import Marks

SIZE, MASK = 50, 4
SPECIAL = np.arange(SIZE) < 5
MARKS = Marks(1, 2, MASK, SPECIAL, (np.arange(SIZE) >= 40))
"""Tokens 0 to 4 are marks, those from 40 on go on with a word."""


def draw(n, length=64, seed=0):
    rng = np.random.default_rng(seed)
    blocks = rng.integers(5, SIZE, (n, length))
    blocks[:, 0] = 1
    blocks[rng.random(blocks.shape) < 0.05] = 2
    return blocks


def places(blocks, seed=1, **how):
    return draw_places(blocks, Masking(**how), MARKS, np.random.default_rng(seed))


@pytest.mark.parametrize("share", [0.15, 0.4, 1.0])
def test_each_block_hides_its_share_of_tokens_and_never_a_mark(share):
    blocks = draw(200)
    hidden = places(blocks, share=share)
    assert not (hidden & SPECIAL[blocks]).any()
    np.testing.assert_array_equal(hidden.sum(axis=1), np.rint(share * (~SPECIAL[blocks]).sum(axis=1)))


def test_every_place_is_hidden_equally_often():
    blocks = np.full((20_000, 20), 7)
    blocks[:, 0] = 1
    counts = places(blocks).sum(axis=0)
    assert counts[0] == 0
    expected = 20_000 * 3 / 19
    # Five standard deviations of a binomial count.
    assert np.abs(counts[1:] - expected).max() < 5 * np.sqrt(expected)


def test_a_block_of_two_tokens_hides_one():
    assert places(np.array([[1, 9, 2, 2, 2]]), share=0.15).sum() == 1


def words_of(block):
    """The places of each word of a block, by going from left to right."""
    words = []
    for place, token in enumerate(block):
        if SPECIAL[token]:
            continue
        if MARKS.continues[token] and words and words[-1][-1] == place - 1:
            words[-1].append(place)
        else:
            words.append([place])
    return words


@pytest.mark.parametrize("share", [0.15, 0.5])
def test_whole_words_are_hidden_whole_and_about_the_share_is(share):
    blocks = draw(300)
    hidden = places(blocks, share=share, whole_words=True)
    for block, row in zip(blocks, hidden, strict=True):
        assert all(row[word].all() or not row[word].any() for word in words_of(block))
        wanted = max(1, round(share * (~SPECIAL[block]).sum()))
        longest = max(map(len, words_of(block)))
        assert wanted - longest < row.sum() <= max(wanted, longest)
        assert row.any()


def test_single_tokens_cut_words_where_whole_ones_do_not():
    blocks = draw(300)
    cut = [any(row[word].any() and not row[word].all() for word in words_of(block))
           for block, row in zip(blocks, places(blocks), strict=True)]  # fmt: skip
    assert np.mean(cut) > 0.9


def test_eight_in_ten_are_masks_one_is_random_and_one_is_itself():
    blocks = draw(4000)
    hidden = places(blocks)
    shown = draw_inputs(blocks, hidden, MARKS, np.random.default_rng(2))
    np.testing.assert_array_equal(shown[~hidden], blocks[~hidden])
    drawn, kept = shown[hidden], shown[hidden] == blocks[hidden]
    n, ordinary = len(drawn), SIZE - 5
    shares = np.array([(drawn == MASK).mean(), kept.mean()])
    # Of the random tokens one in 45 is the token itself.
    np.testing.assert_allclose(shares, [0.8, 0.1 + 0.1 / ordinary], atol=5 * 0.4 / np.sqrt(n))
    others = drawn[(drawn != MASK) & ~kept]
    assert not SPECIAL[others].any()
    counts = np.bincount(others, minlength=SIZE)[5:]
    assert np.abs(counts - counts.mean()).max() < 6 * np.sqrt(counts.mean())
