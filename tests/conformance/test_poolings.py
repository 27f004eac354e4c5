"""What every pooling must hold to, whoever wrote it: see `probing.contracts.pooling`."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from probing.contracts.pooling import TokenShares, find_shares
from probing.registry import POOLINGS

BATCH, TOKENS, HIDDEN = 4, 6, 5


@pytest.fixture(params=POOLINGS.names())
def pool(request):
    return POOLINGS.load(request.param)


def draw(seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    states = torch.randn(BATCH, TOKENS, HIDDEN, generator=generator).to(dtype)
    lengths = torch.tensor([6, 4, 1, 3])
    return states, torch.arange(TOKENS) < lengths[:, None]


def test_gives_one_float32_vector_per_sentence(pool):
    for dtype in (torch.float32, torch.bfloat16):
        pooled = pool(*draw(dtype=dtype))
        assert pooled.shape == (BATCH, HIDDEN)
        assert pooled.dtype == torch.float32


def test_padding_is_never_pooled(pool):
    states, positions = draw()
    # Finite ones alone: that an encoder gives no others is a conformance test of its own.
    for filling in (1e9, -1e9):
        filled = states.masked_fill(~positions[..., None], filling)
        torch.testing.assert_close(pool(filled, positions), pool(states, positions), rtol=0, atol=0)


def test_padding_length_does_not_matter(pool):
    states, positions = draw()
    longer = torch.cat([states, torch.randn(BATCH, 3, HIDDEN)], dim=1)
    padded = torch.cat([positions, torch.zeros(BATCH, 3, dtype=torch.bool)], dim=1)
    # A longer sum is grouped otherwise: one rounding or two of float32.
    torch.testing.assert_close(pool(longer, padded), pool(states, positions), rtol=1e-6, atol=1e-6)


def test_some_position_that_is_read_does_matter(pool):
    states, positions = draw()
    moved = states.clone()
    moved[:, 0] += 10
    assert not torch.equal(pool(moved, positions), pool(states, positions))


def test_input_is_not_changed(pool):
    states, positions = draw()
    before = states.clone(), positions.clone()
    pool(states, positions)
    assert torch.equal(states, before[0])
    assert torch.equal(positions, before[1])


def test_a_sentence_of_one_token_is_that_token(pool):
    states, positions = draw()
    torch.testing.assert_close(pool(states, positions)[2], states[2, 0], rtol=0, atol=0)


def test_batch_order_only_orders_the_vectors(pool):
    states, positions = draw()
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(pool(states[order], positions[order]), pool(states, positions)[order], rtol=0, atol=0)


def test_a_position_that_is_not_to_be_read_does_not_matter(pool):
    """[CLS] and [SEP] where special tokens are left out; the first token is read by those that read it alone."""
    states, positions = draw()
    words = positions & (torch.arange(TOKENS) > 0)
    words[2] = positions[2]
    moved = states.clone()
    moved[positions & ~words] += 10
    alike = torch.equal(pool(moved, words), pool(states, words))
    first = torch.equal(pool(states, words), states[:, 0].float())
    assert alike != first


@pytest.mark.slow
@given(seed=st.integers(0, 2**31), length=st.integers(1, TOKENS), scale=st.floats(0.25, 100))
def test_scales_with_the_states(seed, length, scale):
    """Pooling of c * states is c * pooling, c > 0: no pooling brings in a scale of its own."""
    states, _ = draw(seed)
    positions = (torch.arange(TOKENS) < length).expand(BATCH, TOKENS)
    for name in POOLINGS.names():
        pool = POOLINGS.load(name)
        # Two float32 roundings of the product against one of the sum.
        torch.testing.assert_close(
            pool(scale * states, positions), scale * pool(states, positions), rtol=1e-4, atol=1e-4
        )


def pool_by_shares(shares, states, positions, lengths):
    """The pooling that the declared shares stand for, in double precision, text by text."""
    flat = np.concatenate([row[:n].double().numpy() for row, n in zip(states, lengths, strict=True)])
    read = np.concatenate([row[:n].numpy() for row, n in zip(positions, lengths, strict=True)])
    counts = shares.share(read, np.array(lengths))
    assert counts.shape == (sum(lengths),)
    assert counts.dtype == np.float32
    assert (counts >= 0).all()
    borders = np.cumsum(lengths)[:-1]
    texts = list(zip(np.split(flat, borders), np.split(counts, borders), strict=True))
    assert all(part.any() for _, part in texts)
    return np.stack([text[part > 0].max(axis=0) if shares.largest else part @ text for text, part in texts])


@pytest.mark.parametrize("seed", range(5))
def test_shares_of_tokens_where_they_are_declared_give_the_same_vectors(pool, seed):
    """Encoders that pool in kernels of their own take the shares; without any they are never asked."""
    assert isinstance(getattr(pool, "shares", None), TokenShares | None)
    shares = find_shares(pool)
    if shares is None:
        return
    states, mask = draw(seed)
    positions = mask & (torch.rand(mask.shape, generator=torch.Generator().manual_seed(seed)) < 0.6)
    positions |= mask & ~positions.any(dim=1, keepdim=True)
    found = pool_by_shares(shares, states, positions, mask.sum(dim=1).tolist())
    # Some roundings of float32 in a mean of six.
    np.testing.assert_allclose(found, pool(states, positions).numpy(), rtol=1e-5, atol=1e-6)


def test_shares_that_stand_for_another_pooling_give_other_vectors():
    states, mask = draw()
    lengths = mask.sum(dim=1).tolist()
    first, even = (find_shares(POOLINGS.load(name)) for name in ("cls", "mean"))
    found = pool_by_shares(first, states, mask, lengths)
    assert not np.allclose(found, pool_by_shares(even, states, mask, lengths), rtol=1e-2)
